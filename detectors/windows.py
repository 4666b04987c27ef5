"""Counts over sliding windows of event time, in constant space and without a clock."""

from __future__ import annotations

import msgspec


class Ring(msgspec.Struct, array_like=True):
    """Sums of one quantity over the latest `len(counts)` slots of event time.

    Attributes:
        width: of a slot, ms.
        at: number of the latest slot (event time in ms divided by the width); 0 before the first.
        counts: sums by slot, oldest first, the latest last.
        firsts: ms from each slot's start to the first that was counted in it.
        total: sum over the ring.
    """

    width: int
    at: int
    counts: list[int]
    firsts: list[int]
    total: int = 0

    @classmethod
    def of(cls, slots: int, width: int) -> Ring:
        """An empty ring.

        >>> ring = Ring.of(3, 1000)
        >>> for time, n in [(7_100, 2), (8_200, 5), (10_300, 1)]:
        ...     ring.add(time, n)
        >>> ring.counts, ring.total
        ([5, 0, 1], 6)
        """
        return cls(width, 0, [0] * slots, [0] * slots)

    def add(self, time: int, count: int) -> None:
        """Count at an event time (ms); a slot that has left the window already is left out."""
        slot = time // self.width
        if slot > self.at:
            self.move_to(time)
        index = len(self.counts) - 1 + slot - self.at
        if index >= 0:
            first = time - slot * self.width
            if not self.counts[index] or first < self.firsts[index]:
                self.firsts[index] = first
            self.counts[index] += count
            self.total += count

    def with_added(self, time: int, count: int) -> Ring:
        """A copy in which so many more are counted."""
        copy = Ring(self.width, self.at, [*self.counts], [*self.firsts], self.total)
        if count:
            copy.add(time, count)
        return copy

    def move_to(self, time: int) -> None:
        """Let the window end at `time`, if it does not end later already."""
        slot = time // self.width
        ahead = slot - self.at
        if ahead <= 0:
            return
        self.at = slot
        size = len(self.counts)
        if ahead >= size:
            self.counts, self.firsts, self.total = [0] * size, [0] * size, 0
            return
        gone = sum(self.counts[:ahead])
        if gone:
            self.total -= gone
        self.counts = self.counts[ahead:] + [0] * ahead
        self.firsts = self.firsts[ahead:] + [0] * ahead

    def burst(self, rate: float) -> tuple[int, int]:
        """(event time, count) of the latest stretch whose slots count at least `rate`, one slower slot bridged.

        The latest slot belongs to it whatever it has counted so far.

        >>> ring = Ring.of(5, 1000)
        >>> for time, n in [(1_100, 1), (2_000, 1), (3_500, 9), (4_000, 8), (5_000, 1)]:
        ...     ring.add(time, n)
        >>> ring.burst(5)
        (3500, 18)
        """
        last = first = len(self.counts) - 1
        for index in range(last - 1, -1, -1):
            if self.counts[index] >= rate:
                first = index
            elif first - index > 1:
                break
        while first < last and not self.counts[first]:
            first += 1
        start = (self.at - (last - first)) * self.width + self.firsts[first]
        return start, sum(self.counts[first:])
