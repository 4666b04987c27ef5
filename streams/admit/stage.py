"""admit reads what carriers send, validates it, turns identities into tokens and packs blocks for the next stage.

What all inbound topics share is here; what each one's records become is in its own file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from detectors.base import Person, Touch
from streams.admit.directory import Directory
from streams.admit.local_time import Zones
from streams.admit.progress import Progress
from streams.admit.recent import RecentIds
from streams.admit.refuse import rejection
from streams.admit.validate import Clock, RefusalError, decode, decode_batch
from streams.flow.events import LAST, Block, encode_block, source_id
from streams.flow.stage import RESERVED, Out, Record, Snapshot, Stage, Store
from streams.privacy.tokens import Keyring

#: Per destination: its block, the block's people, their indexes by identity, and how a touch is appended.
Parts = Sequence[tuple[Block, list[Person], dict[int, int], Callable[[Touch], None]]]


class AdmitStage(Stage):
    """One partition of one inbound topic.

    Args:
        partition, partitions: which, of how many.
        store: the partition's share of the `admit` table.
        directory: the broadcast staff directory.
        keys: seals what is rejected.
        zones: carriers' local time.

    Attributes:
        topic: what it reads. record_type: what that topic holds.
        source_kind: kind of upstream its blocks are of. downstream: where they go; empty for none.
        orders: whether its records order the log: then later stages wait for it until it says that it is idle.
    """

    topic: ClassVar[str]
    record_type: ClassVar[Any]
    source_kind: ClassVar[int] = 0
    downstream: ClassVar[str] = ""
    orders: ClassVar[bool] = True

    def __init__(
        self,
        partition: int,
        partitions: int,
        store: Store,
        directory: Directory,
        keys: Keyring,
        zones: Zones,
    ) -> None:
        super().__init__(partition)
        self._partitions = partitions
        self._directory = directory
        self._keys = keys
        self._zones = zones if zones else None
        self._key = f"{RESERVED}progress/{self.topic}".encode()
        raw = store.get(self._key)
        self.progress = msgspec.msgpack.decode(raw, type=Progress) if raw else Progress()
        self.counts = Counter(self.progress.counts)
        self.source = source_id(self.source_kind, partition)
        self._ids = RecentIds(self.topic, store, self.progress.next)
        self._resting = False
        #: The last record that could be read, for the metrics.
        self.latest: Any = None
        self._notes: list[str] = []
        self._clock = Clock()

    @property
    def need(self) -> int:
        return self.progress.next

    def skip_to(self, offset: int) -> None:
        self.progress.next = offset

    def take(self, records: Sequence[Record]) -> None:
        records = self.unbroken(records, self.progress.next)
        if not records:
            return
        blocks = [Block(self.source, (0, 0, 0, 0), 0, False) for _ in range(self._partitions)]
        parts: Parts = [(block, block.people, {}, block.touches.append) for block in blocks]
        self.admit_batch(records, parts)
        self.progress.next = records[-1].offset + 1
        self._resting = False
        self._send(blocks, idle=False)

    def admit_batch(self, records: Sequence[Record], parts: Parts) -> None:
        """Add what records become to the blocks, count them, and reject what cannot be admitted."""
        kind, admit = self.record_type, self.admit
        admitted = duplicate = rejected = 0
        notes, corrected, event = self._notes, Counter[str](), self.latest
        events: Sequence[Any] | None = decode_batch(kind, [record.value for record in records])
        for index, record in enumerate(records):
            try:
                event = events[index] if events else self.read(record.value)
                if admit(event, record, parts, notes):
                    admitted += 1
                    for note in notes:
                        corrected[note] += 1
                else:
                    duplicate += 1
            except RefusalError as refusal:
                rejected += 1
                self._reject(record, refusal)
            if notes:
                notes.clear()
        self.counts.update(received=len(records), admitted=admitted, duplicate=duplicate, rejected=rejected)
        self.latest = event
        self.counts.update({f"corrected/{name}": n for name, n in corrected.items()})

    def _send(self, parts: Sequence[Block], *, idle: bool) -> None:
        if not self.downstream:
            return
        st = self.progress.st if self.orders else 0
        through = (st, self.source, self.progress.next - 1, LAST)
        for partition, block in enumerate(parts):
            if self.orders or block.controls:
                block.through, block.clock, block.idle = through, st, idle or not self.orders
                self.out.append(Out(self.downstream, partition, None, encode_block(block)))

    def rest(self) -> None:
        if not self._resting and self.orders:
            self._resting = True
            blocks = [Block(self.source, (0, 0, 0, 0), 0, True) for _ in range(self._partitions)]
            self._send(blocks, idle=True)

    def read(self, value: bytes | None) -> Any:
        """One record of the topic; None is a tombstone, where the topic has such.

        Raises:
            RefusalError: naming the fault.
        """
        return decode(self.record_type, value, self._notes)

    @abstractmethod
    def admit(self, event: Any, record: Record, parts: Parts, notes: list[str]) -> bool:
        """Add what a record becomes to the blocks; False for a duplicate.

        Args:
            event: the record, decoded.
            record: as Kafka holds it.
            parts: one a destination partition.
            notes: corrections made so far; further ones are added.

        Raises:
            RefusalError: naming the fault.
        """

    def _reject(self, record: Record, refusal: RefusalError) -> None:
        self.counts[f"rejected/{refusal.reason}"] += 1
        self.out.append(rejection(self.topic, self.partition, record, refusal, self._keys))

    def snapshot(self) -> Snapshot:
        self.progress.counts = dict(sorted(self.counts.items()))
        return Snapshot(
            self._ids.take_grown(), (self._key, msgspec.msgpack.encode(self.progress)), self.progress.next
        )

    def written(self, snapshot: Snapshot) -> None:
        """Nothing is cached that the store should give back."""
