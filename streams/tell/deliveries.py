"""The outbox: which alert still has to reach which receiver, on disk before Kafka is told it was read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from streams.sinks.base import Delivery

State = Literal["pending", "undelivered", "delivered"]

#: Seconds for which delivered messages are kept to be looked at and sent again.
KEEP_DELIVERED = 7 * 86_400.0
#: Seconds for which ids are remembered: longer than the alerts topic keeps alerts, since it may be read again
#: from its beginning.
REMEMBER_IDS = 400 * 86_400.0
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, uid TEXT NOT NULL,
    type TEXT NOT NULL, occurred INTEGER NOT NULL, recorded REAL NOT NULL, seen REAL NOT NULL, body BLOB
);
CREATE TABLE deliveries (
    receiver TEXT NOT NULL, seq INTEGER NOT NULL REFERENCES messages (seq), uid TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL, next_at REAL NOT NULL,
    changed REAL NOT NULL, answer TEXT NOT NULL DEFAULT '', PRIMARY KEY (receiver, seq)
) WITHOUT ROWID;
CREATE INDEX due ON deliveries (receiver, next_at, seq) WHERE state = 'pending';
CREATE INDEX unattempted ON deliveries (receiver, uid, seq) WHERE state = 'pending' AND attempts = 0;
CREATE INDEX by_message ON deliveries (seq);
CREATE INDEX by_state ON deliveries (receiver, state, since);
CREATE TABLE disabled (receiver TEXT PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL);
"""


class OutboxError(Exception):
    """The outbox cannot be used; the text says why and what to do."""


class Due(msgspec.Struct, frozen=True):
    """One delivery whose time has come.

    Attributes:
        seq: number of the message in the outbox.
        attempts: how often it was tried before.
        since: when trying began, seconds since 1970.
        delivery: what to deliver.
    """

    seq: int
    attempts: int
    since: float
    delivery: Delivery


class Entry(msgspec.Struct, frozen=True):
    """One delivery as `parcelwatch tell list` shows it.

    Times are seconds since 1970; `answer` is what the last attempt got.
    """

    receiver: str
    id: str
    type: str
    state: State
    attempts: int
    since: float
    next_at: float
    changed: float
    answer: str


class Standing(msgspec.Struct):
    """How one receiver stands.

    Attributes:
        pending, undelivered, delivered: number of deliveries.
        oldest_pending: since when the oldest pending one waits, seconds since 1970; 0 when none is pending.
        disabled: why the receiver is sent nothing; empty when it is.
    """

    pending: int = 0
    undelivered: int = 0
    delivered: int = 0
    oldest_pending: float = 0.0
    disabled: str = ""


class Outbox:
    """Deliveries on disk. Every method is one transaction and blocks; call from one thread at a time.

    Args:
        path: the SQLite file; made when absent.

    Raises:
        OutboxError: when the file is none of ours or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
            # FULL: an offset committed to Kafka after a write must not outlive that write in a power cut.
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._db.execute(f"PRAGMA {pragma}")
            with self._transaction():
                version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
                if version == 0:
                    for statement in filter(str.strip, SCHEMA.split(";")):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except (OSError, sqlite3.Error) as exc:
            raise OutboxError(
                f"cannot open the outbox {path}: {exc}; check the disk and the rights, "
                "or move the file away to begin an empty outbox (what is pending in it is then not delivered)"
            ) from exc
        if version > SCHEMA_VERSION:
            raise OutboxError(
                f"the outbox {path} was written by a newer parcelwatch; run that version or newer"
            )

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

    def admit(self, messages: Sequence[Delivery], receivers: Sequence[str], now: float) -> int:
        """Take messages in, for each of the receivers; what was taken in before is left out.

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
                    (m.id, m.uid, m.type, m.occurred, m.recorded, now, m.body if receivers else None),
                )
                if not inserted.rowcount:
                    continue
                new += 1
                self._db.executemany(
                    "INSERT INTO deliveries (receiver, seq, uid, state, since, next_at, changed, answer)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (name, inserted.lastrowid, m.uid, "undelivered" if name in disabled else "pending",
                         now, now, now, disabled.get(name, ""))
                        for name in receivers
                    ],
                )  # fmt: skip
        return new

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
        return [
            Due(
                seq,
                attempts,
                since,
                Delivery(id=id_, uid=uid, type=type_, occurred=occurred, recorded=recorded, body=body),
            )
            for seq, attempts, since, id_, uid, type_, occurred, recorded, body in rows
        ]

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
