"""Puts the workload into Kafka: a backlog as fast as it goes, or a stream at a fixed rate."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator

from aiokafka import AIOKafkaProducer

from streams.flow.topics import ACCESS_EVENTS
from streams.kafka.sender import Sender, Tally

TICK = 0.01


async def load(producer: AIOKafkaProducer, partitions: int, values: Iterable[bytes]) -> int:
    """Send access events as fast as it goes; how many the broker acknowledged.

    Raises:
        SendError: the broker refused some.
    """
    tally = Tally()
    sender = Sender(producer, ACCESS_EVENTS, partitions, tally)
    for value in values:
        if sender.add(value):
            await sender.push()
    await sender.finish()
    return tally.sent


async def pace(
    producer: AIOKafkaProducer, partitions: int, values: Iterator[bytes], *, rate: float, seconds: float
) -> float:
    """Send access events at `rate` a second for `seconds`, in ticks of 10 ms; the rate that was held.

    Raises:
        SendError: the broker refused some.
    """
    loop = asyncio.get_running_loop()
    tally = Tally()
    sender = Sender(producer, ACCESS_EVENTS, partitions, tally)
    begun = loop.time()
    count = 0
    while (elapsed := loop.time() - begun) < seconds:
        due = int(elapsed * rate)
        for value in itertools.islice(values, due - count):
            sender.add(value)
        count = due
        await sender.push_all()
        await asyncio.sleep(max(begun + (int(elapsed / TICK) + 1) * TICK - loop.time(), 0))
    await sender.finish()
    return tally.sent / (loop.time() - begun)
