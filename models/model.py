"""A trained model: how surprising an hour or a day of a person is, and which features make it so."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.drift import Reference
from models.features import FEATURES, SHARES
from models.tail import Tail

Floats = npt.NDArray[np.float64]

#: Rows handed to scikit-learn at once: with more, linear algebra starts threads, which cost more than they save.
AT_ONCE = 256
UNSUPERVISED, SUPERVISED = "unsupervised", "supervised"


class TrainedOn(NamedTuple):
    """What a model was trained on.

    Attributes:
        rows, persons: numbers of buckets and of people.
        first_day, last_day: local days, ISO 8601; empty when not said.
        carriers: codes; empty when all there were.
        leaks: rows that verdicts call a leak.
    """

    rows: int = 0
    persons: int = 0
    first_day: str = ""
    last_day: str = ""
    carriers: tuple[str, ...] = ()
    leaks: int = 0


class Reason(NamedTuple):
    """What a feature adds to a surprise.

    Attributes:
        feature: name.
        contribution: surprise that is gone when the feature is as usual.
        value, usual: of the bucket, and what would be usual with all else as it is, in plain numbers.
    """

    feature: str
    contribution: float
    value: float
    usual: float


@dataclass(frozen=True, eq=False)
class Model:
    """A model of person-hours or person-days.

    Attributes:
        kind: unsupervised or supervised.
        bucket: hour or day.
        features: names of the vector's numbers, in order.
        pipeline: fitted scikit-learn pipeline.
        usual: median of the training rows, shape (features,).
        tail: of the scores of training rows.
        reference: training rows as drift is measured against.
        trained_on: what it was trained on.
        versions: of the libraries that made it.
    """

    kind: str
    bucket: str
    features: tuple[str, ...]
    pipeline: Any
    usual: Floats
    tail: Tail
    reference: Reference
    trained_on: TrainedOn
    versions: dict[str, str]

    def surprise(self, x: Floats) -> Floats:
        """−log10 of the probability that a training bucket scores as high, the scale of detectors' scores.

        Args:
            x: vectors, shape (n, features).

        Returns:
            Shape (n,), finite, not negative; 0 for what is nowhere above the training median.

        Raises:
            ValueError: x has another shape.
        """
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise ValueError(
                f"a model of {len(self.features)} features cannot score an array of shape {x.shape}"
            )
        if not len(x):
            return np.zeros(0)
        scores = [
            raw_scores(self.kind, self.pipeline, x[start : start + AT_ONCE])
            for start in range(0, len(x), AT_ONCE)
        ]
        surprises = self.tail.surprise(np.concatenate(scores))
        # To do less than usual, whatever it is, may be rare but is no leak. And the last bits of a sum depend on how
        # many rows are scored at once, which a decision must not.
        return np.where((x > self.usual).any(axis=1), surprises, 0.0).round(6)

    def explain(self, x: Floats, k: int = 3) -> list[Reason]:
        """Which features made the surprise of one bucket, the strongest first.

        Each feature in turn is given the training median and the tenths of the training rows, whichever makes the
        bucket least surprising while all other features stay: that is its usual value here, and what it takes off the
        surprise its contribution (leave one covariate out, as in Lei and others, JASA 2018, on a single row and with
        the value that fits the others best). Features that say the same, as parcels and first touches often do, can
        so hide each other's share.

        Args:
            x: vector, shape (features,).
            k: at most so many; only those that contribute.
        """
        tried = [
            np.append(usual, edges) for usual, edges in zip(self.usual, self.reference.edges, strict=True)
        ]
        changed = np.repeat(np.arange(len(tried)), [len(values) for values in tried])
        values = np.concatenate(tried)
        rows = np.tile(x, (len(values) + 1, 1))
        rows[np.arange(len(values)) + 1, changed] = values
        surprise, *others = self.surprise(rows).tolist()
        best: dict[int, tuple[float, float]] = {}
        for n, other, value in zip(changed.tolist(), others, values.tolist(), strict=True):
            if surprise - other > best.get(n, (0.0, 0.0))[0]:
                best[n] = surprise - other, value
        order = sorted(best, key=lambda n: (-best[n][0], n))
        return [
            Reason(
                self.features[n],
                best[n][0],
                plain(self.features[n], float(x[n])),
                plain(self.features[n], best[n][1]),
            )
            for n in order[:k]
        ]


class ModelPair(NamedTuple):
    """What is trained, stored and promoted together: a model of hours and one of days."""

    hour: Model
    day: Model


def raw_scores(kind: str, pipeline: Any, x: Floats) -> Floats:
    """Scores of a pipeline, higher for what is more suspicious, shape (n,)."""
    scores = -pipeline.score_samples(x) if kind == UNSUPERVISED else pipeline.decision_function(x)
    return np.asarray(scores, np.float64)


def plain(feature: str, value: float) -> float:
    """A feature's number as people count: parcels, calls, a ratio, a share.

    >>> round(plain("parcels", 2.3979), 3), plain("unexplained_share", 0.5)
    (10.0, 0.5)
    """
    return value if feature in SHARES else expm1(value)


def known_features(bucket: str) -> tuple[str, ...]:
    """The features this version of parcelwatch makes, of that kind of bucket; empty for an unknown kind."""
    return FEATURES.get(bucket, ())
