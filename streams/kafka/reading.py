"""Reading a topic from its beginning to its present end, once, as a command does that looks back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.sender import SendError, topic_partitions
from streams.settings import Settings

#: Seconds without a record, short of the end, after which the broker counts as gone.
STALLED = 15.0


async def read_topic(settings: Settings, topic: str) -> AsyncGenerator[ConsumerRecord[Any, Any], None]:
    """Every committed record of a topic up to its present end, in order within each partition.

    Raises:
        SendError: there is no such topic, or the broker stops answering.
        TopicError: no broker answers.
    """
    count = await asyncio.to_thread(topic_partitions, settings, topic)
    partitions = [TopicPartition(topic, n) for n in range(count)]
    # Not `seek_to_beginning`: the default policy's own jump to the end may come after it and win.
    consumer = AIOKafkaConsumer(
        **settings.kafka_client,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        moved = time.monotonic()
        while any([await consumer.position(at) < ends[at] for at in partitions]):
            batches = await consumer.getmany(timeout_ms=500)
            if batches:
                moved = time.monotonic()
            elif time.monotonic() - moved > STALLED:
                raise SendError(
                    f"topic {topic} at {settings.broker} gave nothing for {STALLED:g} s before its end; "
                    "see `parcelwatch doctor`, then run the command again"
                )
            for at, records in batches.items():
                for record in records:
                    if record.offset < ends[at]:
                        yield record
    except KafkaError as exc:
        raise SendError(
            f"cannot read topic {topic} at {settings.broker}: {exc}; see `parcelwatch doctor`"
        ) from None
    finally:
        await consumer.stop()
