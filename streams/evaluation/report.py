"""Trials of several seeds made into one report: medians with their spread, by method and by shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import orjson

from streams.evaluation.plan import SHAPES, Plan
from streams.evaluation.score import BUDGETS, Score

#: Seeds' curves are drawn through these false-alert rates.
GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 50.0, 100.0)


class AtBudget(NamedTuple):
    """How parcelwatch fared at the strictness that, on the warm-up, kept to an alert budget."""

    strictness: float
    score: Score


@dataclass
class Trial:
    """One seed of one variant.

    Attributes:
        variant, seed: which.
        plan: what was injected.
        scores: by method, at its alert budget.
        curves: by method, of everything it could say.
        injected_days: user-days on which something was injected.
        decoys: benign accesses added.
        budgets: by alerts per 1,000 user-days; empty when not asked for.
    """

    variant: str
    seed: int
    plan: Plan
    scores: dict[str, Score]
    curves: dict[str, Score]
    injected_days: int
    decoys: int
    budgets: dict[float, AtBudget] = field(default_factory=dict)


def spread(values: Iterable[float | None]) -> dict[str, Any]:
    """Median, least and most of the values that there are, and all of them by seed.

    >>> spread([0.5, None, 1.0])
    {'median': 0.75, 'min': 0.5, 'max': 1.0, 'seeds': [0.5, None, 1.0]}
    """
    every = [None if value is None else round(value, 6) for value in values]
    known = [value for value in every if value is not None]
    if not known:
        return {"median": None, "min": None, "max": None, "seeds": every}
    return {"median": median(known), "min": min(known), "max": max(known), "seeds": every}


@dataclass(frozen=True)
class Report:
    """All figures of an evaluation.

    Attributes:
        data: plain JSON; equal inputs and seeds give equal bytes.
    """

    data: dict[str, Any]

    @classmethod
    def of(cls, parameters: dict[str, Any], log: dict[str, Any], trials: Sequence[Trial]) -> Report:
        """Put trials together, seeds of one variant side by side."""
        variants = list(dict.fromkeys(trial.variant for trial in trials))
        left_out: dict[str, str] = {}
        for trial in trials:
            left_out |= trial.plan.left_out
        return cls(
            {
                "parameters": parameters,
                "log": log,
                "shapes_left_out": left_out,
                "variants": {
                    variant: _variant([trial for trial in trials if trial.variant == variant])
                    for variant in variants
                },
            }
        )

    def json(self) -> bytes:
        """As a file, indented."""
        return orjson.dumps(self.data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _variant(trials: Sequence[Trial]) -> dict[str, Any]:
    short: dict[str, str] = {}
    for trial in trials:
        short |= trial.plan.short
    return {
        "episodes": spread(len(trial.plan.episodes) for trial in trials),
        "injected_user_days": spread(trial.injected_days for trial in trials),
        "user_days": spread(next(iter(trial.scores.values())).user_days for trial in trials),
        "decoy_accesses": spread(trial.decoys for trial in trials),
        "fewer_episodes": short,
        "calibrated": {
            f"{budget:g}": _at_budget([trial.budgets[budget] for trial in trials])
            for budget in trials[0].budgets
        },
        "methods": {name: _method(trials, name) for name in trials[0].scores},
    }


def _at_budget(trials: Sequence[AtBudget]) -> dict[str, Any]:
    return {
        "strictness": spread(one.strictness for one in trials),
        "recall": spread(one.score.recall() for one in trials),
        "false_alerts_per_1000_user_days": spread(one.score.false_rate() for one in trials),
        "records_gone_before_first_alert": spread(one.score.gone_overall() for one in trials),
    }


def _method(trials: Sequence[Trial], name: str) -> dict[str, Any]:
    scores = [trial.scores[name] for trial in trials]
    curves = [trial.curves[name] for trial in trials]
    points = [curve.curve() for curve in curves]
    return {
        "recall": spread(one.recall() for one in scores),
        "false_alerts_per_1000_user_days": spread(one.false_rate() for one in scores),
        "alerts_per_1000_user_days": spread(one.alert_rate() for one in scores),
        "precision": spread(one.precision() for one in scores),
        "records_gone_before_first_alert": spread(one.gone_overall() for one in scores),
        "minutes_to_first_alert": spread(one.minutes_overall() for one in scores),
        "recall_at_false_alerts_per_1000_user_days": {
            f"{budget:g}": spread(curve.recall_at(budget) for curve in curves) for budget in BUDGETS
        },
        "curve": [{"false": rate, "recall": spread(_at(line, rate) for line in points)} for rate in GRID],
        "false_by_detector": _totals(one.false_by for one in scores),
        "shapes": {
            shape: _shape(scores, shape) for shape in SHAPES if any(shape in s.by_shape() for s in scores)
        },
    }


def _at(line: Sequence[tuple[float, float]], rate: float) -> float:
    return max((recall for false, recall in line if false <= rate), default=0.0)


def _shape(scores: Sequence[Score], shape: str) -> dict[str, Any]:
    have = [one for one in scores if shape in one.by_shape()]
    groups = [one.by_shape()[shape] for one in have]
    return {
        "episodes": sum(map(len, groups)),
        "recall": spread(sum(bool(one.hits) for one in group) / len(group) for group in groups),
        "records_gone_before_first_alert": spread(one.gone(shape) for one in have),
        "minutes_to_first_alert": spread(one.minutes(shape) for one in have),
        "found_by": _totals(one.first_by()[shape] for one in have),
    }


def _totals(counters: Iterable[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return dict(sorted(total.items()))
