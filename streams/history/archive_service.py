"""From the actor log into the history: reads every partition from where the folder says, and writes at intervals.

No consumer group and no committed offset: the folder is the truth. So a crash at any point, or a folder restored from
a backup, is read on from exactly what it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, RequestTimedOutError, UnknownTopicOrPartitionError
from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.flow.connection import login_problem
from streams.flow.events import decode_block
from streams.flow.topics import ACTOR_LOG, LARGEST_VALUE
from streams.history.archive import Archive, Flushed
from streams.history.archive_files import ArchiveError
from streams.settings import Settings, SettingsError

log = structlog.get_logger(__name__)

#: Seconds between tries to reach the broker, between questions for the lag, for an answer or a farewell.
RECONNECT, PROBE, GRACE = 5.0, 5.0, 5.0
#: Seconds without a turn of the loop after which a supervisor should restart the process.
STUCK_AFTER = 300.0
#: Blocks taken between two looks at the clock; each may hold thousands of rows.
MOST_BLOCKS = 50

_T = TypeVar("_T")


class HistoryMetrics:
    """What `history write` tells Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"parcelwatch_history_{name}_total", text, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"parcelwatch_history_{name}", text, registry=registry)

        self.rows = counter("rows", "Touches, late reasons and decisions written.")
        self.files = counter("files", "Files written.")
        self.bytes = counter("bytes", "Bytes written.")
        self.duplicates = counter("duplicates", "Rows left out as a stage before sent them twice.")
        self.missed = counter("missed_records", "Records Kafka no longer had when they were to be written.")
        self.expired = counter("expired_rows", "Rows removed as older than history_days.")
        self.lag = gauge("lag_records", "Records of the actor log not read yet, as last asked.")
        self.waiting = gauge("waiting_rows", "Rows read and not yet written.")
        self.flushed_at = gauge("last_flush_timestamp_seconds", "Unix time of the last flush; 0 before it.")


