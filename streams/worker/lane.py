"""A lane runs one partition of one stage on Faust: feeds it, sends what it gives, and checkpoints it.

The checkpoint is the second law: what a snapshot rests on is acknowledged before its states are written, the states
before the progress, the progress before the source offset is offered for commit. A crash between any two steps repeats
work whose traces the next run recognises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import faust
import structlog
from faust.types import TP

from streams.admit.stage import AdmitStage
from streams.flow.events import AccessEvent
from streams.flow.stage import HoleError, KeyedStage, Record, Stage
from streams.monitoring.metrics import Metrics, StageMetrics
from streams.worker.state import TableStore
from streams.worker.transport import BatchConsumer

log = structlog.get_logger(__name__)

#: Bytes of records applied at once, some 50 ms of work: heartbeats, fetches and the other stages wait for no longer.
PIECE = 1 << 17
#: Seconds after a rewind in which batches from beyond the hole, already under way, are passed over.
REWIND_GRACE = 2.0


class LeaseError(Exception):
    """The process was away (paused, starved) longer than the broker waits for it: its partitions may be another's
    now.
    """


class Lease:
    """Whether this process may still write: it must have been awake all along, not just be awake again.

    Args:
        seconds: longest absence, below the group's session timeout.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen = time.monotonic()

    def begin(self) -> None:
        """Count from now on."""
        self._seen = time.monotonic()

    def renew(self) -> None:
        """Say that the process is awake. Raises LeaseError when it was away too long."""
        self.check()
        self._seen = time.monotonic()

    def check(self) -> None:
        """Raises LeaseError when the process was away too long."""
        away = time.monotonic() - self._seen
        if away > self._seconds:
            raise LeaseError(
                f"the process was away for {away:.1f} s, longer than its lease of "
                f"{self._seconds:.1f} s; it stops without writing, and its successor goes on from the last checkpoint"
            )


