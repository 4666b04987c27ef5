"""Off hours: reading and above all exporting at hours, on days or during leave when neither person nor peers work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import (
    CRITICAL,
    EXPORTS,
    HIGH,
    LOW,
    MEDIUM,
    Detector,
    Finding,
    Lesson,
    Norm,
    Normal,
    Person,
    Touch,
)  # fmt: skip
from detectors.calendar import in_shift

HOUR, DAY_HOURS = 3_600_000, 24
#: Parcels told of, and days with exports that are remembered.
MOST_SAMPLES, MEMORY = 20, 14
HOURS, EXPORT_HOURS = "hours", "export_hours"
ONE = 1000  # parts a day is counted in: integers take a third of what floats do
#: Why a touch counts as off hours, strongest last; the index is kept in the state.
ORDINARY, UNUSUAL, ROSTER, HOLIDAY, LEAVE = range(5)
WHY_EN = (
    "at an ordinary hour", "at a time this person never works", "outside the roster", "on a public holiday",
    "while on leave",
)  # fmt: skip
WHY_VI = (
    "vào giờ bình thường", "vào lúc người này không bao giờ làm việc", "ngoài ca trực", "vào ngày lễ",
    "trong thời gian nghỉ phép",
)  # fmt: skip
WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKDAYS_VI = ("thứ Hai", "thứ Ba", "thứ Tư", "thứ Năm", "thứ Sáu", "thứ Bảy", "Chủ nhật")


class State(msgspec.Struct, array_like=True):
    """What is known of one person's hours.

    Attributes:
        days: finished days on which the person worked at all, faded with the rest.
        hours, exports: on how many of them, in parts of ONE, he worked and exported in each hour of the local day.
        weekdays, holidays: how many of them fell on each weekday, Monday first, and were public holidays.
        today, exported: bits of the hours worked and exported in today. weekday, holiday: of today.
        hour: the local hour last judged, counted from 1970. view, export: why a view or an export in it is off hours.
        since, last: event time of the first and latest weighed touch of the present off-hours stretch; 0: none.
        weight: evidence of that stretch. records: records it returned. why: strongest reason met. samples: parcels.
        volume: records exported today. volumes: the same of the latest finished days that had any.
    """

    days: float = 0.0
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * DAY_HOURS)
    exports: list[int] = msgspec.field(default_factory=lambda: [0] * DAY_HOURS)
    weekdays: list[float] = msgspec.field(default_factory=lambda: [0.0] * 7)
    holidays: float = 0.0
    today: int = 0
    exported: int = 0
    weekday: int = 0
    holiday: bool = False
    hour: int = -1
    view: int = 0
    export: int = 0
    since: int = 0
    last: int = 0
    weight: float = 0.0
    records: int = 0
    why: int = 0
    samples: list[str] = []
    volume: int = 0
    volumes: list[int] = []


def _around(hours: list[int], hour: int, reach: int = 1) -> float:
    """Days of an hour or of the neighbour that has most: nobody begins or ends to the minute."""
    return max(hours[(hour + shift) % DAY_HOURS] for shift in range(-reach, reach + 1)) / ONE


def _faded(hours: list[int], keep: float, bits: int) -> list[int]:
    return [int(count * keep) + ONE * (bits >> hour & 1) for hour, count in enumerate(hours)]


@dataclass(frozen=True)
class OffHours(Detector[State]):
    """Learns each person's hours of the week and those of his peers; weighs what happens outside them.

    Times are the carrier's local time. A time is off when the person is on leave; when the roster says so and he
    does not work then in fact; on a public holiday, when he never works on one; when nobody of his kind is found
    working at that weekday and hour, nor is he; and, for exports, when he himself never works then and his peers
    never export then. An export weighs as much as it has records, a view of a parcel new to the person a quarter;
    what a relation explains weighs nothing: one strange night of ordinary work is not a case, an export is.

    Finds: exports at night, on leave, on a day never worked; long reading at such times.

    Ignores: night shifts (by roster, habit or peers), an hour's overtime, swapped shifts with explained work,
    exports that person or peers make at that hour anyway, declared service accounts.

    Known gaps: people without history in a company without roster or history; who leaks at his own usual hour, or no
    more than he exports every day; rostered hours on a weekday off, until ten days have taught the person's weekdays.

    Parameters:
        enough: weight at which a stretch is a case; view_weight: of a view.
        own_days: finished days a person needs for hours of his own; sure_days: for absence to mean something.
        rare: share of own days below which an hour or weekday is not one's own. habit: share above which exporting
            at an hour is a habit.
        group_days: person-days a group needs. group_rare: share of them below which an hour is not theirs; group_few:
            when the person himself is known never to work then.
        gap: hours without an off-hours touch that end a stretch. routine: multiple of the second highest of the
            latest days' exports up to which an exporter may work late.

    >>> from detectors.testing import export_at_night
    >>> export_at_night(OffHours(), records=500)
    'HIGH after 500 of 500 records'

    References: learnt working hours in Sentinel UEBA; hour-of-week profiles, domain notes.
    """

    name: ClassVar[str] = "off_hours"
    summary: ClassVar[str] = "Parcel data read or exported when neither this person nor peers work"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 6 * 3600

    enough: float = 20.0
    view_weight: float = 0.25
    own_days: int = 5
    sure_days: int = 10
    rare: float = 0.02
    habit: float = 0.2
    group_days: int = 40
    group_rare: float = 0.02
    group_few: float = 0.1
    gap: int = 6
    routine: float = 1.5

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        hour = (touch.time // 60_000 + touch.tz) // 60
        if hour != state.hour:
            self._judge(state, touch, hour, normal)
        if touch.action in EXPORTS:
            state.exported |= 1 << hour % DAY_HOURS
            state.volume += touch.records
            why = state.export
            if why == UNUSUAL and self._is_routine(state, normal):
                return 0.0
        else:
            why = state.view
        return self._weigh(state, touch, why, normal) if why else 0.0

    def _is_routine(self, state: State, normal: Normal) -> bool:
        """Whether the person exports as much on many days: who works late exports late."""
        past = sorted(state.volumes)
        return len(past) >= self.own_days and state.volume <= normal.strictness * self.routine * past[-2]

    def _judge(self, state: State, touch: Touch, hour: int, normal: Normal) -> None:
        """A new local hour: find out once whether views and exports in it are off hours, and why."""
        day, clock = divmod(hour, DAY_HOURS)
        weekday = (day + 3) % 7
        state.hour, state.weekday, state.holiday = hour, weekday, touch.holiday
        state.today |= 1 << clock
        state.view = state.export = ORDINARY
        who: Person = touch.who
        if who.service:
            return
        if who.status == "on_leave":
            state.view = state.export = LEAVE
            return
        days, rare = state.days, self.rare  # days fade a little from the first on
        known, sure = days > self.own_days - 0.5, days > self.sure_days - 1
        at_this_hour = known and _around(state.hours, clock) >= rare * days
        usual = at_this_hour and state.weekdays[weekday] >= rare * days
        group = normal.group(self.group_days)
        peers = self._share(group, HOURS, weekday, clock)
        if who.shifts and not in_shift(who.shifts, touch.time, touch.tz):
            why_view = why_export = ORDINARY if at_this_hour else ROSTER
        elif touch.holiday and known and state.holidays < rare * days:
            why_view = why_export = HOLIDAY
        else:
            few = self.group_few if sure else self.group_rare
            alone = not usual and group is not None and peers < few and not who.shifts
            # The company may know only its early risers yet.
            alone = alone and (known or group is normal.peers)
            why_view = UNUSUAL if alone else ORDINARY
            # A few days tell the hours far from any worked; a free weekday, or an hour near them, takes more.
            far = known and not _around(state.hours, clock, 3)
            why_export = UNUSUAL if alone or far or (sure and not usual) else ORDINARY
        habit = days and _around(state.exports, clock) >= self.habit * days
        theirs = self._share(group, EXPORT_HOURS, weekday, clock) >= self.group_rare
        state.view = why_view
        state.export = ORDINARY if habit or (theirs and why_export == UNUSUAL) else why_export

    @staticmethod
    def _share(group: Norm | None, measure: str, weekday: int, clock: int) -> float:
        """Share of the group's days of that weekday that have work around that hour, 0 to about 1.

        A weekday nobody has worked on proves nothing in a young log: all weekdays stand in for it.
        """
        if group is None:
            return 0.0
        hours = (clock, (clock + 1) % DAY_HOURS, (clock - 1) % DAY_HOURS)
        first = weekday * DAY_HOURS
        if any(group.share(HOURS, first + hour) for hour in range(DAY_HOURS)):
            return 7 * max(group.share(measure, first + hour) for hour in hours)
        return max(sum(group.share(measure, day * DAY_HOURS + hour) for day in range(7)) for hour in hours)

    def _weigh(self, state: State, touch: Touch, why: int, normal: Normal) -> float:
        time = touch.time
        fresh = bool(touch.parcel) and not touch.seen and not touch.explanation
        weight = float(touch.records) if touch.action in EXPORTS else self.view_weight * fresh
        if not weight:
            return 0.0
        if time - state.last > self.gap * HOUR:
            state.since, state.weight, state.records, state.why, state.samples = time, 0.0, 0, why, []
        state.last = max(state.last, time)
        state.why = max(state.why, why)
        state.weight += weight
        state.records += touch.records
        state.samples = [*state.samples, *[touch.parcel] * fresh][-MOST_SAMPLES:]
        return state.weight if state.weight >= normal.strictness * self.enough else 0.0

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        group = normal.group(self.group_days) or normal.company
        day, clock = divmod(state.hour, DAY_HOURS)
        weekday = (day + 3) % 7
        share = self._share(group, HOURS, weekday, clock)
        hour_share = _around(state.hours, clock) / state.days if state.days else 0.0
        day_share = state.weekdays[weekday] * 7 / state.days if state.days else 0.0
        own = min(1.0, hour_share, day_share)
        records = state.records
        severity = CRITICAL if records >= 5_000 else HIGH if records >= 200 else MEDIUM
        if severity == MEDIUM and state.weight < 2 * self.enough:
            severity = LOW
        odds = max(min(1.0, share), own, 1.0 / (group.days + state.days + 2))
        own_en = (
            f"this person is active then on {own:.1%} of days"
            if state.days
            else "this person has no history yet"
        )
        own_vi = (
            f"người này hoạt động vào lúc đó trong {own:.1%} số ngày"
            if state.days
            else "người này chưa có lịch sử"
        )
        peers_en = f"peers on {min(1.0, share):.1%}" if group.days else "peers have no history yet"
        peers_vi = f"đồng nghiệp {min(1.0, share):.1%}" if group.days else "đồng nghiệp chưa có lịch sử"
        return Finding(
            severity=severity,
            score=-log10(odds) + log10(max(1.0, state.weight / self.enough)),
            confidence=1
            + (state.days > self.own_days - 0.5 or state.why >= ROSTER)
            + (group.days >= self.group_days),
            evidence=state.weight,
            window=(state.last - state.since) // 1000,
            since=state.since,
            measures={"weight": round(state.weight, 2), "records": float(records), "hour": float(clock)},
            baseline={
                "own_share": round(own, 4),
                "peers_share": round(share, 4),
                "own_days": round(state.days, 1),
            },
            parcels=tuple(state.samples),
            en=(
                f"Read or exported {records:,} shipment records {WHY_EN[state.why]}, around {clock:02d}:00 local "
                f"time on a {WEEKDAYS_EN[weekday]}: {own_en}, {peers_en}. "
                "At such times nobody is there to see data taken away."
            ),
            vi=(
                f"Đã đọc hoặc xuất {records:,} bản ghi bưu gửi {WHY_VI[state.why]}, khoảng {clock:02d}:00 giờ địa "
                f"phương, {WEEKDAYS_VI[weekday]}: {own_vi}, {peers_vi}. "
                "Vào những lúc như vậy không ai chứng kiến việc lấy dữ liệu ra ngoài."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        # Half of what is known fades in about two months of working days.
        keep = 0.98
        weekday = (day + 3) % 7
        state.days = state.days * keep + 1
        state.weekdays = [count * keep + (index == weekday) for index, count in enumerate(state.weekdays)]
        state.hours = _faded(state.hours, keep, state.today)
        state.exports = _faded(state.exports, keep, state.exported)
        state.holidays = state.holidays * keep + state.holiday
        lessons = [
            (measure, weekday * DAY_HOURS + hour)
            for measure, bits in ((HOURS, state.today), (EXPORT_HOURS, state.exported))
            for hour in range(DAY_HOURS)
            if bits >> hour & 1
        ]
        state.volumes = [*state.volumes, state.volume][-MEMORY:] if state.volume else state.volumes
        state.today = state.exported = state.volume = 0
        state.hour = -1
        return lessons
