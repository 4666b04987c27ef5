"""How rare a score is: scores of any model on the scale of detectors, −log10 of a tail probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: The highest share of the scores does not shape the tail, lest a leak among them hides the next one.
TRIM = 0.005
#: The power law beyond the rest is fitted to scores rarer than this.
UPPER = 0.1
#: Points kept of the tail.
MOST_POINTS = 200
#: Bounds of the power law's exponent; the lower one also where there is too little to fit it to.
LEAST_POWER, MOST_POWER = 2.0, 12.0
#: Scores below which the tail says nothing.
LEAST_SCORES = 50


@dataclass(frozen=True, eq=False)
class Tail:
    """Tail probabilities of a score: as often as it was reached in training, and a power law beyond that.

    Attributes:
        scores: points, rising, shape (p,).
        surprises: −log10 of the share of training scores that reach each of them, rising, shape (p,).
        origin: median score, from which the power law measures.
        power: its exponent: surprise grows by it when the distance from the origin becomes ten times as large.

    References: Clauset, Shalizi, Newman, Power-law distributions in empirical data, SIAM Review 2009, for power laws
    in tails; the exponent is the slope of the tail on logarithmic axes, by least squares.
    """

    scores: Floats
    surprises: Floats
    origin: float
    power: float

    @classmethod
    def fit(cls, scores: Floats) -> Tail:
        """Learn it from the scores of training rows, shape (n,).

        Raises:
            ValueError: fewer than LEAST_SCORES scores.
        """
        n = len(scores)
        if n < LEAST_SCORES:
            raise ValueError(f"a tail takes {LEAST_SCORES} scores at the least, not {n}")
        ordered = np.sort(scores)
        values, first = np.unique(ordered, return_index=True)
        surprises = -np.log10((n - first) / (n + 1))
        kept = first <= n - 1 - int(TRIM * n)
        values, surprises = values[kept], surprises[kept]
        origin = float(np.median(ordered))
        steps = np.linspace(surprises[0], surprises[-1], MOST_POINTS)
        points = np.unique(np.searchsorted(surprises, steps).clip(max=len(values) - 1))
        power = _power(values - origin, surprises)
        return cls(values[points], surprises[points], origin, power)

    def surprise(self, scores: Floats) -> Floats:
        """−log10 of the tail probability of each score, never negative, shape (n,)."""
        known = np.interp(scores, self.scores, self.surprises)
        reach = float(self.scores[-1]) - self.origin
        if reach <= 0:
            # All training scores were the same: anything above is rarer than them, by nobody knows how much.
            return known + np.where(scores > self.scores[-1], float(np.log10(LEAST_SCORES)), 0.0)
        beyond = np.log10(np.maximum(1.0, (scores - self.origin) / reach))
        return known + self.power * beyond


def _power(distances: Floats, surprises: Floats) -> float:
    upper = (surprises >= -np.log10(UPPER)) & (distances > 0)
    if upper.sum() < 3:
        return LEAST_POWER
    x, y = np.log10(distances[upper]), surprises[upper]
    spread = x - x.mean()
    if not spread.any():
        return LEAST_POWER
    slope = float((spread * (y - y.mean())).sum() / (spread**2).sum())
    return min(max(slope, LEAST_POWER), MOST_POWER)