class ArchiveService:
    """Keeps an archive up to date.

    Args:
        settings: where the broker is, how many partitions there are, how long history is kept.
        archive: nobody else's.
        registry: where metrics go.
        interval: longest time between flushes, s.
        rows: rows waiting that are flushed sooner.
    """

    def __init__(
        self, settings: Settings, archive: Archive, registry: CollectorRegistry, *, interval: float, rows: int
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._interval = interval
        self._rows = rows
        self._partitions = [TopicPartition(ACTOR_LOG, number) for number in range(settings.partitions)]
        self._broker = "not connected yet"
        self._turned = self._flushed = time.monotonic()
        self.metrics = HistoryMetrics(registry)

    def ready(self) -> tuple[bool, str]:
        """Whether the actor log is being read."""
        return not self._broker, self._broker or f"{self._archive.rows} rows wait to be written"

    def healthy(self) -> tuple[bool, str]:
        """Whether the loop still turns; a broker that is away is no reason to restart."""
        silent = time.monotonic() - self._turned
        return silent < STUCK_AFTER, f"last turn {silent:.0f} s ago"

    async def run(self, stop: asyncio.Event) -> None:
        """Read and write until `stop` is set; then write what waits, and end.

        Raises:
            SettingsError: when `partitions` is not what the topic has.
            ArchiveError: when the history cannot be written, or is of another actor log.
        """
        while not stop.is_set():
            try:
                await self._read_while_connected(stop)
            except KafkaError as exc:
                self._broker = f"cannot read {ACTOR_LOG} from the broker: {type(exc).__name__}"
                problem = await login_problem(self._settings)
                log.warning(
                    "cannot read the actor log; what was read is still written",
                    broker=self._settings.broker,
                    error=type(exc).__name__,
                    again_in=RECONNECT,
                    remedy=problem
                    or "see that the broker runs, PARCELWATCH_BROKER names it and the topic exists "
                    "(parcelwatch topics create)",
                )
                await self._flush_in_time()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RECONNECT)
        await self._flush()

    async def _read_while_connected(self, stop: asyncio.Event) -> None:
        consumer = await self._connected(stop)
        if consumer is None:
            return
        try:
            await self._seek(consumer)
            # From now on the folder says where the history begins: what is then deleted unread is a gap.
            await self._flush()
            probed = float("-inf")
            while not stop.is_set():
                batch = await consumer.getmany(timeout_ms=200, max_records=MOST_BLOCKS)
                self._turned = time.monotonic()
                for records in batch.values():
                    self.take(records)
                await self._flush_in_time()
                if self._turned - probed > PROBE:
                    self._broker = await self._probe(consumer)
                    probed = time.monotonic()
        finally:
            await _leave(consumer)

    async def _connected(self, stop: asyncio.Event) -> AIOKafkaConsumer | None:
        """A consumer that runs, or None when told to stop before a silent broker has answered."""
        connecting, asked = asyncio.create_task(self._new_consumer()), asyncio.create_task(stop.wait())
        await asyncio.wait({connecting, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if connecting.done():
            return connecting.result()
        connecting.cancel()
        await asyncio.wait({connecting})
        return None

    async def _new_consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._settings.kafka_client,
            client_id=f"{self._settings.app_id}-history",
            enable_auto_commit=False,
            # What is gone is to be noticed, not jumped over.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=LARGEST_VALUE,
        )
        try:
            await consumer.start()
        except BaseException:  # cancelled too: what has begun to start must be taken leave of
            await _leave(consumer)
            raise
        return consumer

    async def _seek(self, consumer: AIOKafkaConsumer) -> None:
        """Go where the archive says, as far as Kafka still has it."""
        if ACTOR_LOG not in await _answer(consumer.topics()):
            raise UnknownTopicOrPartitionError
        consumer.assign(self._partitions)
        # The first partition is always there; of one that is not, the broker would never answer.
        await _answer(consumer.beginning_offsets(self._partitions[:1]))
        there = consumer.partitions_for_topic(ACTOR_LOG)
        if there and there != {tp.partition for tp in self._partitions}:
            raise SettingsError(
                f"setting partitions = {len(self._partitions)}: {ACTOR_LOG} has {len(there)}; set "
                "PARCELWATCH_PARTITIONS to that, as the workers have it"
            )
        begins = await _answer(consumer.beginning_offsets(self._partitions))
        ends = await _answer(consumer.end_offsets(self._partitions))
        for tp in self._partitions:
            following = self._archive.next(tp.partition)
            if following > ends[tp]:
                raise ArchiveError(
                    f"the history {self._settings.history_path} has {ACTOR_LOG} partition {tp.partition} up to offset "
                    f"{following}, the broker only to {ends[tp]}: the topic was made anew, or is another cluster's; "
                    "set PARCELWATCH_HISTORY_DIR to a new folder"
                )
            if following < begins[tp]:
                if self._archive.skip_to(tp.partition, begins[tp]):
                    self.metrics.missed.inc(begins[tp] - following)
                    log.error(
                        "records were deleted from the actor log before they were in the history; the manifest "
                        "keeps the gap; run `history write` always, or raise the topic's retention.ms",
                        partition=tp.partition,
                        first=following,
                        following=begins[tp],
                    )
                following = begins[tp]
            consumer.seek(tp, following)

    def take(self, records: list[ConsumerRecord]) -> None:
        """Take records of one partition into the archive.

        Raises:
            ArchiveError: when one of them is no block.
        """
        before = self._archive.duplicates
        for record in records:
            try:
                block = decode_block(record.value or b"")
            except msgspec.DecodeError as exc:
                raise ArchiveError(
                    f"{ACTOR_LOG} partition {record.partition} offset {record.offset} is no block: {exc}; only "
                    "`parcelwatch worker` may write there, and history and worker must be of one version"
                ) from None
            self._archive.add(record.partition, record.offset, block)
        self.metrics.duplicates.inc(self._archive.duplicates - before)
        self.metrics.waiting.set(self._archive.rows)

    async def _flush_in_time(self) -> None:
        if self._archive.rows >= self._rows or time.monotonic() - self._flushed >= self._interval:
            await self._flush()

    async def _flush(self) -> None:
        # In a thread, so that health is answered meanwhile.
        done = await asyncio.to_thread(self._archive.flush)
        removed = await asyncio.to_thread(self._archive.expire, self._settings.history_days)
        self._turned = self._flushed = time.monotonic()
        self.metrics.flushed_at.set(time.time())
        self.metrics.waiting.set(self._archive.rows)
        if done.files:
            self._count(done)
        for one in removed:
            self.metrics.expired.inc(one.rows)
            log.info(
                "day removed as too old", kind=one.kind, carrier=one.carrier, day=str(one.day), rows=one.rows
            )

    def _count(self, done: Flushed) -> None:
        self.metrics.rows.inc(done.rows)
        self.metrics.files.inc(done.files)
        self.metrics.bytes.inc(done.bytes)
        log.info("history written", files=done.files, rows=done.rows, bytes=done.bytes)

    async def _probe(self, consumer: AIOKafkaConsumer) -> str:
        """Ask for the lag. Returns what is wrong, or nothing: the consumer never says that it is cut off."""
        try:
            ends = await _answer(consumer.end_offsets(self._partitions))
        except KafkaError as exc:
            return f"the broker does not answer: {type(exc).__name__}"
        self.metrics.lag.set(sum(end - self._archive.next(tp.partition) for tp, end in ends.items()))
        return ""


async def _answer(question: Awaitable[_T]) -> _T:
    """What the broker answers. Raises RequestTimedOutError when it does not."""
    try:
        async with asyncio.timeout(GRACE):
            return await question
    except TimeoutError:
        raise RequestTimedOutError from None


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, without waiting long for a broker that is silent."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await consumer.stop()
