"""The worker: one process that runs admit, relate and detect for the partitions Kafka gives it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from faust.types import TP

from detectors import DETECTORS
from detectors.model_score import ModelScore
from detectors.risk import RiskScore
from streams.admit.broadcast import DirectoryReader
from streams.admit.local_time import Zones
from streams.admit.stage import AdmitStage
from streams.admit.stages import admit_stage
from streams.admit.validate import CORRECTIONS, REASONS
from streams.detect.library import ModelLibrary
from streams.detect.stage import DetectStage
from streams.flow.stage import KeyedStage, Stage
from streams.flow.topics import ACTOR_LOG, PARCEL_LOG
from streams.formats.catalogue import input_format
from streams.monitoring import health
from streams.monitoring.metrics import Metrics, new_registry
from streams.privacy.tokens import Keyring
from streams.relate.stage import RelateStage
from streams.settings import Settings
from streams.worker.app import STAGE_OF, App, make_app
from streams.worker.detection import DetectionExport
from streams.worker.lane import Lane, Lease, LeaseError
from streams.worker.state import TableStore
from streams.worker.transport import BatchConsumer, consumer_of, guard_sends
from streams.worker.watch import Watch

log = structlog.get_logger(__name__)

TICK = 0.02
#: A source that is this far ahead of the slowest in event time (ms) waits: what it brings could not be released anyway.
ALIGNMENT = 3_600_000
#: Seconds after which a partition that has records but hands none out is looked into.
STILL = 2.0
#: Seconds without records after which a partition is checkpointed at once: it costs little then, and nothing is left
#: to be done again after a crash.
REST = 0.5
#: Part of the session timeout a process may be away and still write.
LEASE = 0.8
FAILED = 70


class Worker:
    """Runs the pipeline until stopped.

    Args:
        settings: of the process.
        keys: the key ring.
    """

    def __init__(self, settings: Settings, keys: Keyring) -> None:
        self._settings = settings
        self._keys = keys
        self._zones = Zones.of(settings)
        self._format = input_format(settings)
        self._app: App = make_app(settings)
        self._directory = DirectoryReader(settings, keys)
        self._lanes: dict[TP, Lane] = {}
        self._lease = Lease(settings.session_timeout * LEASE)
        self._stopping = asyncio.Event()
        self.registry = new_registry()
        names = [*(detector.name for detector in DETECTORS), ModelScore.name, RiskScore.name]
        self.metrics = Metrics(self.registry, rejections=REASONS, corrections=CORRECTIONS, detectors=names)
        self._models = ModelLibrary(settings.models_path)
        budget = settings.alerts_per_1000_user_days
        detection = DetectionExport(self.metrics.detection, self._models, budget)
        self._watch = Watch(self._lanes, self._held, self.metrics, detection)
        self._member = ""
        for topic in STAGE_OF:
            self._declare_agent(topic)
        app = self._app.faust
        app.on_partitions_revoked.connect(self._revoked)  # type: ignore[arg-type]  # Faust's signal types say less than it sends

    def _declare_agent(self, topic: str) -> None:
        async def run(stream: Any) -> None:
            try:
                async for event in stream.noack().events():
                    await self._lane(event.message.tp).take(event.message.value)
            except Exception as exc:  # noqa: BLE001  # Faust would go on with the next batch, and lose this one
                self._fail(exc)

        self._app.faust.agent(self._app.topics[topic], name=f"{STAGE_OF[topic]}.{topic}", concurrency=1)(run)

    def _lane(self, tp: TP) -> Lane:
        lane = self._lanes.get(tp)
        if lane is None:
            name = STAGE_OF[tp.topic]
            app = self._app.faust
            store = TableStore(app, self._app.tables[name], tp.partition)
            consumer = consumer_of(app)
            stage = self._stage(tp, store)
            lane = self._lanes[tp] = Lane(app, consumer, tp, stage, store, self._lease, self.metrics, name)
        return lane

    def _stage(self, tp: TP, store: TableStore) -> Stage:
        partitions = self._settings.partitions
        if tp.topic == PARCEL_LOG:
            return RelateStage(tp.partition, partitions, store)
        if tp.topic == ACTOR_LOG:
            return DetectStage(tp.partition, partitions, store, models=self._models)
        what = (tp.topic, tp.partition, partitions, store, self._directory.table, self._keys, self._zones)
        return admit_stage(*what, translator=self._format)

    async def _revoked(self, _sender: Any, *args: Any, **_: Any) -> None:
        revoked: Iterable[TP] = args[0]
        self.metrics.rebalances.inc()
        lanes = [self._lanes.pop(tp) for tp in list(revoked) if tp in self._lanes]
        await asyncio.gather(*(lane.close() for lane in lanes))

    def _fail(self, exc: BaseException) -> None:
        """Stop the process at once: going on would commit past what was not applied. A supervisor starts it anew."""
        log.critical("the worker stops and is to be started again", error=type(exc).__name__, reason=str(exc))
        os._exit(FAILED)

    @property
    def _settled(self) -> bool:
        app = self._app.faust
        return not app.rebalancing and not app.in_recovery and bool(app.consumer_generation_id)

    def _check_lease(self) -> None:
        try:
            self._lease.check()
        except LeaseError as exc:
            self._fail(exc)

    async def _stay_awake(self) -> None:
        """Renew the lease from before the group is joined on: no absence goes unnoticed, no slow start is one."""
        self._lease.begin()
        while True:
            self._lease.renew()
            await asyncio.sleep(TICK)

    async def _tick(self) -> None:
        """Everything that is due by the wall clock; decisions never are."""
        consumer = consumer_of(self._app.faust)
        while not self._stopping.is_set():
            if self._settled:
                self._check_alone(consumer)
                for tp in consumer.assignment():
                    if tp.topic in STAGE_OF:
                        await self._attend(tp, consumer)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK)

    def _check_alone(self, consumer: BatchConsumer) -> None:
        """Kafka lets two processes take one static member's place from each other for ever, both of them writing."""
        member = consumer.member_id
        if self._settings.worker_id and self._member not in ("", member):
            raise LeaseError(
                f"the group gave the place of worker_id {self._settings.worker_id} to another process or to none; when "
                "two workers have the same PARCELWATCH_WORKER_ID, give each its own"
            )
        self._member = member

    async def _attend(self, tp: TP, consumer: BatchConsumer) -> None:
        if tp not in self._lanes:
            # Faust starts fetching before partitions are in place, and drops what it fetched: begin where the stage
            # stands. Meanwhile the partition may be revoked: the next tick sees.
            await consumer.rewind(tp, self._lane(tp).stage.need)
            return
        lane = self._lanes[tp]
        now = time.monotonic()
        stage = lane.stage
        quiet = now - lane.last_take
        if consumer.at_end(tp, stage.need):
            lane.last_end = now
            if isinstance(stage, AdmitStage) and quiet >= self._settings.idle_after:
                await lane.rest()
        elif now - max(lane.last_end, lane.last_look) >= STILL and self._is_still(tp.topic, now):
            await lane.reread()
        if lane.dirty and not lane.checkpointing:
            longest = self._settings.checkpoint_interval
            if now - lane.last_checkpoint >= longest or quiet >= min(REST, longest):
                self._spawn(lane)

    def _is_still(self, topic: str, now: float) -> bool:
        """Whether no partition of the topic takes anything: a batch may wait behind those of others."""
        return all(now - lane.last_take >= STILL for tp, lane in self._lanes.items() if tp.topic == topic)

    def _spawn(self, lane: Lane) -> None:
        task = asyncio.ensure_future(lane.checkpoint())
        lane.checkpointing = True

        def done(task: asyncio.Future[None]) -> None:
            lane.checkpointing = False
            if not task.cancelled() and (exc := task.exception()) is not None:
                self._fail(exc)

        task.add_done_callback(done)

    def _held(self, tps: Iterable[TP]) -> set[TP]:
        """Source partitions that are too far ahead in event time to be read on."""
        clocks: dict[int, int] = {}
        for lane in self._lanes.values():
            stage = lane.stage
            if isinstance(stage, KeyedStage) and lane.tp.topic == PARCEL_LOG:
                for source, state in stage.merge.sources.items():
                    if not state.idle:
                        clocks[source] = max(state.clock, clocks.get(source, -1))
        stages = {tp: self._lanes[tp].stage for tp in tps if tp in self._lanes}
        admits = {tp: s for tp, s in stages.items() if isinstance(s, AdmitStage) and s.orders}
        for stage in admits.values():
            if stage.source in clocks:
                clocks[stage.source] = max(clocks[stage.source], stage.progress.st)
        if not clocks:
            return set()
        slowest = min(clocks.values())
        return {tp for tp, stage in admits.items() if stage.progress.st > slowest + ALIGNMENT}

    def _ready(self) -> tuple[bool, str]:
        if not self._directory.loaded.is_set():
            return False, "reading the staff directory"
        if not self._settled:
            return False, "joining the group or restoring state"
        return self._watch.ready()

    async def _look(self) -> None:
        consumer = consumer_of(self._app.faust)
        while not self._stopping.is_set():
            await asyncio.to_thread(self._models.prepare)
            if self._settled:
                await self._watch.ask(consumer)
                self._watch.measure(consumer)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[health.Endpoint]:
        """Started, until the context is left; then every partition is checkpointed and given up in order."""
        settings = self._settings
        app = self._app.faust
        endpoint = health.serve(
            settings.http_host, settings.http_port, self.registry, self._ready, self._watch.healthy
        )
        async with endpoint as served, self._directory.reading():
            await self._directory.loaded.wait()
            await asyncio.to_thread(self._models.prepare)
            awake = asyncio.ensure_future(self._stay_awake())
            awake.add_done_callback(self._task_ended)
            consumer_class: Any = BatchConsumer
            consumer_class.held = staticmethod(self._held)
            app.finalize()
            await app.start()
            guard_sends(app, self._check_lease)
            tasks = [asyncio.ensure_future(self._tick()), asyncio.ensure_future(self._look())]
            for task in tasks:
                task.add_done_callback(self._task_ended)
            try:
                yield served
            finally:
                self._stopping.set()
                await asyncio.gather(*tasks)
                await asyncio.gather(*(lane.checkpoint() for lane in self._lanes.values()))
                await app.consumer.commit()
                for lane in self._lanes.values():
                    lane.closed = True
                await app.stop()
                awake.cancel()

    def _task_ended(self, task: asyncio.Future[None]) -> None:
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._fail(exc)


async def run_worker(settings: Settings, keys: Keyring) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        SettingsError: an address that cannot be bound.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = Worker(settings, keys)
    # A full collection walks every cached state, some hundred milliseconds in which no alert leaves; states hold no
    # cycles, so only the young generations are worth a look.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000_000)
    async with worker.running() as endpoint:
        log.info("worker started", broker=settings.broker, metrics=endpoint.url)
        await stop.wait()
        log.info("worker stopping")
