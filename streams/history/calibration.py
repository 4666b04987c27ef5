"""How strict the detectors must be to keep to an alert budget, found by trying on labelled touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, NamedTuple

import msgspec

from detectors import DETECTORS
from detectors.base import Detector
from detectors.episodes import CREATE
from streams.flow.control import LOOSEST, STRICTEST
from streams.history.carriers import DAY, MINUTE, Touches
from streams.history.detection import detect

#: Tries; each is a run of the detect stage.
RUNS = 6
#: A try is good enough when it spends all of the budget but this share.
NEAR = 0.05
#: A history tells when the budget allows so many alerts in it: by chance alone, ten are 5 to 18.
ENOUGH = 10
#: 97.5 % quantile of the normal distribution, for intervals of 95 %.
_Z = 1.959964


class _Uid(msgspec.Struct, gc=False):
    name: str


class _Info(msgspec.Struct, gc=False):
    analytic: _Uid


class _Alert(msgspec.Struct, gc=False):
    activity_id: int
    time: int
    timezone_offset: int
    finding_info: _Info


_alert = msgspec.json.Decoder(_Alert).decode


class Trial(NamedTuple):
    """One run: the alerts that opened on the days that count, by detector."""

    strictness: float
    alerts: Counter[str]


@dataclass(frozen=True)
class Calibration:
    """What was found for one carrier.

    Attributes:
        carrier: code.
        budget: alerts per 1,000 user-days that are allowed.
        days, warm_up_days: calendar days of the history, and how many of them, from the first, only taught.
        user_days: those that count.
        trials: every run, the least strict first.
    """

    carrier: str
    budget: float
    days: int
    warm_up_days: int
    user_days: int
    trials: tuple[Trial, ...]

    @property
    def allowed(self) -> float:
        """Alerts the budget allows in this history."""
        return self.budget * self.user_days / 1_000

    @property
    def tells(self) -> bool:
        """Whether the history is long enough for the result to mean much."""
        return self.allowed >= ENOUGH

    @property
    def needed(self) -> int:
        """User-days after the warm-up that would be long enough."""
        return ceil(ENOUGH * 1_000 / self.budget)

    @property
    def chosen(self) -> Trial | None:
        """The least strict run that keeps to the budget, as do all stricter ones; None when none does."""
        found = None
        for trial in reversed(self.trials):
            if trial.alerts.total() > self.allowed:
                break
            found = trial
        return found

    def rate(self, alerts: float) -> float:
        """Alerts per 1,000 user-days."""
        return 1_000 * alerts / self.user_days

    def interval(self, alerts: int) -> tuple[float, float]:
        """The rates between which the true one lies with 95 % confidence, when so many alerts were counted."""
        low, high = poisson_interval(alerts)
        return self.rate(low), self.rate(high)


class CalibrationError(Exception):
    """Touches that cannot be calibrated on; says why and what would do."""


class Calibrator:
    """Tries strictness on the labelled touches of one carrier, which are taken to be benign.

    Alerts (episodes, not messages) count that open after the warm-up.

    Args:
        touches: what to try on.
        warm_up: share of the calendar days, from the first, that only teaches, above 0 and below 1.
        detectors: the catalogue.
        progress: called with each strictness tried.

    Raises:
        CalibrationError: no day is left after the warm-up.
    """

    def __init__(
        self,
        touches: Touches,
        *,
        warm_up: float = 0.5,
        detectors: tuple[Detector[Any], ...] = DETECTORS,
        progress: Callable[[float], None] = lambda _: None,
    ) -> None:
        first, last = touches.days()
        self._touches = touches
        self._detectors = detectors
        self._progress = progress
        self._begin = touches.measured_from(warm_up)
        self._warm_up_days, self._days = self._begin - first, last - first + 1
        self._tried: dict[float, Trial] = {}
        self._user_days = sum(n for day, n in touches.user_days.items() if day >= self._begin)
        if not self._user_days:
            whose = f"carrier {touches.carrier}: " if touches.carrier else "the warm-up: "
            raise CalibrationError(
                f"{whose}{self._days} days, of which nothing is left after the warm-up share "
                f"{warm_up:g}; give a longer history or a smaller share"
            )

    def to(self, budget: float, runs: int = RUNS) -> Calibration:
        """Find the least strictness from 0.25 to 8 at which all detectors together keep to a budget.

        The first run is at strictness 1; bisection on a logarithmic scale follows until a run spends between 95 and
        100 % of the budget. What was run for another budget is not run again.

        Args:
            budget: alerts per 1,000 user-days, above 0.
            runs: at most.
        """
        trials = search(self._run, budget * self._user_days / 1_000, runs)
        return Calibration(
            self._touches.carrier,
            budget,
            self._days,
            self._warm_up_days,
            self._user_days,
            tuple(sorted(trials)),
        )

    def _run(self, strictness: float) -> Trial:
        trial = self._tried.get(strictness)
        if trial is None:
            found = detect(self._touches.spool, strictness=strictness, detectors=self._detectors)
            trial = self._tried[strictness] = Trial(strictness, opened(found, self._begin))
            self._progress(strictness)
        return trial


def search(run: Callable[[float], Trial], allowed: float, runs: int) -> list[Trial]:
    """Runs at strictness 1, then between the loosest that kept to the budget and the strictest that did not.

    Args:
        run: gives what a strictness alerts.
        allowed: alerts.
        runs: at most.
    """
    low, high = LOOSEST, STRICTEST
    strictness = 1.0
    trials: list[Trial] = []
    while len(trials) < runs:
        trial = run(strictness)
        trials.append(trial)
        count = trial.alerts.total()
        if int(allowed) * (1 - NEAR) <= count <= allowed:
            break
        if count > allowed:
            low = strictness
        else:
            high = strictness
        if low == high:
            break
        # Where the whole range is on one side of the budget, the last run is at its end, to know that for sure.
        end = high if high == STRICTEST else low if low == LOOSEST else None
        strictness = end if end and len(trials) == runs - 1 else sqrt(low * high)
    return trials


def opened(alerts: Iterable[bytes], first_day: int) -> Counter[str]:
    """Alerts that open on a local day (counted from 1970-01-01) or later, by detector."""
    counts: Counter[str] = Counter()
    for value in alerts:
        alert = _alert(value)
        day = (alert.time + alert.timezone_offset * MINUTE) // DAY
        if alert.activity_id == CREATE and day >= first_day:
            counts[alert.finding_info.analytic.name] += 1
    return counts


def poisson_interval(count: int) -> tuple[float, float]:
    """Between which the expectation lies with 95 % confidence, when so many were counted.

    Byar's approximation to the exact interval (Breslow and Day, Statistical Methods in Cancer Research II, 1987).

    >>> [round(end, 1) for end in poisson_interval(10)]
    [4.8, 18.4]
    >>> [round(end, 1) for end in poisson_interval(0)]
    [0.0, 3.7]
    """
    low = count * (1 - 1 / (9 * count) - _Z / (3 * sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    return low, more * (1 - 1 / (9 * more) + _Z / (3 * sqrt(more))) ** 3
