"""The stages over logs in memory, for the laws' tests: in any order, with crashes anywhere."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import msgspec

from detectors import DETECTORS
from detectors.base import Detector
from streams.admit.validate import RefusalError
from streams.detect.actors import ActorCodec
from streams.flow.events import ACCESS_SOURCE, CONTEXT_SOURCE, CONTROL_SOURCE, Block, decode_block, source_id
from streams.flow.sources import source_key, source_partition
from streams.flow.stage import KeyedStage, Out, Stage
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, CONTROL, PARCEL_CONTEXT, PARCEL_LOG, STAFF_DIRECTORY
from streams.history.pipeline import INBOUND, MemoryRecord, MemoryStore, Pipeline
from streams.privacy.tokens import Keyring
from tests.senders import CARRIER, MONDAY, Sent, directory
from tests.witness import Patient, Witness

Where = tuple[str, int]
TABLES = {PARCEL_LOG: "relate", ACTOR_LOG: "detect"}

with patch("streams.privacy.tokens.token_bytes", lambda size: bytes(range(size))):
    # The same keys every time: tokens decide partitions and so the example a failure is to be repeated by.
    RING = Keyring()
    RING.add_carrier(CARRIER)

#: The catalogue, and two that decide by all they are told.
WATCHFUL: tuple[Detector[Any], ...] = (Witness(), Patient(), *DETECTORS)


class Run:
    """Every stage over logs in memory, each taking its turn when told to.

    Args:
        sent: what is in the inbound logs from the beginning.
        partitions: of every topic.
        people: the staff directory; by default a small one.
        detectors: by default the watchful ones.
    """

    def __init__(
        self,
        sent: Iterable[Sent],
        partitions: int = 2,
        people: Iterable[bytes] | None = None,
        detectors: tuple[Detector[Any], ...] = WATCHFUL,
    ) -> None:
        self._now = 0
        self._given: dict[Where, list[MemoryRecord]] = {}
        self.partitions = partitions
        self.pipeline = Pipeline(
            RING, partitions=partitions, arrived=lambda: self._now, detectors=detectors, keep_logs=True
        )
        for value in directory() if people is None else people:
            self.send(Sent(STAFF_DIRECTORY, value, MONDAY))
        for one in sent:
            self.send(one)

    @property
    def logs(self) -> dict[Where, list[MemoryRecord]]:
        """Every log, by topic and partition."""
        return self.pipeline.logs

    @property
    def alerts(self) -> dict[str, bytes]:
        """Alerts by message id; a crash may send the same again, never a different one under the same id."""
        told: dict[str, bytes] = {}
        for record in self.pipeline.alerts:
            assert record.value is not None
            ident = dict(record.headers)["ce_id"].decode()
            assert told.setdefault(ident, record.value) == record.value, f"two messages under the id {ident}"
        return told

    def send(self, one: Sent) -> Where:
        """Append to an inbound log."""
        key = source_key(one.topic, one.value) if one.value is not None else None
        if one.topic == STAFF_DIRECTORY:
            with suppress(RefusalError):
                self.pipeline.directory.load(key, one.value)
        self._now = one.arrived
        where = (one.topic, source_partition(key, self.partitions))
        self.pipeline.append(where, key, one.value)
        return where

    def store(self, where: Where) -> MemoryStore:
        """Where the stage at this place keeps its states."""
        return self.pipeline.stores[TABLES.get(where[0], "admit"), where[1]]

    def log(self, where: Where) -> list[MemoryRecord]:
        """What the stage at this place reads."""
        return self._given.get(where) or self.logs[where]

    def behind(self, where: Where) -> int:
        """Records the stage at this place has not taken."""
        return len(self.log(where)) - self.pipeline.stages[where].need

    def take(self, where: Where, size: int) -> None:
        """Let one stage take at most `size` records."""
        stage = self.pipeline.stages[where]
        stage.take(self.log(where)[stage.need : stage.need + size])
        self.pipeline.route(stage)

    def rest(self, where: Where) -> None:
        """Let one stage say that nothing more is at hand."""
        self.pipeline.stages[where].rest()
        self.pipeline.route(self.pipeline.stages[where])

    def finish(self, size: int = 5_000, rng: random.Random | None = None, crashes: int = 0) -> Run:
        """Run until nothing moves, with every inbound log there from the beginning.

        Args:
            size: records a stage takes at once; with `rng` one to that many.
            rng: picks whose turn it is; without it each takes what it has in a fixed order.
            crashes: how many times a stage dies somewhere in or between checkpoints.
        """
        sizes = [n for n in (1, 2, 7, size) if n <= size]
        silent = {where for where in self.pipeline.stages if where[0] in INBOUND}
        while True:
            ready = [where for where in self.pipeline.stages if self.behind(where)]
            ready += [where for where in silent if not self.behind(where)]
            if not ready:
                if not crashes:
                    return self
                assert rng is not None
                crashes -= 1
                # A stage that starts again must say again how far it is: its word may have been lost with it.
                self._restart(rng.choice(list(self.pipeline.stages)), rng, silent)
                continue
            where = rng.choice(ready) if rng else ready[0]
            if rng and crashes and rng.random() < 0.1:
                crashes -= 1
                self._restart(where, rng, silent)
            elif rng and rng.random() < 0.1:
                self._checkpoint(where)
            elif self.behind(where):
                self.take(where, rng.choice(sizes) if rng else size)
            else:
                silent.discard(where)
                self.rest(where)

    @classmethod
    def live(cls, sent: list[Sent], partitions: int, rng: random.Random, crashes: int = 0) -> Run:
        """Run while records arrive: partitions fall idle and resume late, as it happens with real senders."""
        run = cls((), partitions)
        left = list(sent)
        inbound = [where for where in run.pipeline.stages if where[0] in INBOUND]
        while left:
            pick = rng.random()
            if pick < 0.3:
                for _ in range(rng.choice((1, 1, 5))):
                    if left:
                        run.send(left.pop(0))
            elif pick < 0.5:
                where = rng.choice(inbound)
                if run.behind(where):
                    run.take(where, 3)
                else:
                    run.rest(where)
            elif pick < 0.55:
                run._checkpoint(rng.choice(list(run.pipeline.stages)))
            elif pick < 0.6 and crashes:
                crashes -= 1
                run._restart(rng.choice(list(run.pipeline.stages)), rng, set())
            elif ready := [where for where in run.pipeline.stages if run.behind(where)]:
                run.take(rng.choice(ready), rng.choice((1, 2, 7, 5_000)))
        run.finish(rng=rng, crashes=crashes)
        # A checkpoint sends what days taught, if a crash kept it back: who reads the log later finds that in it too.
        run.pipeline.checkpoint()
        return run.finish()

    def replay(self, where: Where, size: int, rng: random.Random | None = None, crashes: int = 0) -> Run:
        """Run one stage alone over the log another run left, from its beginning."""
        again = Run((), self.partitions)
        again._given[where] = self.log(where)
        while again.behind(where) or crashes:
            if rng and rng.random() < 0.2:
                again._checkpoint(where)
            elif rng and crashes and (rng.random() < 0.2 or not again.behind(where)):
                crashes -= 1
                again._restart(where, rng, set())
            else:
                again.take(where, rng.choice((1, 2, 7, size)) if rng else size)
        return again

    def _checkpoint(self, where: Where) -> None:
        stage = self.pipeline.stages[where]
        snapshot = stage.snapshot()
        self.pipeline.route(stage)
        self.store(where).write(snapshot)
        stage.written(snapshot)

    def _restart(self, where: Where, rng: random.Random, silent: set[Where]) -> None:
        """Kill a stage while it takes records or checkpoints, and start it from its store."""
        stage, store = self.pipeline.stages[where], self.store(where)
        step = rng.choice(("taking", "sending", "states", "progress", "commit"))
        if step == "taking":
            stage.take(self.log(where)[stage.need : stage.need + rng.choice((1, 7, 5_000))])
            self._deliver_some(stage, rng)
        else:
            snapshot = stage.snapshot()
            if step == "sending":
                self._deliver_some(stage, rng)
            else:
                self.pipeline.route(stage)
                whole = step != "states"
                # The changelog keeps the order of what is written, so a crash keeps a beginning of it.
                states = snapshot.states if whole else snapshot.states[: rng.randint(0, len(snapshot.states))]
                store.update(states)
                if step == "commit":
                    store.update([snapshot.progress])
        self.pipeline.stages[where] = self.pipeline.make(*where)
        if where[0] in INBOUND:
            silent.add(where)

    def _deliver_some(self, stage: Stage, rng: random.Random) -> None:
        """The broker got a beginning of what the stage sent, another one for every partition."""
        apart: dict[Any, list[Out]] = defaultdict(list)
        for sent in stage.out:
            apart[sent.topic, sent.partition if sent.partition is not None else sent.key].append(sent)
        stage.out = [sent for sends in apart.values() for sent in sends[: rng.randint(0, len(sends))]]
        self.pipeline.route(stage)

    def states(self, *, progress: bool = False) -> dict[tuple[str, int, bytes], bytes]:
        """Every stored state after a last checkpoint.

        Args:
            progress: also the marks that count offsets of parcelwatch's own logs, which depend on how records
                were packed into blocks: each keyed stage's progress and the norms' `upto`.
        """
        self.pipeline.checkpoint()
        return self.stored(progress=progress)

    def stored(self, *, progress: bool = False) -> dict[tuple[str, int, bytes], bytes]:
        """The same as it stands in the stores."""
        found: dict[tuple[str, int, bytes], bytes] = {}
        for (table, partition), store in self.pipeline.stores.items():
            for key, value in store.items():
                if progress or key != KeyedStage.PROGRESS.encode():
                    found[table, partition, key] = value if progress else _without_upto(key, value)
        return found

    def table(self, where: Where, *, progress: bool = True) -> dict[bytes, bytes]:
        """The states of the stage at one place."""
        table, states = TABLES.get(where[0], "admit"), self.states(progress=progress)
        return {key: value for (name, n, key), value in states.items() if (name, n) == (table, where[1])}

    def people(self) -> dict[bytes, Any]:
        """What the witnesses saw of each person, with episodes and timers; without positions."""
        codec = ActorCodec(WATCHFUL)
        found: dict[bytes, Any] = {}
        for (table, _, key), value in self.states().items():
            if table == "detect" and not key.startswith(b"\x00"):
                actor = codec.decode(value)
                seen = [msgspec.to_builtins(state) for state in actor.states[:2]]
                found[key] = (actor.day, actor.due, actor.who, seen, msgspec.to_builtins(actor.episodes))
        return found

    def counts(self, where: Where) -> dict[str, int]:
        """received, admitted, duplicate, rejected, as the admit stage at this place has them."""
        counts = self.pipeline.stages[where].counts
        return {name: counts[name] for name in ("received", "admitted", "duplicate", "rejected")}

    def rejected(self, where: Where) -> set[int]:
        """Offsets of an inbound partition that the rejected topic names."""
        names = [(record.key or b"").decode().split("/") for record in self.pipeline.rejected]
        return {int(offset) for topic, partition, offset in names if (topic, int(partition)) == where}

    def admitted(self, where: Where) -> set[int]:
        """Offsets of an inbound partition whose rows are in the parcel log; of the directory, what is not rejected."""
        if where[0] == CONTROL:
            logs = [self.logs[ACTOR_LOG, p] for p in range(self.partitions)]
            decided = [row for log in logs for block in blocks(log) for row in block.controls]
            return {row.off for row in decided if row.src == source_id(CONTROL_SOURCE, where[1])}
        kind = {ACCESS_EVENTS: ACCESS_SOURCE, PARCEL_CONTEXT: CONTEXT_SOURCE}.get(where[0])
        if kind is None:
            return {record.offset for record in self.logs[where]} - self.rejected(where)
        rows = [row for p in range(self.partitions) for block in blocks(self.logs[PARCEL_LOG, p])
                for row in (*block.touches, *block.contexts)]  # fmt: skip
        return {row.off for row in rows if row.src == source_id(kind, where[1])}


def _without_upto(key: bytes, value: bytes) -> bytes:
    if key != b"\x00norms":
        return value
    norms = msgspec.msgpack.decode(value)
    norms[1] = None
    return msgspec.msgpack.encode(norms)


def blocks(log: Iterable[MemoryRecord]) -> list[Block]:
    """The blocks of a keyed log."""
    return [decode_block(record.value) for record in log if record.value is not None]
