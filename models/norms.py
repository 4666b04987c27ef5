"""What is usual among peers and in the company: histograms of person-days, updated with a fixed delay.

Every finished day of every person teaches its measures (bins on a logarithmic scale) to the histograms of his role and
of his carrier. They take effect a day later, at a moment of event time that depends on nothing else, so that all
partitions hold the same norms at the same point of the order, however many they are. Counts are integers and fade by
a fixed rule, so sums come out equal in whatever order they are made.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import msgspec

from detectors.base import Lesson, Normal, bin_top, log_bin

HOUR = 3_600_000
DAY = 24 * HOUR
#: How long after a lesson it takes effect. Partitions wait for each other only beyond it.
DELAY = DAY
#: Each day a fourteenth fades: the memory is about two weeks of days. Counts are kept in parts of WEIGHT, so that also
#: a single old day fades, in integers.
FADE = 14
WEIGHT = 64

Histogram = dict[int, int]
Measures = dict[str, Histogram]


class GroupNorm:
    """The norm of one group: read-only view with its answers cached until it next learns."""

    def __init__(self, days: int, measures: Measures) -> None:
        self.days = days // WEIGHT
        self._weight = days
        self._measures = measures
        self._answers: dict[tuple[str, str, float], float] = {}

    def quantile(self, measure: str, q: float) -> float:
        key = ("q", measure, q)
        answer = self._answers.get(key)
        if answer is None:
            answer = _quantile(self._measures.get(measure, {}), q)
            self._answers[key] = answer
        return answer

    def share(self, measure: str, number: int) -> float:
        return self._measures.get(measure, {}).get(number, 0) / self._weight if self._weight else 0.0

    def tail(self, measure: str, value: float) -> float:
        histogram = self._measures.get(measure, {})
        total = sum(histogram.values()) / WEIGHT
        top = max(histogram, default=0)
        number = log_bin(value)
        reached = sum(count for n, count in histogram.items() if n >= number) / WEIGHT
        # Beyond all that was seen the tail is taken to fall as a power law with exponent 2: quartered each doubling.
        beyond = max(0, number - top - 1)
        return min(1.0, (reached + 0.5) / (total + 1) * float(2.0 ** (-beyond / 2)))


def _quantile(histogram: Histogram, q: float) -> float:
    left = ceil(sum(histogram.values()) * q)
    for number in sorted(histogram):
        left -= histogram[number]
        if left <= 0:
            return bin_top(number)
    return 0.0


class NormsState(msgspec.Struct, array_like=True):
    """The histograms as stored.

    Attributes:
        pos: unused mark of keyed states; lessons are guarded by `upto`.
        upto: offset of the last block whose lessons are in.
        day: the day (from 1970) up to which counts have faded.
        waiting: lessons by the hour at which they take effect: {hour: {group: (days, measures)}}.
        groups: what is in effect: {group: (person-days, measures)}.
    """

    pos: tuple[int, int, int, int] = (-1, -1, -1, -1)
    upto: int = -1
    day: int = 0
    waiting: dict[int, dict[str, tuple[int, Measures]]] = {}
    groups: dict[str, tuple[int, Measures]] = {}


_NOTHING = GroupNorm(0, {})


class Norms:
    """Norms of all groups in one partition of the actor log.

    Args:
        state: as stored, or fresh.
        strictness: factor on every limit of the detectors, see `detectors.base.Normal`; `be` sets a carrier's own.
    """

    def __init__(self, state: NormsState, strictness: float = 1.0) -> None:
        self.state = state
        self._strictness = strictness
        self._strict: dict[str, float] = {}
        self._views: dict[str, GroupNorm] = {}
        self.normals: dict[tuple[str, str], Normal] = {}
        self._next = min(state.waiting, default=None)

    @property
    def due(self) -> int:
        """Event time (ms) of the next change; far away when none waits."""
        return 1 << 62 if self._next is None else self._next * HOUR

    def learn(self, st: int, bound: int, carrier: str, role: str, lessons: list[Lesson]) -> None:
        """Let the finished day of one person take effect a day after order time `st`.

        Args:
            st: order time at which the day was found finished, ms.
            bound: order time already released; a lesson that comes later than its effect waits for the next hour.
            carrier, role: whose norms it belongs to.
            lessons: (measure, bin) pairs.
        """
        hour = max((st + DELAY) // HOUR, bound // HOUR) + 1
        waiting = self.state.waiting.setdefault(hour, {})
        for group in (carrier, f"{carrier}/{role}"):
            days, measures = waiting.get(group, (0, {}))
            for measure, number in lessons:
                histogram = measures.setdefault(measure, {})
                histogram[number] = histogram.get(number, 0) + WEIGHT
            waiting[group] = (days + WEIGHT, measures)
        self._next = hour if self._next is None else min(self._next, hour)

    def advance(self, now: int) -> bool:
        """Put into effect what is due at order time `now`; whether anything changed."""
        changed = False
        while self._next is not None and self._next * HOUR <= now:
            hour = self._next
            self._fade(hour // 24)
            for group, (days, measures) in sorted(self.state.waiting.pop(hour).items()):
                had, known = self.state.groups.get(group, (0, {}))
                for measure, histogram in measures.items():
                    target = known.setdefault(measure, {})
                    for number, count in histogram.items():
                        target[number] = target.get(number, 0) + count
                self.state.groups[group] = (had + days, known)
            self._next = min(self.state.waiting, default=None)
            changed = True
        if changed:
            self._views.clear()
            self.normals.clear()
        return changed

    def _fade(self, day: int) -> None:
        if self.state.day == 0:
            self.state.day = day
        while self.state.day < day:
            self.state.day += 1
            groups = self.state.groups
            for group, (days, measures) in list(groups.items()):
                left = days - days // FADE
                for histogram in measures.values():
                    for number, count in list(histogram.items()):
                        if count >= FADE:
                            histogram[number] = count - count // FADE
                        else:
                            del histogram[number]
                groups[group] = (left, measures)

    def be(self, carrier: str, strictness: float) -> None:
        """Let the carrier's detectors be as strict as this from now on."""
        self._strict[carrier] = strictness
        self.normals.clear()

    def opened(self) -> dict[str, float]:
        """By carrier: alerts opened per 1,000 person-days, over about the last two weeks."""
        rates = {}
        for group, (days, measures) in self.state.groups.items():
            if "/" not in group and days >= WEIGHT:
                counts = measures.get("alerts.opened", {})
                rates[group] = 1000 * sum(number * n for number, n in counts.items()) / days
        return rates

    def normal(self, carrier: str, role: str) -> Normal:
        """The baselines for a person of this carrier and role."""
        key = (carrier, role)
        normal = self.normals.get(key)
        if normal is None:
            peers, company = self._view(f"{carrier}/{role}"), self._view(carrier)
            normal = self.normals[key] = Normal(peers, company, self._strict.get(carrier, self._strictness))
        return normal

    def _view(self, group: str) -> GroupNorm:
        view = self._views.get(group)
        if view is None:
            known = self.state.groups.get(group)
            view = self._views[group] = GroupNorm(*known) if known else _NOTHING
        return view


def encode_norms(state: NormsState) -> bytes:
    """Bytes of the norms; equal norms give equal bytes, in whatever order they were learnt."""
    return msgspec.msgpack.encode(_ordered(msgspec.to_builtins(state)))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value
