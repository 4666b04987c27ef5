"""Whom and what a person works with, learnt from others' handling of his parcels: for carriers without context."""

from __future__ import annotations

import msgspec

from detectors.base import Lesson, Norm, Normal, Touch, log_bin

#: Hours a parcel had rested when somebody new took it up, by how many had handled it before, this many or more as one.
HANDLERS, BINS = 4, 1000
REST = tuple(f"circle.rest.{handlers}" for handlers in range(HANDLERS + 1))
#: Days with parcels nobody had touched; days people have worked: the longest tells how old the log is.
PIONEER, AGE = "circle.pioneer", "circle.age"
MOST_COWORKERS = 64
#: Rests a day teaches at the most: enough for a company to learn from, and no one person's day is the company's.
MOST_RESTS, MOST_LONG = 24, 4
MEMORY = 28


class Circle(msgspec.Struct, array_like=True):
    """One person's circle.

    Attributes:
        coworkers: hash of a person → parcels both have handled.
        worked: finished days, up to MEMORY counted in `pioneers`.
        rests: today's rests, each BINS times the handlers plus the bin of hours.
        long: how many of them were long.
        pioneer: whether today had a parcel nobody had touched. pioneers: share of own days that had, faded.
    """

    coworkers: dict[int, int] = {}
    worked: int = 0
    rests: list[int] = []
    long: int = 0
    pioneer: bool = False
    pioneers: float = 0.0

    def is_far(
        self,
        touch: Touch,
        normal: Normal,
        *,
        group_days: int,
        shared: int,
        settle: int,
        rested: float,
        pioneers: float,
    ) -> bool:
        """Whether a parcel first touched is far from the person's work; the circle knows it from then on.

        Args:
            touch: a first touch.
            normal: what is usual among others.
            group_days, shared, settle, rested, pioneers: see `UnrelatedParcel`.
        """
        others = touch.others
        if not others:
            self.pioneer = True
            group = normal.group(group_days)
            return group is not None and max(group.share(PIONEER, 1), self.pioneers) < pioneers
        coworkers = self.coworkers
        far = len(coworkers) >= settle
        for other in others:
            met = coworkers.get(other, 0)
            if met >= shared:
                far = False
            coworkers[other] = met + 1
        if len(coworkers) > MOST_COWORKERS:
            halved = {other: parcels // 2 for other, parcels in coworkers.items() if parcels > 1}
            # Who only ever meets strangers must not grow either: the latest met stay.
            self.coworkers = dict(list(halved.items() or coworkers.items())[-MOST_COWORKERS // 2 :])
        return self._rested(touch, normal.group(group_days), rested) or far

    def _rested(self, touch: Touch, group: Norm | None, factor: float) -> bool:
        """Whether it had rested far longer than parcels with as many handlers do before somebody new takes them up."""
        handlers, hours = min(len(touch.others), HANDLERS), touch.idle // 3600
        usual = group.quantile(REST[handlers], 0.95) if group is not None else 0.0
        over = hours > usual
        # Of long rests a day teaches few: a leak must not make its own rests usual.
        if len(self.rests) < MOST_RESTS and (not over or self.long < MOST_LONG):
            self.rests.append(handlers * BINS + log_bin(hours))
            self.long += over
        # In a young log nothing can have rested long: how usual it is were not known.
        return (
            group is not None and hours > factor * usual > 0 and 24 * group.quantile(AGE, 1.0) >= 1.5 * hours
        )

    def close_day(self, *, teach: bool) -> list[Lesson]:
        """The local day is over: what it teaches; of rests nothing unless `teach`."""
        self.worked += 1
        rests = [(REST[rest // BINS], rest % BINS) for rest in self.rests if teach]
        lessons = [*rests, (PIONEER, int(self.pioneer)), (AGE, log_bin(self.worked))]
        self.pioneers += (self.pioneer - self.pioneers) / min(self.worked, MEMORY)
        self.rests, self.long, self.pioneer = [], 0, False
        return lessons
