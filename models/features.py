"""A person's footprint: what somebody did in an hour and in a day, as counters and as a vector for models.

Counters only: they cost a fraction of a microsecond a touch and a few dozen bytes a person at rest. Buckets are hours
of order time, so that a replay fills them as the live stream did; a day is the local day an hour begins in.
"""

from __future__ import annotations

from math import log1p
from typing import NamedTuple

import msgspec

from detectors.base import ACTION_CODES, EXPORTS, Touch
from detectors.calendar import at_month_turn

HOUR = 3_600_000
HOURS_A_DAY = 24
DAY = HOURS_A_DAY * HOUR
#: Seconds after which a parcel that nobody has handled has long lain idle; ms after which one is long closed.
LONG_IDLE = 7 * 86_400
LONG_CLOSED = LONG_IDLE * 1000
#: Distinct devices and places that are told apart in an hour or a day.
MOST_KINDS = 8
#: Finished days a person needs before his own habits count; before that nothing is unusual for him.
KNOWN_DAYS = 5
#: Habits are kept as integers in parts of ONE; a finished day weighs one in MEMORY.
ONE, MEMORY = 1024, 8

_SEARCH, _REVEAL = ACTION_CODES["search"], ACTION_CODES["reveal"]
#: Actions that have a counter of their own.
_COUNTED = EXPORTS | {_SEARCH, _REVEAL}

HOUR_KIND, DAY_KIND = "hour", "day"
#: What an hour's vector holds, in order: natural logarithm of one plus a count, but for `unexplained_share` (0 to 1).
HOUR_FEATURES = (
    "parcels",  # touches of a parcel
    "first",  # of parcels new to the person
    "first_others",  # of those, parcels that others have handled
    "first_nobody",  # of those, parcels that nobody has handled
    "records",  # shipment records returned
    "export_rows",  # of those, by exports, prints and downloads
    "exports",  # calls of these that returned something
    "searches",
    "reveals",
    "failed",  # accesses that showed nothing
    "unexplained_share",  # of parcel touches; 0 where no context is sent
    "unexplained",
    "long_idle",  # first touches of parcels nobody had handled for a week
    "long_closed",  # touches of parcels closed for a week
    "devices",  # distinct, at most MOST_KINDS
    "places",
    "odd_hours",  # touches and records, each weighed by how rarely the person works at that hour of the day
)
#: The same of a day, and what only a day has.
DAY_FEATURES = (
    *HOUR_FEATURES,
    "active_hours",
    "first_above_own",  # logarithm of the ratio of `first` to the person's usual day; 0 when not above
    "records_above_own",  # 0 at the turn of a month as well
)
#: Features that are a share; all others are the logarithm of one plus a number.
SHARES = frozenset({"unexplained_share"})
#: Names by kind of bucket.
FEATURES = {HOUR_KIND: HOUR_FEATURES, DAY_KIND: DAY_FEATURES}


