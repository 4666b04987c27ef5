"""What is known of a benign log: who did what when, in compact arrays, so that millions of events fit in memory."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.base import ACTION_CODES
from streams.admit.local_time import Zones
from streams.admit.validate import DAY, MINUTE, Clock, RefusalError, decode
from streams.evaluation.background import Background
from streams.flow.events import AccessEvent, ContextEvent, StaffRecord
from streams.flow.topics import ACCESS_EVENTS

HOUR = 60 * MINUTE
Ints = npt.NDArray[np.int64]


class LogError(Exception):
    """A log that cannot be evaluated on; says why and what would do."""


class Style(NamedTuple):
    """How somebody's access looks besides what was read; empty where the log does not say."""

    system: str = ""
    channel: str = ""
    site: str = ""
    ip: str = ""
    device: str = ""
    fields: tuple[str, ...] = ()


@dataclass
class AccessLog:
    """A benign log. Event arrays are in order of event time; people, parcels and styles are numbers there.

    Attributes:
        people: (carrier, staff id).
        staff: what the directory says of them.
        parcels: ids.
        parcel_sites: sites a parcel's context names, by parcel number.
        delivered: event time (ms) of a parcel's delivery, by parcel number.
        time, offset: of each event: ms since the epoch, minutes the local time is east of UTC.
        person, action, records, style: of each event.
        touch_event, touch_parcel: one entry a parcel an event names.
        reached: running maximum of event time over all records in the order of the file, unreadable ones too.
        has_ids, has_context: whether events carry an id; whether there is parcel context.
        left_out: unreadable access events, by reason.
        test_day: first local day (counted from 1970-01-01) of the test part.
    """

    people: list[tuple[str, str]]
    staff: dict[int, StaffRecord]
    parcels: list[str]
    parcel_sites: dict[int, set[str]]
    delivered: dict[int, int]
    time: Ints
    offset: Ints
    person: Ints
    action: Ints
    records: Ints
    style: Ints
    styles: list[Style]
    touch_event: Ints
    touch_parcel: Ints
    reached: Ints
    has_ids: bool
    has_context: bool
    left_out: Counter[str] = field(default_factory=Counter)
    test_day: int = 0

    @cached_property
    def day(self) -> Ints:
        """Local day of each event, counted from 1970-01-01."""
        return (self.time + self.offset * MINUTE) // DAY

    @cached_property
    def touch_time(self) -> Ints:
        """Event time of each touch, rising."""
        return self.time[self.touch_event]

    @cached_property
    def touch_person(self) -> Ints:
        """Person of each touch."""
        return self.person[self.touch_event]

    @cached_property
    def of_person(self) -> list[Ints]:
        """Numbers of each person's events, in order of time."""
        order = np.argsort(self.person, kind="stable")
        bounds = np.searchsorted(self.person[order], np.arange(len(self.people) + 1))
        return [order[start:end] for start, end in pairwise(bounds.tolist())]

    @cached_property
    def devices(self) -> bool:
        """Whether the log says from which device an access came."""
        return any(style.device for style in self.styles)

    @cached_property
    def sites(self) -> list[str]:
        """Sites that accesses were made from."""
        return sorted({style.site for style in self.styles if style.site})


class _Numbers(dict[str, int]):
    """Numbers things in the order they come."""

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number


def read_log(
    background: Background, zones: Zones, warm_up: float, progress: Callable[[int], None] = lambda _: None
) -> AccessLog:
    """Read a benign log once.

    Args:
        background: the log.
        zones: carriers' local time, where it is set; else each event's offset counts.
        warm_up: share of the log's days, from the first, that nothing is injected into.
        progress: called with the records read since the last call.

    Raises:
        FileError: a file that cannot be read.
        LogError: no event could be read, or too few days.
    """
    reader = _Reader(zones)
    for value in background.directory:
        reader.person_record(value)
    for topic, values in background.chunks():
        read = reader.access if topic == ACCESS_EVENTS else reader.context
        for value in values:
            read(value)
        progress(len(values))
    log = reader.log()
    days = int(log.day[-1] - log.day[0]) + 1
    log.test_day = int(log.day[0]) + max(1, round(days * warm_up))
    if int(log.day.max()) < log.test_day + 1:
        raise LogError(
            f"the log spans {days} days; at least two must be left after the warm-up share {warm_up:g}: "
            "give a longer log or a smaller share"
        )
    return log


