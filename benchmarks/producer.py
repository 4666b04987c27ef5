"""Puts the workload into Kafka: a backlog as fast as it goes, or a stream at a fixed rate."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

TICK = 0.01
BATCH_BYTES = 1024 * 1024


@asynccontextmanager
async def connect(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer: lz4, idempotent, batches of 1 MiB."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
        max_request_size=8 * BATCH_BYTES,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@lru_cache(maxsize=None)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition Kafka's default partitioner gives this key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


async def load(
    producer: AIOKafkaProducer, topic: str, partitions: int, events: Iterable[tuple[bytes, bytes]]
) -> int:
    """Send the events, keyed, as fast as it goes; returns how many the broker acknowledged."""
    batches = [producer.create_batch() for _ in range(partitions)]
    sent: list[asyncio.Future[object]] = []
    count = 0
    for key, value in events:
        partition = partition_of(key, partitions)
        if batches[partition].append(timestamp=None, key=key, value=value) is None:
            sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
            batches[partition] = producer.create_batch()
            batches[partition].append(timestamp=None, key=key, value=value)
        count += 1
    for partition, batch in enumerate(batches):
        if batch.record_count():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*sent)
    return count


async def pace(
    producer: AIOKafkaProducer,
    topic: str,
    partitions: int,
    events: Iterator[tuple[bytes, bytes]],
    *,
    rate: float,
    seconds: float,
) -> float:
    """Send events at `rate` a second for `seconds`, in ticks of 10 ms; returns the rate that was held."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    count = 0
    pending: set[asyncio.Future[object]] = set()
    while (elapsed := loop.time() - begun) < seconds:
        due = int(elapsed * rate) - count
        batches = {}
        for key, value in itertools.islice(events, due):
            partition = partition_of(key, partitions)
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value) is None:
                pending.add(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        count += due
        for partition, batch in batches.items():
            pending.add(await producer.send_batch(batch, topic, partition=partition))
        done = {future for future in pending if future.done()}
        for future in done:
            future.result()
        pending -= done
        await asyncio.sleep(max(begun + (int(elapsed / TICK) + 1) * TICK - loop.time(), 0))
    await asyncio.gather(*pending)
    return count / (loop.time() - begun)
