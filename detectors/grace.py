"""A grace period: touches whose reason may still come, since a carrier's papers are entered by the end of a shift."""

from __future__ import annotations

import msgspec

from detectors.base import Late, Touch

#: Touches that may wait at once, unless said otherwise; who has more is judged by the oldest without waiting.
MOST_WAITING = 32


class Waiting(msgspec.Struct, array_like=True):
    """A touch in its grace period; `size` is what the detector wants to remember of it."""

    touch: tuple[int, int, int]
    time: int
    parcel: str
    size: int


class Grace(msgspec.Struct, array_like=True):
    """The waiting touches of one person, oldest first.

    >>> grace = Grace()
    >>> grace.add(Touch(0, 1, 2, 3, None, 5_000, 0, 1, "k1.p", 1, 0), 7)
    []
    >>> grace.explained(Late((1, 2, 3), 5_000, 1))
    >>> grace.end(9_000)
    []
    """

    waiting: list[Waiting] = []

    def add(self, touch: Touch, size: int = 1, most: int = MOST_WAITING) -> list[Waiting]:
        """Let a touch wait; gives those that must make room for it when more than `most` would wait."""
        waiting = [
            *self.waiting, Waiting((touch.src, touch.off, touch.idx), touch.time, touch.parcel, size)
        ]  # fmt: skip
        self.waiting = waiting[-most:]
        return waiting[:-most]

    def explained(self, late: Late) -> None:
        """The reason of a touch has come: it waits no more."""
        if self.waiting:
            self.waiting = [one for one in self.waiting if one.touch != late.touch]

    def end(self, upto: int) -> list[Waiting]:
        """Those touched up to an event time (ms) wait no more; gives them."""
        ripe = [one for one in self.waiting if one.time <= upto]
        self.waiting = [one for one in self.waiting if one.time > upto]
        return ripe
