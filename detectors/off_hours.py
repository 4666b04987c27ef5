"""Off hours: reading and above all exporting at hours, on days or during leave when neither person nor peers work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import CRITICAL, EXPORTS, HIGH, LOW, MEDIUM, Detector, Finding, Lesson, Normal, Person, Touch
from detectors.calendar import in_shift, weekday_and_hour

HOUR = 3_600_000
DAY_HOURS = 24
MOST_SAMPLES = 20
MEASURE = "hours"
#: Why a touch counts as off hours, strongest last; the index is kept in the state.
WHY_EN = ("at an hour nobody of this kind works", "outside the roster", "on a public holiday", "while on leave")
WHY_VI = ("vào giờ không ai ở vị trí này làm việc", "ngoài ca trực", "vào ngày lễ", "trong thời gian nghỉ phép")
UNUSUAL, ROSTER, HOLIDAY, LEAVE = range(4)


class State(msgspec.Struct, array_like=True):
    """What is known of one person's hours.

    Attributes:
        days: finished days on which the person worked at all, faded with the rest.
        hours: on how many of them he worked in each hour of the local day.
        weekdays: how many of them fell on each weekday, Monday first.
        holidays: how many of them were public holidays.
        today: bits of the hours worked today; `holiday` whether today is one; `weekday` of today;
            `ordinary` the hour of today last looked at and found ordinary, -1 for none.
        since, last: event time of the first and latest touch of the present off-hours stretch; 0 when there is none.
        weight: evidence of that stretch. records: records it returned. why: strongest reason met.
        samples: its latest parcels.
    """

    days: float = 0.0
    hours: list[float] = msgspec.field(default_factory=lambda: [0.0] * DAY_HOURS)
    weekdays: list[float] = msgspec.field(default_factory=lambda: [0.0] * 7)
    holidays: float = 0.0
    today: int = 0
    weekday: int = 0
    holiday: bool = False
    ordinary: int = -1
    since: int = 0
    last: int = 0
    weight: float = 0.0
    records: int = 0
    why: int = 0
    samples: list[str] = []


@dataclass(frozen=True)
class OffHours(Detector[State]):
    """Learns each person's hours of the week and those of his peers; weighs what happens outside both.

    An hour is off when the roster says so, or the person is on leave, or it is a holiday and he never works on one, or
    neither he nor his peers are to be found working at that weekday and hour. Times are the carrier's local time. A view of a new
    parcel weighs 1, an export as much as it has records: one strange night of ordinary work is not a case, an export is.

    Finds: exports at night, on leave, on a day never worked. Ignores: night shifts (roster or peers), a shift that runs over
    by an hour, a batch account that works each night. Known gaps: people without any history in a company without any; who
    leaks at his own usual hour.

    Parameters:
        enough: weight at which a stretch is a case.
        own_days: finished days a person needs for hours of his own.
        rare: share of own days below which an hour is not one's own.
        group_days: person-days a group needs. group_rare: share of their days below which an hour is not theirs.
        gap: hours without an off-hours touch that end a stretch.

    >>> from detectors.testing import export_at_night
    >>> export_at_night(OffHours(), records=500)
    'HIGH at an hour nobody of this kind works'

    References: learnt working hours in Sentinel UEBA; hour-of-week profiles, domain notes.
    """

    name: ClassVar[str] = "off_hours"
    summary: ClassVar[str] = "Parcel data read or exported when neither this person nor peers work"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 6 * 3600

    enough: float = 20.0
    view_weight: float = 0.25
    own_days: int = 5
    rare: float = 0.02
    group_days: int = 40
    group_rare: float = 0.02
    gap: int = 6

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        weekday, hour = weekday_and_hour(touch.time, touch.tz)
        bit = 1 << hour
        if state.today & bit and state.ordinary == hour:
            # This hour was looked at already today and found ordinary: the common case, kept short.
            return 0.0
        state.today |= bit
        state.weekday, state.holiday = weekday, touch.holiday
        why = self._why(state, touch, weekday, hour, normal)
        state.ordinary = hour if why is None else -1
        return 0.0 if why is None else self._weigh(state, touch, why)

    def _why(self, state: State, touch: Touch, weekday: int, hour: int, normal: Normal) -> int | None:
        who: Person = touch.who
        if who.service:
            return None
        if who.status == "on_leave":
            return LEAVE
        if who.shifts:
            return None if in_shift(who.shifts, touch.time, touch.tz) else ROSTER
        known = state.days >= self.own_days
        if touch.holiday and known and state.holidays < self.rare * state.days:
            return HOLIDAY
        group = normal.group(self.group_days)
        if group is None:
            return None
        here = sum(group.share(MEASURE, weekday * DAY_HOURS + h) for h in (hour, (hour + 1) % DAY_HOURS, hour - 1 if hour else 23))
        if here * 7 >= self.group_rare:
            return None
        if known:
            own = max(state.hours[hour], state.hours[hour - 1], state.hours[(hour + 1) % DAY_HOURS])
            if own >= self.rare * state.days and state.weekdays[weekday] >= self.rare * state.days:
                return None
        return UNUSUAL

    def _weigh(self, state: State, touch: Touch, why: int) -> float:
        time = touch.time
        if time - state.last > self.gap * HOUR:
            state.since, state.weight, state.records, state.why, state.samples = time, 0.0, 0, why, []
        state.last = max(state.last, time)
        state.why = max(state.why, why)
        fresh = bool(touch.parcel) and not touch.seen
        if touch.action in EXPORTS:
            state.weight += touch.records
        elif fresh:
            state.weight += self.view_weight
        state.records += touch.records
        if fresh:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]
        return state.weight if state.weight >= self.enough else 0.0

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        group = normal.group(1) or normal.company
        weekday, hour = weekday_and_hour(touch.time, touch.tz) if touch else (0, 0)
        share = group.share(MEASURE, weekday * DAY_HOURS + hour)
        own = state.hours[hour] / state.days if state.days else 0.0
        severity = CRITICAL if state.records >= 5_000 else HIGH if state.records >= 200 else MEDIUM
        if state.weight < 2 * self.enough and severity == MEDIUM:
            severity = LOW
        odds = max(share, own, 1.0 / (group.days + state.days + 2))
        return Finding(
            severity=severity,
            score=-log10(odds) + log10(max(1.0, state.weight / self.enough)),
            confidence=min(3, 1 + (state.days >= self.own_days) + (group.days >= self.group_days)),
            evidence=state.weight,
            window=(state.last - state.since) // 1000,
            since=state.since,
            measures={"weight": round(state.weight, 2), "records": float(state.records), "hour": float(hour)},
            baseline={"own_share": round(own, 4), "peers_share": round(share, 4), "own_days": round(state.days, 1)},
            parcels=tuple(state.samples),
            en=(
                f"Read or exported {state.records} shipment records {WHY_EN[state.why]}, around {hour:02d}:00 local "
                f"time; this person is active then on {own:.1%} of days, peers on {share:.1%}. Nobody is there to see it."
            ),
            vi=(
                f"Đã đọc hoặc xuất {state.records} bản ghi bưu gửi {WHY_VI[state.why]}, khoảng {hour:02d}:00 giờ địa phương; "
                f"người này hoạt động giờ đó trong {own:.1%} số ngày, đồng nghiệp {share:.1%}. Lúc đó không ai chứng kiến."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        # Half of what is known fades in about two months of working days.
        keep = 0.98
        state.days = state.days * keep + 1
        state.weekdays = [count * keep + (index == state.weekday) for index, count in enumerate(state.weekdays)]
        worked = [hour for hour in range(DAY_HOURS) if state.today >> hour & 1]
        state.hours = [count * keep + (state.today >> hour & 1) for hour, count in enumerate(state.hours)]
        state.holidays = state.holidays * keep + state.holiday
        lessons = [(MEASURE, state.weekday * DAY_HOURS + hour) for hour in worked]
        state.today, state.ordinary = 0, -1
        return lessons
