"""Whether the worker does its work: asked by /readyz and /healthz, and measured once a second for the metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.detect.stage import DetectStage
from streams.flow.events import ACCESS_SOURCE, CONTEXT_SOURCE, RELATE_SOURCE
from streams.flow.stage import KeyedStage
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, PARCEL_LOG
from streams.monitoring.metrics import Metrics
from streams.worker.app import STAGE_OF
from streams.worker.detection import DetectionExport
from streams.worker.lane import Lane
from streams.worker.transport import BatchConsumer

#: Seconds without an answer of the broker after which the worker is not ready.
SILENCE = 5.0
#: Seconds rows may wait for a source that says nothing before the worker says so.
WAIT = 15.0
#: Seconds a partition may have records and take none before the process is better started anew.
STUCK = 60.0

_SOURCES = {ACCESS_SOURCE: ACCESS_EVENTS, CONTEXT_SOURCE: PARCEL_CONTEXT, RELATE_SOURCE: PARCEL_LOG}


class Watch:
    """Looks at the lanes of a worker.

    Args:
        lanes: those it runs at present, by source partition.
        held: which of given partitions wait because others are behind them in event time.
        metrics: where lag and sizes go.
        detection: exports what the detect stages know of themselves.
    """

    def __init__(
        self,
        lanes: Mapping[TP, Lane],
        held: Callable[[Iterable[TP]], set[TP]],
        metrics: Metrics,
        detection: DetectionExport,
    ) -> None:
        self._lanes = lanes
        self._held = held
        self._metrics = metrics
        self._detection = detection
        self._answered = time.monotonic()
        self._stuck: TP | None = None
        self._bounds: dict[TP, tuple[int, float]] = {}
        self._waits = ""

    def ready(self) -> tuple[bool, str]:
        """Whether records are being worked on at this moment, and why not."""
        silent = time.monotonic() - self._answered
        if silent > SILENCE:
            return False, f"the broker has not answered for {silent:.0f} s"
        if self._waits:
            return False, self._waits
        return True, f"running {len(self._lanes)} partitions"

    def healthy(self) -> tuple[bool, str]:
        """Whether the process can still get there by itself, and why not."""
        if self._stuck is not None:
            where = f"{self._stuck.topic}/{self._stuck.partition}"
            return False, f"{where} has records and has taken none for a minute; restart the worker"
        return True, "alive"

    async def ask(self, consumer: BatchConsumer) -> None:
        """Ask the broker something, so that its silence is noticed."""
        tp = next(iter(self._lanes), None)
        if tp is None:
            return
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(consumer.earliest_offsets(tp), SILENCE)
            self._answered = time.monotonic()

    def measure(self, consumer: BatchConsumer) -> None:
        """Lag, sizes, and whether the stream still moves."""
        now = time.monotonic()
        lag: dict[str, int] = {}
        pending: dict[str, int] = {}
        keys: dict[str, int] = {}
        behind: list[Lane] = []
        self._waits = ""
        for tp, lane in list(self._lanes.items()):
            left = max(0, (consumer.highwater(tp) or 0) - lane.stage.need)
            lag[tp.topic] = lag.get(tp.topic, 0) + left
            if left and now - lane.last_take > STUCK:
                behind.append(lane)
            if isinstance(lane.stage, KeyedStage):
                name = STAGE_OF[tp.topic]
                pending[name] = pending.get(name, 0) + lane.stage.merge.pending
                keys[name] = keys.get(name, 0) + len(lane.stage.states.cache)
                self._look_at_merge(tp, lane.stage, now)
        self._detection.export(
            [stage for lane in self._lanes.values() if isinstance(stage := lane.stage, DetectStage)]
        )
        held = self._held([lane.tp for lane in behind]) if behind else set()
        self._stuck = next((lane.tp for lane in behind if lane.tp not in held), None)
        for topic, records in lag.items():
            self._metrics.lag(topic, records)
        for name, rows in pending.items():
            self._metrics.stage[name].pending_records.set(rows)
            self._metrics.stage[name].state_keys.set(keys[name])

    def _look_at_merge(self, tp: TP, stage: KeyedStage[Any], now: float) -> None:
        merge = stage.merge
        bound, since = self._bounds.get(tp, (-1, now))
        if merge.bound != bound or not merge.pending:
            self._bounds[tp] = (merge.bound, now)
        elif now - since > WAIT:
            slowest = min((s.clock, source) for source, s in merge.sources.items() if not s.idle)[1]
            name = _SOURCES.get(slowest >> 16, "actor-log")
            self._waits = (
                f"{merge.pending} records wait for {name}/{slowest & 0xFFFF}; is its worker running?"
            )
