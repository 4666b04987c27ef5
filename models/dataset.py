"""Person-hours and person-days as matrices, made of touches in the order of the log."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.base import Touch
from models.features import DAY_FEATURES, DAY_KIND, HOUR_FEATURES, HOUR_KIND, Bucket, Diary

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """Buckets of one kind.

    Attributes:
        kind: hour or day.
        person: number of the person in `Dataset.people`, shape (n,).
        day: local day, counted from 1970-01-01, shape (n,).
        hour: hours since 1970 of the bucket, of a day its last active one, shape (n,).
        x: vectors, shape (n, features of the kind).
    """

    kind: str
    person: Ints
    day: Ints
    hour: Ints
    x: Floats

    def where(self, mask: Mask) -> Rows:
        """Some of them."""
        return Rows(self.kind, self.person[mask], self.day[mask], self.hour[mask], self.x[mask])

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True, eq=False)
class Dataset:
    """What people did. Declared service accounts are not people and left out.

    Attributes:
        people: their tokens, by number.
        hours, days: their buckets.
        touches, service_touches: number of touches that are in, and of service accounts that are not.
    """

    people: list[str]
    hours: Rows
    days: Rows
    touches: int
    service_touches: int

    @property
    def kinds(self) -> dict[str, Rows]:
        """Rows by kind of bucket."""
        return {HOUR_KIND: self.hours, DAY_KIND: self.days}


class Recorder:
    """Makes a data set of touches, given in the order of the log."""

    def __init__(self) -> None:
        self._touches = self._service_touches = 0
        self._numbers: dict[str, int] = {}
        self._diaries: list[Diary] = []
        self._keys, self._x = array("q"), array("d")
        self._day_keys, self._day_x = array("q"), array("d")
        #: Of each person, where in the day arrays his open day stands.
        self._open: list[int] = []

    def add(self, touches: Iterable[Touch]) -> None:
        """Take in touches; `who` of each is a `Person`."""
        numbers, diaries = self._numbers, self._diaries
        for touch in touches:
            who = touch.who
            if who.service:
                self._service_touches += 1
                continue
            number = numbers.setdefault(who.token, len(numbers))
            if number == len(diaries):
                diaries.append(Diary())
                self._open.append(-1)
            diary = diaries[number]
            if touch.st >= diary.ends and (bucket := diary.turn(touch)) is not None:
                self._put(number, bucket)
            diary.now.add(touch)
            self._touches += 1

    def finish(self) -> Dataset:
        """All that was done, the hours that are still open included."""
        for number, diary in enumerate(self._diaries):
            if (bucket := diary.close()) is not None:
                self._put(number, bucket)
        return Dataset(
            list(self._numbers),
            _rows(HOUR_KIND, self._keys, self._x, len(HOUR_FEATURES)),
            _rows(DAY_KIND, self._day_keys, self._day_x, len(DAY_FEATURES)),
            self._touches,
            self._service_touches,
        )

    def _put(self, number: int, bucket: Bucket) -> None:
        key, width = array("q", (number, bucket.day, bucket.hour)), len(DAY_FEATURES)
        self._keys.extend(key)
        self._x.extend(bucket.hour_vector)
        at = self._open[number]
        if at >= 0 and self._day_keys[3 * at + 1] == bucket.day:
            self._day_keys[3 * at : 3 * at + 3] = key
            self._day_x[width * at : width * (at + 1)] = array("d", bucket.day_vector)
        else:
            self._open[number] = len(self._day_keys) // 3
            self._day_keys.extend(key)
            self._day_x.extend(bucket.day_vector)


def _rows(kind: str, keys: array[int], x: array[float], width: int) -> Rows:
    columns = np.frombuffer(keys, np.int64).reshape(-1, 3).T if keys else np.zeros((3, 0), np.int64)
    matrix = np.frombuffer(x, np.float64).reshape(-1, width) if x else np.zeros((0, width))
    return Rows(kind, columns[0], columns[1], columns[2], matrix)


def labels(dataset: Dataset, rows: Rows, leaks: Collection[tuple[str, int, int]]) -> npt.NDArray[np.int64]:
    """1 for the rows that overlap a leak of their person, else 0, shape (n,).

    Args:
        dataset, rows: whose rows.
        leaks: (token, first, last event time in ms).
    """
    numbers = {token: number for number, token in enumerate(dataset.people)}
    y = np.zeros(len(rows), np.int64)
    hour_ms = 3_600_000
    for token, first, last in leaks:
        own = rows.person == numbers.get(token, -1)
        if rows.kind == HOUR_KIND:
            y[own & (rows.hour >= first // hour_ms) & (rows.hour <= last // hour_ms)] = 1
            continue
        # The local days of the leak: those of the hours in it, and of whichever day it lies in between them.
        of_hours = dataset.hours
        hit = (of_hours.person == numbers.get(token, -1)) & (of_hours.hour >= first // hour_ms)
        hit &= of_hours.hour <= last // hour_ms
        y[own & np.isin(rows.day, of_hours.day[hit])] = 1
    return y
