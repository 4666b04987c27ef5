"""Whom and what a person works with, learnt from others' handling of his parcels: for carriers without context."""

from __future__ import annotations

import msgspec

from detectors.base import Lesson, Normal, Touch, log_bin

#: Hours a parcel first touched had lain untouched (a day's highest), and days with parcels nobody had touched.
IDLE, PIONEER = "circle.idle", "circle.pioneer"
#: Days people have worked: the longest tells how old the log is.
AGE = "circle.age"
MOST_COWORKERS = 64
MEMORY = 28


class Circle(msgspec.Struct, array_like=True):
    """One person's circle.

    Attributes:
        coworkers: hash of a person → parcels both have handled.
        worked: finished days.
        idle: hours the longest untouched parcel of today had lain. idles: the same of finished days, oldest first.
        own_idle: their median.
        pioneer: whether today had a parcel nobody had touched. pioneers: share of own days that had, faded.
    """

    coworkers: dict[int, int] = {}
    worked: int = 0
    idle: int = 0
    idles: list[int] = []
    own_idle: int = 0
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
        dormant: float,
        least_dormant: int,
        pioneers: float,
    ) -> bool:
        """Whether a parcel first touched is far from the person's work; the circle knows it from then on.

        Args:
            touch: a first touch.
            normal: what is usual among others.
            group_days, shared, settle, dormant, least_dormant, pioneers: see `UnrelatedParcel`.
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
        idle = touch.idle // 3600
        if idle > self.idle:
            self.idle = idle
        if not far and idle >= least_dormant and (group := normal.group(group_days)) is not None:
            long = max(least_dormant, 2 * self.own_idle, 2 * group.quantile(IDLE, dormant))
            # In a young log nothing can have lain long, so that it had been ordinary would not be known.
            far = idle > long and 24 * group.quantile(AGE, 1.0) >= 2 * long
        return far

    def close_day(self) -> list[Lesson]:
        """The local day is over: what it teaches."""
        self.worked += 1
        lessons = [
            (IDLE, log_bin(self.idle)), (PIONEER, int(self.pioneer)), (AGE, log_bin(self.worked)),
        ]  # fmt: skip
        self.idles = [*self.idles, self.idle][-MEMORY:]
        self.own_idle = sorted(self.idles)[len(self.idles) // 2]
        self.pioneers += (self.pioneer - self.pioneers) / min(len(self.idles), MEMORY)
        self.idle, self.pioneer = 0, False
        return lessons