class Footprint(msgspec.Struct, array_like=True, gc=False):
    """Counters of one person in one bucket; attributes as in HOUR_FEATURES, in plain numbers.

    A touch counts as it was when it happened: a reason that comes later changes nothing, in the stream and in training.

    Attributes:
        odd: activity at odd hours in parts of ONE; known once the hour is over.
        devices, places: the first MOST_KINDS distinct ones, in the order they came.
    """

    parcels: int = 0
    first_others: int = 0
    first_nobody: int = 0
    records: int = 0
    export_rows: int = 0
    exports: int = 0
    searches: int = 0
    reveals: int = 0
    failed: int = 0
    unexplained: int = 0
    long_idle: int = 0
    long_closed: int = 0
    odd: int = 0
    devices: tuple[int, ...] = ()
    places: tuple[int, ...] = ()

    def add(self, touch: Touch) -> None:
        """Count a touch. Called for every one of them, whatever it is."""
        if touch.parcel:
            self.parcels += 1
            if not touch.seen:
                if touch.others:
                    self.first_others += 1
                    if touch.idle >= LONG_IDLE:
                        self.long_idle += 1
                else:
                    self.first_nobody += 1
            if touch.context and not touch.explanation:
                self.unexplained += 1
            if touch.closed and touch.time - touch.closed >= LONG_CLOSED:
                self.long_closed += 1
        elif touch.failed:
            self.failed += 1
        records = touch.records
        if records:
            self.records += records
        action = touch.action
        if action in _COUNTED:
            if action == _SEARCH:
                self.searches += 1
            elif action == _REVEAL:
                self.reveals += 1
            elif records:
                self.exports += 1
                self.export_rows += records
        device = touch.device
        if device and device not in self.devices:
            self.devices = (*self.devices, device)[:MOST_KINDS]
        place = touch.place
        if place and place not in self.places:
            self.places = (*self.places, place)[:MOST_KINDS]

    @property
    def first(self) -> int:
        """Touches of parcels new to the person."""
        return self.first_others + self.first_nobody

    def include(self, other: Footprint) -> None:
        """Add the counters of another bucket of the same person."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.devices = tuple(dict.fromkeys(self.devices + other.devices))[:MOST_KINDS]
        self.places = tuple(dict.fromkeys(self.places + other.places))[:MOST_KINDS]

    def vector(self) -> list[float]:
        """The numbers of HOUR_FEATURES."""
        return [
            log1p(self.parcels),
            log1p(self.first),
            log1p(self.first_others),
            log1p(self.first_nobody),
            log1p(self.records),
            log1p(self.export_rows),
            log1p(self.exports),
            log1p(self.searches),
            log1p(self.reveals),
            log1p(self.failed),
            self.unexplained / self.parcels if self.parcels else 0.0,
            log1p(self.unexplained),
            log1p(self.long_idle),
            log1p(self.long_closed),
            log1p(len(self.devices)),
            log1p(len(self.places)),
            log1p(self.odd / ONE),
        ]


_SUMMED = tuple(name for name in Footprint.__struct_fields__ if name not in ("devices", "places"))


class Bucket(NamedTuple):
    """A finished hour of a person, and his day up to its end.

    Attributes:
        hour: hours of order time since 1970.
        day: local day the hour begins in, counted from 1970-01-01.
        hour_vector: as HOUR_FEATURES. day_vector: as DAY_FEATURES, of the day so far.
    """

    hour: int
    day: int
    hour_vector: list[float]
    day_vector: list[float]


class Diary(msgspec.Struct, array_like=True):
    """The buckets of one person that are still open, and the habits they are held against. About 150 bytes at rest.

    Before each touch `turn` is to be called when `touch.st >= diary.ends`; then `now.add(touch)`. At the end of an hour
    of order time `close` gives the bucket of those who do nothing more.

    Attributes:
        ends: order time (ms) at which the open hour ends; 0 when none is open.
        tz: minutes east of UTC, of the hour's first touch.
        now: the open hour. today: the finished hours of the open day.
        day: local day of `today`. hours: its active hours, one bit each.
        days: finished days known, at most MEMORY. rhythm: by local hour of the day, the share of worked days with
            activity then, in parts of ONE. level: logarithms of one plus first touches and records of the usual day,
            in parts of ONE.

    >>> from detectors.testing import at, views
    >>> diary = Diary()
    >>> for touch in views(at(hour=9), parcels=30, minutes=90):
    ...     if touch.st >= diary.ends:
    ...         bucket = diary.turn(touch)
    ...     diary.now.add(touch)
    >>> round(bucket.hour_vector[0], 2), diary.now.parcels
    (3.04, 10)
    """

    ends: int = 0
    tz: int = 0
    now: Footprint = msgspec.field(default_factory=Footprint)
    day: int = 0
    today: Footprint = msgspec.field(default_factory=Footprint)
    hours: int = 0
    days: int = 0
    rhythm: list[int] = msgspec.field(default_factory=lambda: [0] * HOURS_A_DAY)
    level: list[int] = msgspec.field(default_factory=lambda: [0, 0])

    def turn(self, touch: Touch) -> Bucket | None:
        """Open the touch's hour; the bucket of the hour before, when one was open."""
        bucket = self.close()
        self.ends = (touch.st // HOUR + 1) * HOUR
        self.tz = touch.tz
        day = self._local_hour() // HOURS_A_DAY
        if day > self.day:
            self._end_day(day)
        return bucket

    def close(self) -> Bucket | None:
        """End the open hour; its bucket, or None when none is open."""
        if not self.ends:
            return None
        hour, now = self._local_hour() % HOURS_A_DAY, self.now
        if self.days >= KNOWN_DAYS:
            usual = max(self.rhythm[(hour + n) % HOURS_A_DAY] for n in (-1, 0, 1))
            now.odd = (now.parcels + now.records) * (ONE - usual)
        self.today.include(now)
        self.hours |= 1 << hour
        bucket = Bucket(self.ends // HOUR - 1, self.day, now.vector(), self._day_vector())
        self.ends, self.now = 0, Footprint()
        return bucket

    def _local_hour(self) -> int:
        """Of the open hour's begin, counted from 1970-01-01."""
        return (self.ends // 60_000 - 60 + self.tz) // 60

    def _day_vector(self) -> list[float]:
        vector = self.today.vector()
        vector.append(log1p(self.hours.bit_count()))
        known = self.days >= KNOWN_DAYS
        settling = at_month_turn(self.day * DAY, 0)
        for name, level in zip(_LEVELS, self.level, strict=True):
            above = max(0.0, log1p(getattr(self.today, name)) - level / ONE) if known else 0.0
            # When a month is settled whoever exports takes many times what he takes on other days.
            vector.append(0.0 if name == "records" and settling else above)
        return vector

    def _end_day(self, day: int) -> None:
        """Learn from the day that is over; `day` begins."""
        if self.hours:
            self.days = min(self.days + 1, MEMORY)
            # The first days weigh as much as each other, or the very first would count for weeks.
            for hour in range(HOURS_A_DAY):
                there = ONE if self.hours >> hour & 1 else 0
                self.rhythm[hour] += (there - self.rhythm[hour]) // self.days
            for n, name in enumerate(_LEVELS):
                self.level[n] += (round(log1p(getattr(self.today, name)) * ONE) - self.level[n]) // self.days
        self.day, self.today, self.hours = day, Footprint(), 0


#: What is held against the person's usual day.
_LEVELS = ("first", "records")
