"""What a model says of days it was not trained on."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from models.dataset import Rows
from models.model import Model

Mask = npt.NDArray[np.bool_]

#: Surprises that are counted: one in a hundred, a thousand, ten thousand.
LEVELS = (2, 3, 4)
#: Share of the days, the last ones, that is held out.
HELD_OUT = 0.2
#: Days that can be parted, at the least.
LEAST_DAYS = 5
#: Buckets that are explained to say which features speak most.
EXPLAINED = 50


def held_out(rows: Rows) -> Mask:
    """Which rows lie in the last fifth of the days that have any, shape (n,)."""
    days = np.unique(rows.day)
    first = days[min(len(days) - 1, round(len(days) * (1 - HELD_OUT)))] if len(days) else 0
    return np.asarray(rows.day >= first)


def shares_above(model: Model, rows: Rows) -> dict[str, float]:
    """Share of rows that reach each of LEVELS; were life as in training, 0.01, 0.001 and 0.0001."""
    surprises = model.surprise(rows.x)
    return {
        f"{model.bucket}s_above_{level}": float((surprises >= level).mean()) if len(rows) else 0.0
        for level in LEVELS
    }


def top_features(model: Model, rows: Rows) -> list[tuple[str, float]]:
    """The features that contribute most to the most surprising rows, with their share of all contributions."""
    surprises = model.surprise(rows.x)
    most = np.argsort(-surprises, kind="stable")[:EXPLAINED]
    sums: defaultdict[str, float] = defaultdict(float)
    for row in rows.x[most]:
        for reason in model.explain(row):
            sums[reason.feature] += reason.contribution
    total = sum(sums.values())
    return [(name, n / total) for name, n in sorted(sums.items(), key=lambda item: (-item[1], item[0]))]
