"""Scores become tail probabilities: as often as seen, and beyond that as a power law, never endless."""

from __future__ import annotations

import numpy as np
import pytest

from models.tail import LEAST_SCORES, MOST_POINTS, MOST_POWER, Tail


def test_a_score_is_as_surprising_as_it_was_seldom() -> None:
    tail = Tail.fit(np.arange(1.0, 10_001.0))
    assert tail.surprise(np.array([5_001.0, 9_001.0, 9_901.0])) == pytest.approx([0.301, 1, 2], abs=0.02)


def test_beyond_the_largest_surprise_goes_on_as_the_power_law_that_led_there() -> None:
    distances = (1 - np.arange(10_000) / 10_000) ** (-1 / 4)
    tail = Tail.fit(np.concatenate([np.zeros(10_001), distances]))
    assert tail.power == pytest.approx(4, abs=0.1)
    # A score ten times as far out is 10,000 times as rare.
    assert tail.surprise(np.array([10.0, 100.0, 1_000.0])) == pytest.approx([4.3, 8.3, 12.3], abs=0.2)


def test_surprise_never_falls_as_the_score_grows() -> None:
    rng = np.random.default_rng(2)
    for scores in (rng.normal(size=500), rng.integers(0, 3, 500).astype(float), rng.pareto(1, 500)):
        surprises = Tail.fit(scores).surprise(np.linspace(scores.min() - 1, scores.max() * 3 + 1, 2_000))
        assert (np.diff(surprises) >= 0).all()
        assert (surprises >= 0).all()


def test_the_few_largest_do_not_shape_what_lies_beyond() -> None:
    scores = np.random.default_rng(3).normal(size=2_000)
    tainted = np.append(scores, [50.0] * 8)
    assert Tail.fit(tainted).surprise(np.array([50.0]))[0] > 3.5


def test_scores_that_are_all_the_same_give_a_finite_answer() -> None:
    tail = Tail.fit(np.zeros(1_000))
    assert tail.surprise(np.array([-1.0, 0.0])).tolist() == [0, 0] or np.isfinite(tail.power)
    assert 0 < tail.surprise(np.array([1e9]))[0] <= MOST_POWER


def test_a_tail_is_bounded_however_many_scores_made_it() -> None:
    assert len(Tail.fit(np.random.default_rng(4).normal(size=100_000)).scores) <= MOST_POINTS


def test_too_few_scores_make_no_tail() -> None:
    with pytest.raises(ValueError, match=f"{LEAST_SCORES} scores at the least, not 3"):
        Tail.fit(np.zeros(3))
