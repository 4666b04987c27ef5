"""Every worker reads the staff directory whole: first to its end, then whatever is added."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.admit.directory import Directory
from streams.admit.validate import RefusalError
from streams.flow.topics import STAFF_DIRECTORY
from streams.privacy.tokens import Keyring
from streams.settings import Settings

log = structlog.get_logger(__name__)


class DirectoryReader:
    """Keeps a `Directory` equal to the topic.

    Args:
        settings: of the process.
        keys: the key ring.
    """

    def __init__(self, settings: Settings, keys: Keyring) -> None:
        self._settings = settings
        self.table = Directory(keys)
        self.loaded = asyncio.Event()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read for as long as the context lasts. `loaded` is set once all that was there has been read."""
        consumer = AIOKafkaConsumer(
            **self._settings.kafka_client,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        tps = [TopicPartition(STAFF_DIRECTORY, p) for p in range(self._settings.partitions)]
        consumer.assign(tps)
        task = asyncio.ensure_future(self._read(consumer, tps))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await consumer.stop()

    async def _read(self, consumer: Any, tps: list[Any]) -> None:
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        while True:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    # The admit stage of that partition reads it too, and rejects it by name.
                    with suppress(RefusalError):
                        self.table.load(record.key, record.value)
            if not self.loaded.is_set():
                positions = [await consumer.position(tp) for tp in tps]
                if all(position >= ends[tp] for position, tp in zip(positions, tps, strict=True)):
                    self.loaded.set()
                    log.info("staff directory read", people=len(self.table))