class Lane:
    """One partition of one stage, live.

    Args:
        app: the Faust app.
        consumer: its consumer.
        tp: source partition.
        stage: what is run.
        store: where its states go.
        lease: checked before anything is written.
        metrics: the worker's; name: of the stage in them.
    """

    def __init__(
        self,
        app: faust.App,
        consumer: BatchConsumer,
        tp: TP,
        stage: Stage,
        store: TableStore,
        lease: Lease,
        metrics: Metrics,
        name: str,
    ) -> None:
        self.tp = tp
        self.stage = stage
        # What was durable when the last owner died may not have been committed; without news it never would be.
        consumer.ledger[tp] = stage.need
        self.closed = False
        self.checkpointing = False
        self.last_take = time.monotonic()
        #: When all there was had been taken, and when records that do not arrive were looked for: the latest of each.
        self.last_end = self.last_look = time.monotonic()
        self.last_checkpoint = time.monotonic()
        self._app = app
        self._consumer = consumer
        self._store = store
        self._lease = lease
        self._metrics = metrics
        self._stage_metrics: StageMetrics = metrics.stage[name]
        self._sending = asyncio.Lock()
        self._checkpointing = asyncio.Lock()
        self._unacknowledged: list[Any] = []
        self._changed = False
        self._rewound: tuple[int, float] = (-1, 0.0)
        # What other owners counted is theirs to tell: a partition that comes and goes is not counted anew each time.
        self._told = dict(stage.counts) if isinstance(stage, AdmitStage) else {}
        self._duplicates = 0

    @property
    def dirty(self) -> bool:
        """Whether a checkpoint would write anything."""
        return self._changed

    async def take(self, records: Sequence[Record]) -> None:
        """Apply a batch, in pieces between which others have their turn."""
        begin = size = 0
        for index, record in enumerate(records):
            size += len(record.value or b"")
            if size >= PIECE:
                await self._take(records[begin : index + 1])
                await asyncio.sleep(0)
                begin, size = index + 1, 0
        if begin < len(records):
            await self._take(records[begin:])

    async def _take(self, records: Sequence[Record]) -> None:
        """Apply a piece; when it does not follow on what was applied, have the gap read again instead."""
        if self.closed:
            return
        began = time.perf_counter()
        need = self.stage.need
        try:
            self.stage.take(records)
        except HoleError as hole:
            await self._mend(hole, records)
            return
        applied = self.stage.need - need
        self.last_take = time.monotonic()
        if applied:
            self._changed = True
            self._stage_metrics.records.inc(applied)
            self._stage_metrics.batch_seconds.observe(time.perf_counter() - began)
            self._count()
        await self.flush()

    async def rest(self) -> None:
        """Let the stage say that nothing more is at hand."""
        self.stage.rest()
        await self.flush()

    async def reread(self) -> None:
        """The partition has records and none arrive: if they were fetched and lost on the way, fetch them again."""
        self.last_look = time.monotonic()
        position = await self._consumer.position(self.tp)
        if position is None or position <= self.stage.need:
            return
        self._stage_metrics.holes.inc()
        await self._pass_over_gap()
        await self._consumer.rewind(self.tp, self.stage.need)

    async def _mend(self, hole: HoleError, records: Sequence[Record]) -> None:
        """Read again from where the stage stands; go on beyond only what the log itself does not have."""
        now = time.monotonic()
        if self._rewound[0] == hole.need and now - self._rewound[1] < REWIND_GRACE:
            return
        await self._pass_over_gap()
        if self.stage.need == hole.got:
            await self._take(records)
            return
        self._stage_metrics.holes.inc()
        self._rewound = (self.stage.need, now)
        await self._consumer.rewind(self.tp, self.stage.need)

    async def _pass_over_gap(self) -> None:
        """Go on where the log goes on: it expires, is compacted, and holds the marks of transactions."""
        need = self.stage.need
        beyond = await self._consumer.next_offset(self.tp, need)
        if beyond > need and self.stage.need == need:
            log.warning(
                "the log has no records at these offsets; going on beyond them",
                topic=self.tp.topic, partition=self.tp.partition, first=need, last=beyond - 1,
            )  # fmt: skip
            self.stage.skip_to(beyond)
            self._changed = True

    async def flush(self) -> None:
        """Send what the stage gave, in its order: receivers drop what stands before what they have."""
        async with self._sending:
            while self.stage.out:
                out, self.stage.out = self.stage.out, []
                for topic, partition, key, value, headers, alert in out:
                    sent = await self._app.producer.send(topic, key, value, partition, None, headers or None)
                    self._unacknowledged.append(sent)
                    if alert is not None:
                        sent.add_done_callback(lambda _, alert=alert: self._alerted(*alert))  # type: ignore[attr-defined]

    def _alerted(self, detector: str, severity: int, activity: int, produced: int) -> None:
        now = time.time() * 1000
        self._metrics.alerted(detector, severity, activity, (now - produced) / 1000 if produced else 0.0)

    async def checkpoint(self) -> None:
        """Make all that was applied so far durable, then offer its offset for commit.

        Raises:
            LeaseError: the process was away too long.
            KafkaError: the broker did not take a write.
        """
        async with self._checkpointing:
            if self.closed:
                return
            began = time.perf_counter()
            self._changed = False
            self.last_checkpoint = time.monotonic()
            snapshot = self.stage.snapshot()
            await self.flush()
            waiting, self._unacknowledged = self._unacknowledged, []
            await asyncio.gather(*waiting)
            await self._store.write(snapshot, self._lease.check)
            self.stage.written(snapshot)
            self._consumer.ledger[self.tp] = snapshot.commit
            self._stage_metrics.checkpointed(time.perf_counter() - began, time.time())

    async def close(self) -> None:
        """Give the partition up: a running checkpoint ends first, another never starts."""
        self.closed = True
        async with self._checkpointing:
            self._consumer.ledger.pop(self.tp, None)

    def _count(self) -> None:
        stage = self.stage
        if isinstance(stage, KeyedStage):
            self._stage_metrics.duplicates.inc(stage.merge.duplicates - self._duplicates)
            self._duplicates = stage.merge.duplicates
            self._stage_metrics.event_time.set(stage.merge.bound / 1000)
        elif isinstance(stage, AdmitStage):
            if stage.orders:
                self._stage_metrics.event_time.set(stage.progress.st / 1000)
            told, self._told = self._told, dict(stage.counts)
            grown = {
                name: n - told.get(name, 0) for name, n in stage.counts.items() if n != told.get(name, 0)
            }
            corrected = {n.partition("/")[2]: v for n, v in grown.items() if n.startswith("corrected/")}
            if isinstance(stage.latest, AccessEvent):
                self._metrics.systems.note(stage.latest.carrier, stage.latest.system)
            self._metrics.source[self.tp.topic].count(
                received=grown.get("received", 0),
                admitted=grown.get("admitted", 0),
                duplicates=grown.get("duplicate", 0),
                rejected={n.partition("/")[2]: v for n, v in grown.items() if n.startswith("rejected/")},
                unknown_fields=corrected.pop("unknown_fields", 0),
                ignored={n.partition("/")[2]: v for n, v in grown.items() if n.startswith("ignored/")},
                corrected=corrected,
            )
