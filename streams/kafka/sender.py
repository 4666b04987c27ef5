"""Sending carriers' records into Kafka: fast, in order, and counted only when the broker has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from kafka.errors import KafkaError as KafkaErrorOfAdmin
from kafka.errors import TopicAuthorizationFailedError

from streams.flow.connection import login_problem
from streams.flow.sources import source_key, source_partition
from streams.kafka.topic_admin import GRANT, admin_client
from streams.settings import Settings

BATCH_BYTES = 512 * 1024
#: Seconds to wait for a broker's first answer.
BROKER_TIMEOUT = 10.0


class SendError(Exception):
    """Records cannot be sent (on); says what, where and how to mend it."""


class Tally(msgspec.Struct):
    """What became of the records so far.

    Attributes:
        sent: acknowledged by all in-sync replicas.
        failed: given to the broker and refused, or never answered for.
    """

    sent: int = 0
    failed: int = 0


def topic_partitions(settings: Settings, topic: str) -> int:
    """Number of partitions the topic has on the broker.

    Raises:
        SendError: there is no such topic.
        TopicError: no broker answers.
    """
    # This topic alone: who may send to it need not see any other.
    with admin_client(settings, BROKER_TIMEOUT) as admin:
        try:
            [found] = admin.describe_topics([topic])
        except KafkaErrorOfAdmin as exc:
            raise SendError(
                f"the broker at {settings.broker} does not describe topic {topic} ({type(exc).__name__}); "
                "see `parcelwatch doctor`"
            ) from None
    if found["error_code"] == TopicAuthorizationFailedError.errno:
        raise SendError(f"this user may not see topic {topic} at {settings.broker}; {GRANT}")
    if not found["partitions"]:
        raise SendError(
            f"the broker at {settings.broker} has no topic {topic}; run `parcelwatch topics create`"
        )
    return len(found["partitions"])


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer that neither doubles nor reorders what it retries; stopped (and flushed) on exit.

    Raises:
        SendError: no broker answers.
    """
    client = AIOKafkaProducer(
        **settings.kafka_client,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
        linger_ms=5,
    )
    try:
        await client.start()
    except KafkaError as exc:
        await client.stop()
        if problem := await login_problem(settings):
            raise SendError(problem) from None
        raise SendError(
            f"no Kafka broker answers at {settings.broker} ({exc}); set PARCELWATCH_BROKER to yours"
        ) from None
    try:
        yield client
    finally:
        await client.stop()


class Sender:
    """Packs the values of one source topic into Kafka batches, one open batch a partition.

    aiokafka's `send` costs 40 µs a record; a batch filled by hand costs 3.

    Args:
        client: a started producer.
        topic: one of `streams.flow.sources.SOURCE_TOPICS`.
        partitions: how many the topic has.
        tally: counted up as the broker answers.
    """

    def __init__(self, client: AIOKafkaProducer, topic: str, partitions: int, tally: Tally) -> None:
        self._client = client
        self._topic = topic
        self._open: list[BatchBuilder] = [client.create_batch() for _ in range(partitions)]
        self._full: list[tuple[int, BatchBuilder]] = []
        self._under_way: set[asyncio.Future[object]] = set()
        self._tally = tally
        self._failure: BaseException | None = None

    def add(self, value: bytes) -> bool:
        """Put a value into its partition's batch; whether one is full now, so that `push` must be next."""
        key = source_key(self._topic, value)
        partition = source_partition(key, len(self._open))
        if self._open[partition].append(timestamp=None, key=key, value=value) is not None:
            return False
        self._close(partition)
        # An empty batch takes any record, whatever its size.
        self._open[partition].append(timestamp=None, key=key, value=value)
        return True

    async def push(self) -> None:
        """Hand full batches to the producer, waiting while it has enough.

        Raises:
            SendError: the broker refused an earlier batch, or takes no more; nothing later is sent, so order
                holds.
        """
        full, self._full = self._full, []
        for at, (partition, batch) in enumerate(full):
            count = batch.record_count()
            try:
                self._check()
                future = await self._client.send_batch(batch, self._topic, partition=partition)
            except (KafkaError, SendError) as exc:
                self._tally.failed += sum(batch.record_count() for _, batch in full[at:])
                raise self._refusal(exc) from None
            self._under_way.add(future)
            future.add_done_callback(partial(self._answered, count))
        # Let the producer's own task run even while it has room.
        await asyncio.sleep(0)

    async def push_all(self) -> None:
        """Hand over every batch, full or not."""
        for partition, batch in enumerate(self._open):
            if batch.record_count():
                self._close(partition)
        await self.push()

    async def finish(self) -> None:
        """Hand over everything and wait for every answer. Raises SendError."""
        await self.push_all()
        if self._under_way:
            await asyncio.wait(self._under_way)
        # Callbacks of the last answers run in the next turn of the loop.
        await asyncio.sleep(0)
        self._check()

    def _close(self, partition: int) -> None:
        batch = self._open[partition]
        batch.close()
        self._full.append((partition, batch))
        self._open[partition] = self._client.create_batch()

    def _answered(self, count: int, future: asyncio.Future[object]) -> None:
        self._under_way.discard(future)
        failure = future.exception()
        if failure is None:
            self._tally.sent += count
        else:
            self._tally.failed += count
            self._failure = self._failure or failure

    def _check(self) -> None:
        if self._failure is not None:
            raise self._refusal(self._failure)

    def _refusal(self, exc: BaseException) -> SendError:
        if isinstance(exc, SendError):
            return exc
        return SendError(
            f"topic {self._topic} took no more: {type(exc).__name__}. Look at the broker's log and "
            "`parcelwatch doctor`; values counted as failed may or may not be in the topic"
        )


class _Timed(msgspec.Struct, gc=False):
    time: datetime


_timed = msgspec.json.Decoder(_Timed).decode


class Pace:
    """Holds records back so that event time passes `speed` times as fast as the clock on the wall.

    The first readable time is now; a record without one, or earlier than its predecessor, is due at once.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first: datetime | None = None
        self._began = 0.0

    def wait(self, value: bytes) -> float:
        """Seconds until the value is due; not above 0 when it is due."""
        try:
            at = _timed(value).time
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return 0.0
        if at.tzinfo is None:
            return 0.0
        if self._first is None:
            self._first, self._began = at, time.monotonic()
        due = self._began + (at - self._first).total_seconds() / self._speed
        return due - time.monotonic()
