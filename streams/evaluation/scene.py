"""The log as a leaker finds it: his days and hours, his desk, the parcels he could open at a moment."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from detectors.base import ACTION_CODES
from streams.admit.validate import DAY, MINUTE
from streams.evaluation.log import HOUR, AccessLog, Ints, Style

#: Parcels are drawn from those in use over so many days; doubled until there are enough to choose from.
RECENT = 14
#: To choose from, against what is taken.
CHOICE = 3
#: Somebody who has touched more than this share of all parcels says nothing about who works with whom.
EVERYWHERE = 0.2
#: An hour of the day that holds less than this share of a person's accesses is not one of his.
STRAY = 0.002


class Act(NamedTuple):
    """One access to be written into the log.

    Attributes:
        time, offset: ms since the epoch, minutes the local time is east of UTC.
        person: number in the log.
        action: name.
        parcels: ids.
        records: shipment records returned.
        style: how it looks besides.
        found: whether what was asked for exists.
    """

    time: int
    offset: int
    person: int
    action: str
    parcels: tuple[str, ...]
    records: int
    style: Style
    found: bool = True


class Scene:
    """What shapes need to know of a log.

    Args:
        log: the benign log.
    """

    def __init__(self, log: AccessLog) -> None:
        self.log = log
        self._order: tuple[Ints, Ints] | None = None
        self.closeness = lru_cache(maxsize=1024)(self._closeness)
        self.shifts = lru_cache(maxsize=4096)(self._shifts)
        self.busy_hours = lru_cache(maxsize=4096)(self._busy_hours)

    def _shifts(self, person: int) -> dict[int, tuple[int, int]]:
        """First and last ms of each local day the person was active on."""
        events = self.log.of_person[person]
        if not len(events):
            return {}
        days, first = np.unique(self.log.day[events], return_index=True)
        last = np.append(first[1:], len(events)) - 1
        times = self.log.time[events]
        return {int(d): (int(times[f]), int(times[e])) for d, f, e in zip(days, first, last, strict=True)}

    def _busy_hours(self, person: int) -> frozenset[int]:
        """Local hours of the day that hold a share of the person's accesses."""
        events = self.log.of_person[person]
        hours = (self.log.time[events] + self.log.offset[events] * MINUTE) // HOUR % 24
        shares = np.bincount(hours, minlength=24) / max(1, len(hours))
        return frozenset(int(hour) for hour in np.flatnonzero(shares > STRAY))

    def near(self, person: int, ms: int, action: str = "") -> int:
        """Number of the person's access nearest in time, one of that action if he has any.

        Of somebody without any, everybody's.
        """
        events = self.log.of_person[person]
        if not len(events):
            events = np.arange(len(self.log.time))
        if action:
            same = events[self.log.action[events] == ACTION_CODES[action]]
            events = same if len(same) else events
        at = int(np.searchsorted(self.log.time[events], ms))
        around = events[max(0, at - 1) : at + 1]
        return int(min(around, key=lambda event: abs(int(self.log.time[event]) - ms)))

    def style(self, person: int, ms: int, action: str = "") -> Style:
        """How the person's accesses look about then."""
        return self.log.styles[int(self.log.style[self.near(person, ms, action)])]

    def offset(self, person: int, ms: int) -> int:
        """Minutes the person's local time is east of UTC about then."""
        return int(self.log.offset[self.near(person, ms)])

    def midnight(self, person: int, day: int) -> int:
        """Event time (ms) at which a local day of the person begins."""
        ms = day * DAY
        return ms - self.offset(person, ms) * MINUTE

    def parcels_of(self, person: int, day: int) -> list[int]:
        """Parcels the person touches on a local day."""
        log = self.log
        mine = self._touches(person)
        of_day = mine[log.day[log.touch_event[mine]] == day]
        return [int(parcel) for parcel in np.unique(log.touch_parcel[of_day])]

    def _touches(self, person: int) -> Ints:
        if self._order is None:
            order = np.argsort(self.log.touch_person, kind="stable")
            people = np.arange(len(self.log.people) + 1)
            self._order = order, np.searchsorted(self.log.touch_person[order], people)
        order, bounds = self._order
        return order[bounds[person] : bounds[person + 1]]

    def fresh(self, rng: random.Random, person: int, ms: int, count: int) -> list[int] | None:
        """Parcels in use lately that are new to the person, at random; None when there are too few."""
        pool = self._pool(person, ms, count)
        return _draw(rng, pool, count)

    def strange(self, rng: random.Random, person: int, ms: int, count: int) -> list[int] | None:
        """Parcels in use lately that nobody close to the person has handled; None when there are too few.

        Close are his site and team; where the directory does not say, those he shares many parcels with, half of
        all he shares any with at least.
        """
        log = self.log
        pool = self._pool(person, ms, 20 * count)
        until = int(np.searchsorted(log.touch_time, ms))
        mine = self.closeness(person)
        pool = pool[~self._among(log.touch_parcel[:until][mine[log.touch_person[:until]]])[pool]]
        record = log.staff.get(person)
        if record is not None and record.site and log.parcel_sites:
            known = log.parcel_sites
            pool = np.array([p for p in pool.tolist() if record.site not in known.get(p, ())], np.int64)
        return _draw(rng, pool, count)

    def _pool(self, person: int, ms: int, count: int) -> Ints:
        log, span = self.log, RECENT * DAY
        until = int(np.searchsorted(log.touch_time, ms))
        mine = self._touches(person)
        known = log.touch_parcel[mine[mine < until]]
        while True:
            start = int(np.searchsorted(log.touch_time, ms - span))
            lately = self._among(log.touch_parcel[start:until])
            lately[known] = False
            pool = np.flatnonzero(lately)
            if len(pool) >= CHOICE * count or start == 0:
                return pool
            span *= 2

    def _closeness(self, person: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """By number: whether somebody is close to the person."""
        log = self.log
        record = log.staff.get(person)
        close = np.zeros(len(log.people), np.bool_)
        if record is not None and (record.site or record.team):
            for other, theirs in log.staff.items():
                same_team = record.team and theirs.team == record.team
                close[other] = bool(same_team or (record.site and theirs.site == record.site))
            return close
        pairs = np.unique(log.touch_person << 32 | log.touch_parcel)
        who, what = pairs >> 32, pairs & 0xFFFF_FFFF
        has = np.zeros(len(log.parcels), np.bool_)
        has[what[who == person]] = True
        totals = np.bincount(who, minlength=len(log.people))
        shared = np.bincount(who[has[what]], minlength=len(log.people))
        alike = shared / np.sqrt(np.maximum(1, totals) * max(1, totals[person]))
        alike[totals > EVERYWHERE * len(log.parcels)] = 0
        alike[person] = 0
        if alike.any():
            # Whoever is half as close as the closest; where people roam and all are alike, half of them at least.
            close = alike >= min(float(np.median(alike[alike > 0])), float(alike.max()) / 2)
        close[person] = True
        return close

    def ids(self, parcels: list[int]) -> list[str]:
        """Their ids."""
        return [self.log.parcels[parcel] for parcel in parcels]

    def before(self, ms: int) -> Ints:
        """Parcels that existed by then."""
        until = int(np.searchsorted(self.log.touch_time, ms))
        return np.flatnonzero(self._among(self.log.touch_parcel[:until]))

    def _among(self, parcels: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """By number: whether a parcel is one of these. To sort millions of touches takes minutes a plan."""
        among = np.zeros(len(self.log.parcels), np.bool_)
        among[parcels] = True
        return among


def _draw(rng: random.Random, pool: Ints, count: int) -> list[int] | None:
    return rng.sample(pool.tolist(), count) if len(pool) >= count else None
