"""The outbox: which alert still has to reach which receiver, on disk before Kafka is told it was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from streams.flow.ocsf import EVENT_TYPES
from streams.sinks.base import Delivery
from streams.tell.records import Due, Entry, Standing, State
from streams.tell.schema import OutboxError, open_outbox

__all__ = ["Due", "Entry", "Outbox", "OutboxError", "Standing", "State"]

#: Type of the message that closes an episode.
CLOSED = EVENT_TYPES[3]
#: Seconds for which delivered messages are kept to be looked at and sent again.
KEEP_DELIVERED = 7 * 86_400.0
#: Seconds for which ids are remembered: longer than the alerts topic keeps alerts, since it may be read again
#: from its beginning.
REMEMBER_IDS = 400 * 86_400.0


class Outbox:
    """Deliveries on disk. Every method is one transaction and blocks; call from one thread at a time.

    Args:
        path: the SQLite file; made when absent.

    Raises:
        OutboxError: when the file is none of ours or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._db = open_outbox(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def admit(
        self,
        messages: Sequence[Delivery],
        receivers: Sequence[str],
        now: float,
        followers: Sequence[str] = (),
    ) -> int:
        """Take messages in, for each of the receivers; what was taken in before is left out.

        Args:
            followers: receivers that get a message only when they have an earlier one of its episode.

        Returns:
            How many were new.
        """
        new = 0
        with self._transaction():
            disabled = dict(self._db.execute("SELECT receiver, reason FROM disabled"))
            for m in messages:
                inserted = self._db.execute(
                    "INSERT INTO messages (id, uid, type, occurred, recorded, seen, body)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (
                        m.id,
                        m.uid,
                        m.type,
                        m.occurred,
                        m.recorded,
                        now,
                        m.body if receivers or followers else None,
                    ),
                )
                if not inserted.rowcount:
                    continue
                new += 1
                told = [name for name in followers if self._has_episode(name, m.uid)]
                self._db.executemany(
                    "INSERT INTO deliveries (receiver, seq, uid, state, since, next_at, changed, answer)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (name, inserted.lastrowid, m.uid, "undelivered" if name in disabled else "pending",
                         now, now, now, disabled.get(name, ""))
                        for name in (*receivers, *told)
                    ],
                )  # fmt: skip
        return new

    def _has_episode(self, receiver: str, uid: str) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM deliveries WHERE receiver = ? AND uid = ? LIMIT 1", (receiver, uid)
        )
        return found.fetchone() is not None

    def due(self, receiver: str, now: float, limit: int) -> list[Due]:
        """What is to be tried now, longest due first.

        A message that was never tried is held back while an earlier one of its episode was not either, so
        first attempts keep an episode's order.
        """
        rows = self._db.execute(
            "SELECT d.seq, d.attempts, d.since, m.id, m.uid, m.type, m.occurred, m.recorded, m.body"
            " FROM deliveries d JOIN messages m USING (seq)"
            " WHERE d.receiver = ? AND d.state = 'pending' AND d.next_at <= ?"
            " AND (d.attempts > 0 OR NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.receiver = d.receiver"
            " AND e.uid = d.uid AND e.seq < d.seq AND e.state = 'pending' AND e.attempts = 0))"
            " ORDER BY d.next_at, d.seq LIMIT ?",
            (receiver, now, limit),
        )
        return [Due(seq, attempts, since, _delivery(rest)) for seq, attempts, since, *rest in rows]

    def open_episodes(self, receiver: str) -> list[Delivery]:
        """The newest delivered message of each episode this receiver knows, unless the episode is closed.

        Episodes without a new message for a week are left out: `prune` has dropped what was delivered of them.
        """
        rows = self._db.execute(
            "SELECT m.id, m.uid, m.type, m.occurred, m.recorded, m.body"
            " FROM deliveries d JOIN messages m USING (seq)"
            " WHERE d.receiver = :receiver AND d.state = 'delivered' AND m.type <> :closed"
            " AND NOT EXISTS (SELECT 1 FROM deliveries e JOIN messages n USING (seq)"
            " WHERE e.receiver = d.receiver AND e.uid = d.uid AND e.seq > d.seq"
            " AND (e.state = 'delivered' OR n.type = :closed)) ORDER BY d.seq",
            {"receiver": receiver, "closed": CLOSED},
        )
        return [_delivery(row) for row in rows]

    def supersede(self, receiver: str, now: float) -> int:
        """End what still waits, or was resent, though a newer message of its episode was delivered.

        Returns:
            How many; they count as delivered, with that as their answer.
        """
        with self._transaction():
            return self._db.execute(
                "UPDATE deliveries SET state = 'delivered', changed = ?, answer = ?"
                " WHERE receiver = ? AND state = 'pending'"
                " AND EXISTS (SELECT 1 FROM deliveries e WHERE e.receiver = deliveries.receiver"
                " AND e.uid = deliveries.uid AND e.seq > deliveries.seq AND e.state = 'delivered')",
                (now, "superseded: the receiver has a newer message of this episode", receiver),
            ).rowcount

    def settle(
        self, receiver: str, seq: int, state: State, now: float, answer: str, next_at: float = 0.0
    ) -> None:
        """Write down what an attempt came to: its new state and, when that is pending, when to try next."""
        # A failure says nothing about a message that was settled meanwhile (the receiver disabled, say).
        with self._transaction():
            self._db.execute(
                "UPDATE deliveries SET state = ?, attempts = attempts + 1, next_at = ?, changed = ?,"
                " answer = ? WHERE receiver = ? AND seq = ? AND (state = 'pending' OR ? = 'delivered')",
                (state, next_at, now, answer, receiver, seq, state),
            )

    def disable(self, receiver: str, now: float, reason: str) -> int:
        """Send this receiver nothing more until something is resent to it.

        Returns:
            How many pending deliveries are now undelivered.
        """
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO disabled VALUES (?, ?, ?)", (receiver, now, reason))
            return self._db.execute(
                "UPDATE deliveries SET state = 'undelivered', changed = ?, answer = ?"
                " WHERE receiver = ? AND state = 'pending'",
                (now, reason, receiver),
            ).rowcount

    def resend(self, now: float, receivers: Sequence[str], id_: str | None = None) -> int:
        """Make deliveries pending again: one message's, whatever their state, or else all undelivered ones.

        A receiver that was disabled and is resent to is enabled again.

        Args:
            receivers: only theirs.
            id_: only this message's.

        Returns:
            How many will be tried again.
        """
        with self._transaction():
            chosen = self._db.execute(
                "SELECT receiver, seq FROM deliveries"
                " WHERE receiver IN (SELECT value FROM json_each(:receivers))"
                " AND CASE WHEN :id IS NULL THEN state = 'undelivered'"
                " ELSE seq = (SELECT seq FROM messages WHERE id = :id) END",
                {"receivers": msgspec.json.encode(receivers).decode(), "id": id_},
            ).fetchall()
            # All that were named, also when nothing was kept for them.
            enabled = receivers if id_ is None else [name for name, _ in chosen]
            self._db.executemany("DELETE FROM disabled WHERE receiver = ?", [(name,) for name in enabled])
            self._db.executemany(
                "UPDATE deliveries SET state = 'pending', attempts = 0, since = ?, next_at = ?, changed = ?"
                " WHERE receiver = ? AND seq = ?",
                [(now, now, now, name, seq) for name, seq in chosen],
            )
        return len(chosen)

    def entries(
        self, receiver: str | None = None, state: State | None = None, limit: int = 100
    ) -> list[Entry]:
        """Deliveries, newest message first."""
        rows = self._db.execute(
            "SELECT d.receiver, m.id, m.type, d.state, d.attempts, d.since, d.next_at, d.changed, d.answer"
            " FROM deliveries d JOIN messages m USING (seq)"
            " WHERE (? IS NULL OR d.receiver = ?) AND (? IS NULL OR d.state = ?) ORDER BY d.seq DESC LIMIT ?",
            (receiver, receiver, state, state, limit),
        )
        return [Entry(*row) for row in rows]

    def standings(self) -> dict[str, Standing]:
        """How each receiver stands that has anything in the outbox."""
        found: dict[str, Standing] = {}
        for receiver, state, count, oldest in self._db.execute(
            "SELECT receiver, state, COUNT(*), MIN(since) FROM deliveries GROUP BY receiver, state"
        ):
            standing = found.setdefault(receiver, Standing())
            setattr(standing, state, count)
            if state == "pending":
                standing.oldest_pending = oldest
        for receiver, reason in self._db.execute("SELECT receiver, reason FROM disabled"):
            found.setdefault(receiver, Standing()).disabled = reason
        return found

    def prune(self, now: float) -> None:
        """Drop what was delivered long ago; undelivered messages are kept until they are delivered."""
        with self._transaction():
            self._db.execute(
                "DELETE FROM deliveries WHERE state = 'delivered' AND changed < ?", (now - KEEP_DELIVERED,)
            )
            self._db.execute(
                "UPDATE messages SET body = NULL"
                " WHERE body IS NOT NULL AND seq NOT IN (SELECT seq FROM deliveries)"
            )
            self._db.execute(
                "DELETE FROM messages WHERE seen < ? AND seq NOT IN (SELECT seq FROM deliveries)",
                (now - REMEMBER_IDS,),
            )


def _delivery(row: Sequence[Any]) -> Delivery:
    id_, uid, type_, occurred, recorded, body = row
    return Delivery(id=id_, uid=uid, type=type_, occurred=occurred, recorded=recorded, body=body)
