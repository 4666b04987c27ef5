"""How strict the detectors must be to keep to an alert budget, found by trying on labelled touches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil, sqrt
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from detectors import DETECTORS
from detectors.base import Detector, Touch
from detectors.episodes import CREATE
from streams.flow.control import LOOSEST, STRICTEST
from streams.flow.events import Block, Explained, decode_block
from streams.history.detection import detect
from streams.history.touches import Spool, block, ending

DAY, MINUTE = 86_400_000, 60_000
#: Tries; each is a run of the detect stage.
RUNS = 6
#: A try is good enough when it spends all of the budget but this share.
NEAR = 0.05
#: A history tells when the budget allows so many alerts in it: by chance alone, ten are 5 to 18.
ENOUGH = 10
#: 97.5 % quantile of the normal distribution, for intervals of 95 %.
_Z = 1.959964

_place = attrgetter("st", "src", "off", "idx")


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


@dataclass
class Touches:
    """The labelled touches of one carrier, kept, and how many people were active on each local day.

    Attributes:
        carrier: code.
        spool: the touches in blocks.
        user_days: people with a touch, by local day counted from 1970-01-01. A late event of a day before the person's
            latest one is not counted.
        rows: touches and late reasons.
    """

    carrier: str
    spool: Spool
    user_days: Counter[int] = field(default_factory=Counter)
    rows: int = 0

    def days(self) -> tuple[int, int]:
        """First and last local day."""
        return min(self.user_days), max(self.user_days)

    def measured_from(self, warm_up: float) -> int:
        """First local day that counts when that share of the calendar days, from the first, only teaches."""
        first, last = self.days()
        return first + max(1, round((last - first + 1) * warm_up))


def by_carrier(blocks: Iterable[bytes]) -> Iterator[Touches]:
    """Part labelled touches by carrier: people, baselines and limits of one have nothing to do with another's.

    Each one's `spool` is closed when the next is asked for.
    """
    found: dict[str, Touches] = {}
    latest: dict[str, int] = {}
    clock = 0
    try:
        for value in blocks:
            one: Block = decode_block(value)
            clock = max(clock, one.clock)
            for carrier, rows in _rows(one).items():
                if carrier not in found:
                    found[carrier] = Touches(carrier, Spool())
                touches = found[carrier]
                for row in rows:
                    if type(row) is Touch:
                        day, token = (row.time + row.tz * MINUTE) // DAY, row.who.token
                        if day > latest.get(token, -1):
                            latest[token] = day
                            touches.user_days[day] += 1
                touches.rows += len(rows)
                touches.spool.add(block(rows))
        for _, touches in sorted(found.items()):
            touches.spool.add(ending(clock))
            yield touches
            touches.spool.close()
    finally:
        for touches in found.values():
            touches.spool.close()


def _rows(one: Block) -> dict[str, list[Touch | Explained]]:
    both: list[Touch | Explained] = [*one.touches, *one.explained]
    both.sort(key=_place)
    rows: defaultdict[str, list[Touch | Explained]] = defaultdict(list)
    for row in both:
        row.who = one.people[row.who]
        rows[row.who.carrier].append(row)
    return rows


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


def calibrate(
    touches: Touches,
    budget: float,
    *,
    warm_up: float = 0.5,
    runs: int = RUNS,
    detectors: tuple[Detector[Any], ...] = DETECTORS,
    progress: Callable[[float], None] = lambda _: None,
) -> Calibration:
    """Find the least strictness from 0.25 to 8 at which all detectors together keep to the budget.

    The history is taken to be benign. Alerts (episodes, not messages) count that open after the warm-up. The first
    run is at strictness 1; bisection on a logarithmic scale follows until a run spends between 95 and 100 % of
    the budget.

    Args:
        touches: of one carrier.
        budget: alerts per 1,000 user-days, above 0.
        warm_up: share of the calendar days, from the first, that only teaches, above 0 and below 1.
        runs: at most.
        detectors: the catalogue.
        progress: called after each run with its strictness.

    Raises:
        CalibrationError: no day is left after the warm-up.
    """
    first, last = touches.days()
    begin = touches.measured_from(warm_up)
    user_days = sum(people for day, people in touches.user_days.items() if day >= begin)
    if not user_days:
        raise CalibrationError(
            f"carrier {touches.carrier}: {last - first + 1} days, of which nothing is left after the warm-up share "
            f"{warm_up:g}; give a longer history or a smaller share"
        )

    def run(strictness: float) -> Trial:
        found = detect(touches.spool, strictness=strictness, detectors=detectors)
        trial = Trial(strictness, opened(found, begin))
        progress(strictness)
        return trial

    trials = search(run, budget * user_days / 1_000, runs)
    return Calibration(
        touches.carrier, budget, last - first + 1, begin - first, user_days, tuple(sorted(trials))
    )


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
