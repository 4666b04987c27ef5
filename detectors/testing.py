"""Small drivers to try a detector with: touches with readable defaults, peers made of lessons, one watched person.

>>> from detectors.bulk_read import BulkRead
>>> watch = Watch(BulkRead())
>>> [alert.activity for alert in watch.see(*views(at(hour=10), parcels=70, minutes=5))]
[1]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from detectors.base import (
    ACTION_CODES,
    EXPLANATIONS,
    Detector,
    Late,
    Lesson,
    Normal,
    Person,
    Touch,
    bin_top,
    log_bin,
)  # fmt: skip
from detectors.episodes import Alert, Episode, close, take_case

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
#: Local time of the touches made here: seven hours east of UTC.
TZ = 420
#: A Monday (2026-03-02), counted from 1970-01-01.
MONDAY = 20_514
SEVERITIES = {2: "LOW", 3: "MEDIUM", 4: "HIGH", 5: "CRITICAL"}
CLERK = Person("k1.staff.clerk", "vnx", role="depot_clerk", team="HN-03", site="HN-03", status="active")

_offsets = count()


def at(day: int = 0, hour: float = 9) -> int:
    """Event time (ms) at a local hour, `day` days after a Monday.

    >>> at(0, 7) == MONDAY * DAY
    True
    """
    return (MONDAY + day) * DAY + int(hour * HOUR) - TZ * MINUTE


def touch(
    time: int,
    action: str = "view",
    parcel: str = "",
    *,
    records: int | None = None,
    who: Person = CLERK,
    explanation: str = "",
    **known: Any,
) -> Touch:
    """A touch with defaults; `records` is 1 for a parcel, else 0; other fields of `Touch` by name."""
    if records is None:
        records = 1 if parcel else 0
    code = EXPLANATIONS.index(explanation)
    row = Touch(
        time,
        0,
        next(_offsets),
        0,
        who,
        time,
        TZ,
        ACTION_CODES[action],
        parcel,
        records,
        time,
        explanation=code,
    )
    for name, value in known.items():
        setattr(row, name, value)
    return row


def views(start: int, *, parcels: int, minutes: float, action: str = "view", **known: Any) -> Iterator[Touch]:
    """Touches of that many parcels, each another, evenly over the minutes from `start` (ms)."""
    for number in range(parcels):
        time = start + int(number * minutes * MINUTE / parcels)
        yield touch(time, action, f"k1.parcel.{start}-{number}", **known)


def work(
    days: Iterable[int], *, parcels: int = 30, start: float = 9, hours: float = 8, **known: Any
) -> Iterator[Touch]:
    """Ordinary days: that many parcels, each another, evenly over the hours of each day."""
    for day in days:
        yield from views(at(day, start), parcels=parcels, minutes=hours * 60, **known)


class Peers:
    """A norm made of person-days, each a list of lessons; what `Norm` asks for, in memory and without fading.

    >>> peers = Peers([[("calls", log_bin(4))], [("calls", log_bin(64))]])
    >>> peers.days, round(peers.quantile("calls", 0.5)), peers.share("calls", log_bin(4))
    (2, 5, 0.5)
    """

    def __init__(self, lessons: Iterable[Iterable[Lesson]] = ()) -> None:
        days = [list(day) for day in lessons]
        self.days = len(days)
        self._bins = Counter(lesson for day in days for lesson in day)

    def _of(self, measure: str) -> list[tuple[int, int]]:
        return sorted((number, n) for (name, number), n in self._bins.items() if name == measure)

    def quantile(self, measure: str, q: float) -> float:
        """See `Norm`."""
        bins = self._of(measure)
        left = q * sum(n for _, n in bins)
        for number, n in bins:
            left -= n
            if left <= 0:
                return bin_top(number)
        return 0.0

    def share(self, measure: str, number: int) -> float:
        """See `Norm`."""
        return self._bins[measure, number] / self.days if self.days else 0.0

    def tail(self, measure: str, value: float) -> float:
        """See `Norm`."""
        bins, least = self._of(measure), log_bin(value)
        return (sum(n for number, n in bins if number >= least) + 0.5) / (sum(n for _, n in bins) + 1)


#: Nobody is known: the first hours of a new carrier.
NOBODY = Normal(Peers(), Peers())


class Watch:
    """Runs one detector over one person as the detect stage does: closes days, ends graces, keeps the episode.

    Args:
        detector: what to try.
        normal: what is usual among others; may be replaced at any time.

    Attributes:
        state: of the detector.
        lessons: what each finished day taught.
        alerts: all that was told.
    """

    def __init__(self, detector: Detector[Any], normal: Normal = NOBODY) -> None:
        self.detector = detector
        self.normal = normal
        self.state = detector.initial()
        self.lessons: list[list[Lesson]] = []
        self.alerts: list[Alert] = []
        self._day = 0
        self._episode: Episode | None = None
        self._who = CLERK

    def see(self, *touches: Touch) -> list[Alert]:
        """Take in touches in order; what they make the detector tell."""
        before = len(self.alerts)
        for row in touches:
            self.pass_time(row.time)
            self._who = row.who
            day = (row.time + row.tz * MINUTE) // DAY
            if day > self._day:
                self._close_day()
                self._day = day
            self._case(self.detector.step(self.state, row, self.normal), row.time, row)
        return self.alerts[before:]

    def pass_time(self, now: int) -> list[Alert]:
        """Let event time come to `now`; what that makes the detector tell."""
        before = len(self.alerts)
        while (wake := self.detector.wake(self.state)) and wake <= now:
            self._case(self.detector.ripen(self.state, wake, self.normal), wake, None)
        if self._episode and self._episode.last + self.detector.quiet * 1000 <= now:
            self.alerts.append(close(self._episode, self.detector, self._who, now))
            self._episode = None
        return self.alerts[before:]

    def explain(self, row: Touch, explanation: str = "call") -> None:
        """Let the reason for an earlier touch arrive."""
        late = Late((row.src, row.off, row.idx), row.time, EXPLANATIONS.index(explanation))
        self.detector.explained(self.state, late)

    def end_day(self) -> None:
        """The present local day is over."""
        self._close_day()
        self._day = 0

    def _close_day(self) -> None:
        if self._day:
            self.lessons.append(list(self.detector.close_day(self.state, self._day)))

    def _case(self, evidence: float, time: int, row: Touch | None) -> None:
        if not evidence:
            return
        self._episode, alert = take_case(
            self._episode, self.detector, self._who, evidence, time, time, row, TZ,
            lambda: self.detector.report(self.state, row, self.normal),
        )  # fmt: skip
        if alert:
            self.alerts.append(alert)


def colleagues(detector: Detector[Any], *lives: Iterable[Touch]) -> Normal:
    """What is usual among people who live as given, each life the touches of one person in order."""
    lessons: list[list[Lesson]] = []
    for life in lives:
        watch = Watch(detector)
        watch.see(*life)
        watch.end_day()
        lessons += watch.lessons
    peers = Peers(lessons)
    return Normal(peers, peers)


def office(detector: Detector[Any], people: int = 8, days: int = 10, **habits: Any) -> Normal:
    """What is usual in an office of so many people on so many working days; habits as for `work`."""
    calendar = [day for day in range(-14, 0) if day % 7 < 5][:days]
    return colleagues(detector, *(work(calendar, **habits) for _ in range(people)))


def day_of_views(detector: Detector[Any], parcels: int, minutes: float) -> str:
    """Whether and when a clerk in an ordinary office is caught who reads that many parcels in that many minutes."""
    watch = Watch(detector, office(detector))
    for number, row in enumerate(views(at(hour=10), parcels=parcels, minutes=minutes), start=1):
        if told := watch.see(row):
            return f"{SEVERITIES[told[0].finding.severity]} after {number} of {parcels} parcels"
    return "silent"


def export_at_night(detector: Detector[Any], records: int) -> str:
    """Whether a clerk in an ordinary office is caught who exports that many records at three in the morning."""
    watch = Watch(detector, office(detector))
    told = watch.see(touch(at(hour=3), "export", records=records))
    return (
        f"{SEVERITIES[told[0].finding.severity]} after {records} of {records} records" if told else "silent"
    )


def snooping(detector: Detector[Any], parcels: int) -> str:
    """Whether and when a clerk is caught who opens that many parcels without a reason in a morning."""
    watch = Watch(detector, office(detector, explanation="site", context=True))
    rows = list(views(at(hour=9), parcels=parcels, minutes=180, context=True))
    told = watch.see(*rows) or watch.pass_time(at(day=1))
    return (
        f"{SEVERITIES[told[0].finding.severity]} after {told[0].records} of {parcels} parcels"
        if told
        else "silent"
    )
