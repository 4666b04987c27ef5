"""Counts over sliding windows of event time, in constant space and without a clock."""

from __future__ import annotations

import msgspec


class Ring(msgspec.Struct, array_like=True):
    """Sums of parcels and records over the latest `len(parcels)` slots of event time.

    Attributes:
        at: number of the latest slot (event time in ms divided by the slot's width); 0 before the first.
        parcels, records: sums by slot, oldest first, the latest last.
        total_parcels, total_records: sums over the ring.
    """

    at: int
    parcels: list[int]
    records: list[int]
    total_parcels: int = 0
    total_records: int = 0

    @classmethod
    def of(cls, slots: int) -> Ring:
        """An empty ring.

        >>> ring = Ring.of(3)
        >>> for slot, n in [(7, 2), (8, 5), (10, 1)]:
        ...     ring.add(slot, n, n)
        >>> ring.parcels, ring.total_parcels
        ([5, 0, 1], 6)
        """
        return cls(0, [0] * slots, [0] * slots)

    def add(self, slot: int, parcels: int, records: int) -> None:
        """Count into a slot; one that has left the window already is left out."""
        self.move_to(slot)
        index = len(self.parcels) - 1 + slot - self.at
        if index >= 0:
            self.parcels[index] += parcels
            self.records[index] += records
            self.total_parcels += parcels
            self.total_records += records

    def move_to(self, slot: int) -> None:
        """Let the window end at `slot`, if it does not end later already."""
        ahead = slot - self.at
        if ahead <= 0:
            return
        self.at = slot
        size = len(self.parcels)
        if ahead >= size:
            self.parcels, self.records = [0] * size, [0] * size
            self.total_parcels = self.total_records = 0
            return
        self.total_parcels -= sum(self.parcels[:ahead])
        self.total_records -= sum(self.records[:ahead])
        self.parcels = self.parcels[ahead:] + [0] * ahead
        self.records = self.records[ahead:] + [0] * ahead

    def since(self) -> int:
        """Number of the earliest slot that counted anything; the latest slot when none did.

        >>> ring = Ring.of(3)
        >>> ring.add(8, 1, 1)
        >>> ring.move_to(9)
        >>> ring.since()
        8
        """
        used = [i for i, (p, r) in enumerate(zip(self.parcels, self.records, strict=True)) if p or r]
        return self.at - (len(self.parcels) - 1 - used[0]) if used else self.at
