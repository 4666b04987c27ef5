"""Risk: what is known against a person as one figure that fades, with its reasons; raises an alert of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log10
from typing import ClassVar
from zlib import crc32

import msgspec

from detectors.base import HIGH, LOW, MEDIUM, Detector, Finding, Lesson, Norm, Normal, Touch, log_bin

DAY = 86_400_000
#: What the risk of finished days teaches, in quarters of a point.
MEASURE = "risk.points"
QUARTERS = 4
#: Reasons a person can have; the weakest is dropped for a new one.
MOST_REASONS = 16
#: Alerts a verdict can still be given on; older ones have faded or are outweighed.
MOST_GIVEN = 8
#: What verdicts make of the points of an alert.
FACTORS = {"true_positive": 2, "false_positive": 0, "benign": 0}
MOST_MEASURES = 32
#: Points one reason can have; well beyond what the highest risk level takes. Without an end, verdicts that double them
#: would in time make a figure no alert can carry.
MOST_POINTS = 100.0
#: Points below which a reason is forgotten.
LEAST_POINTS = 0.05


class Given(msgspec.Struct, array_like=True):
    """Points an alert gave, so that a verdict on it can move them.

    Attributes:
        key: checksum of the alert's uid. reason: the detector. told: whether it counts as told.
        points: hundredths, as of `at` (s). factor: what the latest verdict makes of them, see FACTORS.
    """

    key: int
    reason: str
    told: bool
    points: int
    at: int
    factor: int = 1


class State(msgspec.Struct, array_like=True):
    """What is known against one person.

    Attributes:
        at: event time (ms) up to which points have faded.
        weak: points by reason that were told to nobody, or as of low severity. told: points by reason that were.
        usual: by checksum of a measure's name, mean surprise of the person's own finished days in hundredths, integers
            to stay small. days: how many.
        since: event time (ms) of the oldest weak point that has not faded.
        opened: episodes opened since the last finished day.
        given: what the latest alerts gave, oldest first.
    """

    at: int = 0
    weak: dict[str, float] = {}
    told: dict[str, float] = {}
    usual: dict[int, int] = {}
    days: int = 0
    since: int = 0
    opened: int = 0
    given: list[Given] = []


@dataclass(frozen=True)
class RiskScore(Detector[State]):
    """Adds up what is too weak to be told alone: days in the far tail of the peers, suppressed and minor findings.

    Every finished day is held against the peers' (same carrier and role, else the company's): for each measure that a
    detector calls a hint, the surprise, −log10 of the share of person-days that reach as far. What exceeds both one in
    `rare` and the person's own usual surprise gives points, at most `most` a detector and day. Findings give points by
    severity. Points halve every `half_life` days. An alert is raised when the points of findings nobody was told of,
    or only as minor, reach `limit` (a margin above what the peers' points reach) for at least two reasons: a person
    about whom a serious alert is open is being looked at anyway.

    Told of a person in every alert: all points, and the reasons by weight.

    Finds: leaks that stay below every single limit but strike several ways at once or for days; what goes on
    under a suppression.

    Ignores: measures in which the person is always unusual; a single strange day in one respect.

    Known gaps: a finished day counts when the person's next begins.

    Parameters:
        rare: surprise from which a day's measure counts.
        most: points a detector can give a day.
        half_life: days.
        limit: points from which it is a case.
        group_days, quantile, group_factor: person-days a group needs, the share of them that must lie below, and the
            margin over that.
        own_days: finished days from which the person's own usual surprise is known.

    References: risk-based alerting (Splunk RBA, Exabeam, Sentinel's investigation priority); Fisher, Statistical
    methods for research workers, 1925 (sums of −log p).
    """

    name: ClassVar[str] = "risk"
    summary: ClassVar[str] = "Many weak signs against one person add up"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3 * 86_400

    rare: float = 2.0
    most: float = 2.0
    half_life: float = 7.0
    limit: float = 6.0
    group_days: int = 60
    quantile: float = 0.995
    group_factor: float = 1.5
    own_days: int = 5

    def close_person_day(
        self, state: State, hints: Mapping[str, Iterable[Lesson]], time: int, normal: Normal, weight: float
    ) -> float:
        """Take in a finished day; the size of the case, or 0.

        Args:
            hints: by detector, what its hint measures came to.
            time: event time (ms) at which the day was found finished.
            weight: factor on the points, 1 for people nobody watches.
        """
        self._fade(state, time)
        group = normal.group(self.group_days)
        if group is not None:
            for reason, lessons in hints.items():
                points = max((self._points(state, lesson, group) for lesson in lessons), default=0.0)
                if points > 0:
                    self._add(state.weak, reason, weight * min(points, self.most))
                    state.since = state.since or time - DAY
        state.days += 1
        return self.case(state, normal)

    def _points(self, state: State, lesson: Lesson, group: Norm) -> float:
        measure, number = lesson
        surprise = -log10(group.tail(measure, 2.0 ** ((number - 0.5) / QUARTERS))) if number else 0.0
        key = crc32(measure.encode())
        usual = state.usual.get(key, 0) / 100
        # The mean of about the last twenty days.
        mean = round(100 * (usual + (surprise - usual) / min(state.days + 1, 20)))
        if mean:
            state.usual[key] = mean
            if len(state.usual) > MOST_MEASURES:
                del state.usual[min(state.usual, key=lambda name: (state.usual[name], name))]
        elif key in state.usual:
            del state.usual[key]
        own = usual if state.days >= self.own_days else 1.0
        return surprise - self.rare if surprise > self.rare + own else 0.0

    def find(self, state: State, reason: str, points: float, time: int, *, told: bool, uid: str = "") -> None:
        """Take in a detector's finding: `points` by its severity, `told` to somebody as more than minor or not.

        Args:
            uid: of the alert, if there is one: a verdict may come.
        """
        self._fade(state, time)
        self._add(state.told if told else state.weak, reason, points)
        if not told:
            state.since = state.since or time
        if uid:
            given = Given(_key(uid), reason, told, round(100 * points), time // 1000)
            state.given = [*state.given, given][-MOST_GIVEN:]

    def judge(self, state: State, uid: str, verdict: str, time: int) -> None:
        """Take in an analyst's verdict: a false or harmless alert takes its points away, a true one doubles them.

        The latest verdict on an alert counts; one on an alert the person never had changes nothing.
        """
        self._fade(state, time)
        key, factor = _key(uid), FACTORS[verdict]
        for given in state.given:
            if given.key == key and given.factor != factor:
                left = given.points / 100 * self._left(time - given.at * 1000)
                self._add(
                    state.told if given.told else state.weak, given.reason, (factor - given.factor) * left
                )
                given.factor = factor

    def case(self, state: State, normal: Normal) -> float:
        """Size of the case the weak points make now, or 0."""
        total = sum(state.weak.values())
        if total < self.limit * normal.strictness or sum(p >= 1 for p in state.weak.values()) < 2:
            return 0.0
        return total if total >= self._limit(normal) else 0.0

    def _limit(self, normal: Normal) -> float:
        group = normal.group(self.group_days)
        usual = group.quantile(MEASURE, self.quantile) / QUARTERS if group else 0.0
        return normal.strictness * max(self.limit, self.group_factor * usual)

    def score(self, state: State) -> float:
        """All points against the person, as of the last change."""
        return sum(state.weak.values()) + sum(state.told.values())

    def reasons(self, state: State) -> tuple[str, ...]:
        """Reasons by weight, heaviest first."""
        points = dict(state.weak)
        for reason, more in state.told.items():
            points[reason] = points.get(reason, 0.0) + more
        return tuple(sorted(points, key=lambda reason: (-points[reason], reason)))

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        return 0.0

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        total = sum(state.weak.values())
        limit = self._limit(normal)
        reasons = sorted(state.weak, key=lambda reason: (-state.weak[reason], reason))
        named = ", ".join(f"{reason} {state.weak[reason]:.1f}" for reason in reasons[:5])
        group = normal.group(self.group_days)
        return Finding(
            severity=HIGH if total >= 3 * limit else MEDIUM if total >= 1.5 * limit else LOW,
            score=-log10(group.tail(MEASURE, QUARTERS * total)) if group else total / 2,
            confidence=2 if group else 1,
            evidence=total,
            window=int(4 * self.half_life * 86_400),
            since=state.since or state.at,
            measures={
                "points": round(total, 2),
                "reasons": float(len(reasons)),
                **{f"points.{r}": round(state.weak[r], 2) for r in reasons[:5]},
            },
            baseline={"limit": round(limit, 2), "peer_days": float(group.days if group else 0)},
            en=(
                f"Weak signs add up to {total:.1f} points, from {limit:.1f} on being worth a look: {named}. Each alone "
                "is within what happens among colleagues; together they seldom do."
            ),
            vi=(
                f"Các dấu hiệu yếu cộng lại thành {total:.1f} điểm, ngưỡng đáng xem xét là {limit:.1f}: {named}. Từng "
                "dấu hiệu riêng lẻ vẫn nằm trong mức bình thường của đồng nghiệp; cùng lúc xuất hiện thì hiếm."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        opened, state.opened = min(state.opened, 15), 0
        return [(MEASURE, log_bin(QUARTERS * sum(state.weak.values()))), ("alerts.opened", opened)]

    def _left(self, span: int) -> float:
        """Share of points that is left after so many ms."""
        return float(2.0 ** -(max(0, span) / DAY / self.half_life))

    def _fade(self, state: State, time: int) -> None:
        if time <= state.at:
            return
        left = self._left(time - state.at) if state.at else 1.0
        state.at = time
        for points in (state.weak, state.told):
            for reason in list(points):
                points[reason] = round(points[reason] * left, 4)
                if points[reason] < LEAST_POINTS:
                    del points[reason]
        if not state.weak:
            state.since = 0

    @staticmethod
    def _add(points: dict[str, float], reason: str, more: float) -> None:
        total = min(round(points.get(reason, 0.0) + more, 4), MOST_POINTS)
        if total < LEAST_POINTS:
            points.pop(reason, None)
            return
        points[reason] = total
        if len(points) > MOST_REASONS:
            del points[min(points, key=lambda name: (points[name], name))]


def _key(uid: str) -> int:
    return crc32(uid.encode())
