"""Calibration finds the least strictness that keeps to the budget, carrier by carrier, and says when it cannot know."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isclose
from typing import Any, ClassVar

import msgspec
import pytest

from detectors.base import MEDIUM, Detector, Finding, Normal, Person, Touch
from streams.flow.control import LOOSEST, STRICTEST
from streams.flow.events import decode_block
from streams.history.calibration import (
    RUNS,
    Calibration,
    CalibrationError,
    Calibrator,
    Trial,
    poisson_interval,
    search,
)
from streams.history.carriers import Touches, before, by_carrier
from streams.history.touches import Spool, block, ending
from tests.archives import touch
from tests.senders import DAY, HOUR, MONDAY


class Nothing(msgspec.Struct, array_like=True):
    """The state of a detector that needs none."""

    seen: int = 0


@dataclass(frozen=True)
class Large(Detector[Nothing]):
    """Alerts of every touch with ten records or more, by the strictness it is told."""

    name: ClassVar[str] = "large"
    summary: ClassVar[str] = "Ten records or more."
    state_type: ClassVar[type[Any]] = Nothing
    quiet: ClassVar[int] = 0

    def step(self, state: Nothing, touch: Touch, normal: Normal) -> float:
        return float(touch.records) if touch.records >= 10 * normal.strictness else 0.0

    def report(self, state: Nothing, touch: Touch | None, normal: Normal) -> Finding:
        return Finding(
            severity=MEDIUM, score=1.0, confidence=1, evidence=1.0, window=1, since=1, measures={}, baseline={},
            en="e", vi="v",
        )  # fmt: skip


LARGE = (Large(),)


def people(count: int, carrier: str = "vnx") -> list[Person]:
    return [Person(f"k1.{carrier}{n}", carrier) for n in range(count)]


def days(count: int, staff: list[Person], records: Callable[[int, int], int]) -> Iterator[Touch]:
    """A touch of each person on each day, an hour apart, with as many records as the function says."""
    for day in range(count):
        for n, who in enumerate(staff):
            time = MONDAY + day * DAY + n * HOUR // 8
            row = touch(day * len(staff) + n, time=time, records=records(day, n), tz=0)
            row.st, row.who = time, who
            yield row


def kept(rows: list[Touch]) -> Iterator[Touches]:
    """Touches by carrier, in blocks of a hundred."""
    rows.sort(key=lambda row: (row.st, row.off))
    blocks = [block(rows[n : n + 100]) for n in range(0, len(rows), 100)]
    return by_carrier([*blocks, ending(rows[-1].st)])


def counting(alerts: Callable[[float], int]) -> Callable[[float], Trial]:
    return lambda strictness: Trial(strictness, Counter(large=alerts(strictness)))


def found(trials: list[Trial], budget: float = 1.0, user_days: int = 100_000) -> Calibration:
    return Calibration("vnx", budget, 60, 30, user_days, tuple(sorted(trials)))


def test_the_least_strict_value_that_keeps_to_the_budget_is_chosen() -> None:
    rng = random.Random(1)
    staff = people(100)
    sizes = {(day, n): int(10 / (1 - rng.random()) ** 0.5) for day in range(40) for n in range(100)}
    for touches in kept(list(days(40, staff, lambda day, n: sizes[day, n]))):
        result = Calibrator(touches, detectors=LARGE).to(100)
    # Above the limit L lies a share (1/L)² of the touches: a tenth at strictness √10.
    assert result.chosen is not None
    assert isclose(result.chosen.strictness, 10**0.5, rel_tol=0.12)
    assert 90 <= result.rate(result.chosen.alerts.total()) <= 100
    assert (result.user_days, result.warm_up_days, result.tells) == (2_000, 20, True)
    assert len(result.trials) <= RUNS


def test_what_alerts_in_the_warm_up_does_not_count() -> None:
    for touches in kept(list(days(10, people(20), lambda day, n: 50 if day < 5 else 1))):
        result = Calibrator(touches, warm_up=0.5, detectors=LARGE).to(1_000, runs=1)
    assert result.trials == (Trial(1.0, Counter()),)


def test_carriers_are_calibrated_apart() -> None:
    quiet = list(days(10, people(10), lambda day, n: 1))
    loud = list(days(10, people(10, "other"), lambda day, n: 20))
    results = [Calibrator(touches, detectors=LARGE).to(10, runs=3) for touches in kept(quiet + loud)]
    assert [result.carrier for result in results] == ["other", "vnx"]
    chosen = [result.chosen.strictness if result.chosen else None for result in results]
    assert chosen[0] is not None
    assert chosen[1] is not None
    assert chosen[0] > 2 > chosen[1]


def test_user_days_are_people_active_on_a_local_day() -> None:
    rows = list(days(4, people(3), lambda day, n: 1)) + list(days(4, people(3), lambda day, n: 1))
    [touches] = kept(rows)
    assert touches.rows == 24
    assert list(touches.user_days.values()) == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("alerts", "allowed", "strictness"),
    [
        pytest.param(lambda s: int(1_000 / s**2), 100, 10**0.5, id="stricter"),
        pytest.param(lambda s: int(50 / s), 100, 0.5, id="looser"),
        pytest.param(lambda s: 98, 100, 1.0, id="right as shipped"),
        pytest.param(lambda s: 0, 100, LOOSEST, id="never enough"),
        pytest.param(lambda s: 101 if s < STRICTEST else 99, 100, STRICTEST, id="only at the end"),
    ],
)
def test_the_search_ends_near_the_budget_within_six_runs(
    alerts: Callable[[float], int], allowed: float, strictness: float
) -> None:
    trials = search(counting(alerts), allowed, RUNS)
    assert trials[0].strictness == 1.0
    assert len(trials) <= RUNS
    chosen = found(trials, 1.0, int(allowed * 1_000)).chosen
    assert chosen is not None
    assert isclose(chosen.strictness, strictness, rel_tol=0.1)


def test_no_strictness_is_chosen_where_even_the_strictest_alerts_too_much() -> None:
    trials = search(counting(lambda s: 500), 100, RUNS)
    assert max(trials).strictness == STRICTEST
    assert found(trials).chosen is None


def test_a_value_is_not_chosen_when_a_stricter_one_breaks_the_budget() -> None:
    """By chance fewer alerts may come at a looser setting; that is not to be relied on."""
    trials = [Trial(0.5, Counter(a=90)), Trial(1.0, Counter(a=120)), Trial(2.0, Counter(a=80))]
    assert found(trials).chosen == trials[2]


@pytest.mark.parametrize(("user_days", "tells"), [(9_999, False), (10_000, True)])
def test_a_history_is_too_short_when_the_budget_allows_fewer_than_ten_alerts_in_it(
    user_days: int, tells: bool
) -> None:
    result = found([Trial(1.0, Counter())], user_days=user_days)
    assert (result.tells, result.needed) == (tells, 10_000)


def test_nothing_left_after_the_warm_up_is_an_error_with_the_remedy() -> None:
    for touches in kept(list(days(1, people(2), lambda day, n: 1))):
        with pytest.raises(
            CalibrationError, match=r"nothing is left after the warm-up share 0\.5; give a longer"
        ):
            Calibrator(touches, detectors=LARGE).to(1)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (4, 1.09, 10.242), (100, 81.36, 121.63)]
)
def test_intervals_are_those_of_the_poisson_distribution(count: int, low: float, high: float) -> None:
    """Exact values by Garwood (1936)."""
    ends = poisson_interval(count)
    assert ends == pytest.approx((low, high), rel=0.02, abs=0.02)


def test_what_was_tried_for_one_budget_is_not_run_again_for_another() -> None:
    tried: list[float] = []
    for touches in kept(list(days(10, people(20), lambda day, n: 5 + n))):
        calibrator = Calibrator(touches, detectors=LARGE, progress=tried.append)
        strict, loose = calibrator.to(100), calibrator.to(400)
    assert len(tried) == len(set(tried))
    assert strict.chosen is not None
    assert loose.chosen is not None
    assert strict.chosen.strictness > loose.chosen.strictness


def test_days_before_another_are_kept_apart_with_their_user_days() -> None:
    rows = list(days(6, people(3), lambda day, n: 1))
    first = rows[0].time // DAY
    with Spool() as spool:
        touches = before([block(rows), ending(rows[-1].st)], first + 4, spool)
        kept_rows = [row for value in spool for row in decode_block(value).touches]
    assert len(kept_rows) == touches.rows == 12
    assert touches.days() == (first, first + 3)
