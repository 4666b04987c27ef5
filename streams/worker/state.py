"""A Faust table as a durable store of bytes: declared, restored and moved by Faust, written behind by checkpoints.

Faust writes a table's changelog record by record as a stream changes it; a checkpoint writes each changed key once, in
batches, and knows when the broker has them. Order matters (design: law 2): states, then progress, each acknowledged
before it is put into the local store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import faust
import rocksdict
from faust.types import TP

from streams.flow.stage import Snapshot

_FAUST_OFFSET_KEY = b"__faust\0offset__"


class TableStore:
    """One partition of a table kept in RocksDB.

    Args:
        app: the Faust app; its producer writes the changelog.
        table: a Faust table with bytes keys and values.
        partition: which.
    """

    def __init__(self, app: faust.App, table: Any, partition: int) -> None:
        self._app = app
        self._data = table.data
        self._partition = partition
        self._topic: str = table.changelog_topic.get_topic_name()

    @property
    def _db(self) -> Any:
        return self._data._db_for_partition(self._partition)

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return ((key, value) for key, value in self._db.items() if key != _FAUST_OFFSET_KEY)

    async def write(self, snapshot: Snapshot, may_write: Callable[[], None]) -> None:
        """Make a snapshot durable.

        Args:
            snapshot: what is written.
            may_write: raises when this process no longer owns the partition; asked right before each write.

        Raises:
            KafkaError: the broker did not take it; nothing may be consumed any more.
        """
        if snapshot.states:
            may_write()
            self._put(snapshot.states, await self._send(snapshot.states))
        may_write()
        self._put([snapshot.progress], await self._send([snapshot.progress]))

    async def _send(self, pairs: Sequence[tuple[bytes, bytes]]) -> int:
        """Append pairs to the changelog; gives the highest offset once all are acknowledged."""
        # Faust's producer sends single records only; at tens of thousands of states a second that is most of the cost.
        producer = self._app.producer._ensure_producer()  # type: ignore[attr-defined]  # the aiokafka driver's
        futures = []
        batch = producer.create_batch()
        for key, value in pairs:
            if batch.append(key=key, value=value, timestamp=None) is None:
                futures.append(await producer.send_batch(batch, self._topic, partition=self._partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        batch.close()
        futures.append(await producer.send_batch(batch, self._topic, partition=self._partition))
        sent = await asyncio.gather(*futures)
        last: int = sent[-1].offset + batch.record_count() - 1
        return last

    def _put(self, pairs: Sequence[tuple[bytes, bytes]], offset: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in pairs:
            batch.put(key, value)
        self._db.write(batch)
        self._data.set_persisted_offset(TP(self._topic, self._partition), offset)