class _Reader:
    def __init__(self, zones: Zones) -> None:
        self._zones, self._clock = zones, Clock()
        self._people: dict[tuple[str, str], int] = {}
        self._styles: dict[Style, int] = {}
        self._parcels = _Numbers()
        self._staff: dict[tuple[str, str], StaffRecord] = {}
        self._sites: defaultdict[int, set[str]] = defaultdict(set)
        self._delivered: dict[int, int] = {}
        self._columns = [array("q") for _ in range(6)]
        self._touch_event, self._touch_parcel = array("q"), array("q")
        self._reached = array("q")
        self._top = 0
        self._left_out: Counter[str] = Counter()
        self._ids = self._context = False
        self._notes: list[str] = []

    def person_record(self, value: bytes) -> None:
        try:
            record = decode(StaffRecord, value, self._notes)
        except RefusalError:
            return  # the pipeline counts it
        self._staff[record.carrier, record.actor] = record

    def access(self, value: bytes) -> None:
        try:
            event = decode(AccessEvent, value, self._notes)
            ms, offset = self._clock.read(event.time)
            action = ACTION_CODES[event.action]
        except RefusalError as refusal:
            self._left_out[refusal.reason] += 1
        except KeyError:
            self._left_out["unknown_action"] += 1
        else:
            self._top = max(self._top, ms)
            if self._zones:
                offset = self._zones.offset(event.carrier, offset, ms)
            who = (event.carrier, event.actor)
            person = self._people.setdefault(who, len(self._people))
            style = Style(
                event.system, event.channel, event.site, event.ip, event.device, tuple(event.fields)
            )
            shown = not event.outcome or event.outcome == "success"
            records = len(event.parcels) if event.records is None else event.records
            row = (
                ms,
                offset,
                person,
                action,
                records if shown else 0,
                self._styles.setdefault(style, len(self._styles)),
            )
            number = len(self._columns[0])
            for column, cell in zip(self._columns, row, strict=True):
                column.append(cell)
            if shown:
                for parcel in event.parcels:
                    self._touch_event.append(number)
                    self._touch_parcel.append(self._parcels[parcel])
            self._ids = self._ids or bool(event.id)
        self._reached.append(self._top)

    def context(self, value: bytes) -> None:
        try:
            event = decode(ContextEvent, value, self._notes)
            ms = self._clock.read(event.time)[0]
        except RefusalError:
            return  # the pipeline counts it
        self._context = True
        parcel = self._parcels[event.parcel]
        if event.site:
            self._sites[parcel].add(event.site)
        if event.kind == "delivered":
            self._delivered[parcel] = ms

    def log(self) -> AccessLog:
        time, offset, person, action, records, style = (np.array(c, np.int64) for c in self._columns)
        if not len(time):
            why = ", ".join(f"{reason} {n:,}" for reason, n in self._left_out.most_common())
            raise LogError(
                f"no access event could be read ({why or 'the file is empty'}); `parcelwatch backtest "
                "--rejected FILE` on the same files says how to mend each"
            )
        order = np.argsort(time, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        event = place[np.array(self._touch_event, np.int64)]
        touches = np.argsort(event, kind="stable")
        # Accounts of the directory that never act get a number too.
        staff = {self._people.setdefault(who, len(self._people)): r for who, r in self._staff.items()}
        return AccessLog(
            people=list(self._people),
            staff=staff,
            parcels=list(self._parcels),
            parcel_sites=dict(self._sites),
            delivered=self._delivered,
            time=time[order],
            offset=offset[order],
            person=person[order],
            action=action[order],
            records=records[order],
            style=style[order],
            styles=list(self._styles),
            touch_event=event[touches],
            touch_parcel=np.array(self._touch_parcel, np.int64)[touches],
            reached=np.array(self._reached, np.int64),
            has_ids=self._ids,
            has_context=self._context,
            left_out=self._left_out,
        )


def person_days(person: Ints, day: Ints) -> Ints:
    """Distinct (person, day) pairs as one number each."""
    return np.unique(person << 32 | day)
