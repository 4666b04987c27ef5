"""Drift: whether people still live as they did when a model was trained.

The population stability index (PSI) of a feature is the sum over its bins of (a − e) · ln(a / e), where e is the
share of the training rows in a bin and a that of recent rows. It is 0 when they are equal and symmetric.

References: Siddiqi, Credit Risk Scorecards, Wiley 2006, for the index and the usual bounds; Yurdakul and Naranjo,
Statistical properties of the population stability index, Journal of Risk Model Validation 2020, for what chance gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Below the first nothing has changed that matters; from the second on the model should be trained again.
CHANGED, SHIFTED = 0.1, 0.25
#: Bins of a feature, at most: tenths of the training rows.
BINS = 10
#: An empty bin counts as half a row.
_EMPTY = 0.5


class Drift(NamedTuple):
    """How far a feature has moved.

    Attributes:
        feature: name.
        psi: population stability index.
        chance: the most it would be by chance, were nothing changed: few rows make it large.
        verdict: stable, changed or shifted: `psi` without `chance` against CHANGED and SHIFTED.
    """

    feature: str
    psi: float
    chance: float
    verdict: str


@dataclass(frozen=True, eq=False)
class Reference:
    """The training rows as drift is measured against: for each feature the bins and how many rows fell into them.

    Attributes:
        edges: by feature, rising inner edges; a value belongs to the bin of the edges below or at it.
        counts: by feature, rows in each bin, one more than edges.
    """

    edges: tuple[Floats, ...]
    counts: tuple[Floats, ...]

    @classmethod
    def fit(cls, x: Floats) -> Reference:
        """From training rows, shape (n, features)."""
        edges = tuple(_edges(column) for column in x.T)
        counts = tuple(_counts(column, inner) for column, inner in zip(x.T, edges, strict=True))
        return cls(edges, counts)


def _edges(column: Floats) -> Floats:
    least = column.min()
    tenths = np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1], method="higher")
    # Where most rows are 0 the tenths fall together; whatever is above still is a bin of its own, if an empty one.
    above = column[column > least].min(initial=np.inf)
    second = above if np.isfinite(above) else np.nextafter(least, np.inf)
    return np.unique([second, *tenths[tenths > least]])


def _counts(column: Floats, edges: Floats) -> Floats:
    return np.bincount(np.searchsorted(edges, column, side="right"), minlength=len(edges) + 1).astype(float)


def psi(expected: Floats, actual: Floats) -> float:
    """Population stability index of two histograms over the same bins, each not empty.

    >>> psi(np.array([50.0, 50.0]), np.array([100.0, 100.0]))
    0.0
    """
    e = np.maximum(expected, _EMPTY) / expected.sum()
    a = np.maximum(actual, _EMPTY) / actual.sum()
    return float(((a - e) * np.log(a / e)).sum())


def drift(reference: Reference, x: Floats, names: Sequence[str]) -> list[Drift]:
    """How far each feature has moved since training, the farthest first.

    Args:
        reference: of the training rows.
        x: recent rows, shape (n, features).
        names: of the features.

    Raises:
        ValueError: no recent rows, or not of these features.
    """
    if x.ndim != 2 or not len(x) or x.shape[1] != len(reference.edges):
        raise ValueError(
            f"drift takes rows of {len(reference.edges)} features, not an array of shape {x.shape}"
        )
    found = []
    for name, column, edges, counts in zip(names, x.T, reference.edges, reference.counts, strict=True):
        index = psi(counts, _counts(column, edges))
        # Of an unchanged feature it is about chi-squared, scaled: its mean and three standard deviations.
        chance = (len(edges) + 3 * sqrt(2 * len(edges))) * (1 / counts.sum() + 1 / len(x))
        found.append(Drift(name, index, chance, _verdict(index - chance)))
    return sorted(found, key=lambda one: (-one.psi, one.feature))


def _verdict(excess: float) -> str:
    if excess < CHANGED:
        return "stable"
    return "changed" if excess < SHIFTED else "shifted"
