"""A trained model: how surprising an hour or a day of a person is, and which features make it so."""

from __future__ import annotations

from dataclasses import dataclass
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
        value, usual: of the bucket and of the median training bucket, in plain numbers.
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

        Each feature in turn is set to the training median and the bucket scored again; what that takes off the
        surprise is its contribution (leave one covariate out, as in Lei and others, JASA 2018, on a single row).
        Features that say the same, as parcels and first touches often do, can so hide each other's share.

        Args:
            x: vector, shape (features,).
            k: at most so many; only those that contribute.
        """
        rows = np.tile(x, (len(self.features) + 1, 1))
        changed = np.arange(len(self.features))
        rows[changed + 1, changed] = self.usual
        surprises = self.surprise(rows)
        gains = surprises[0] - surprises[1:]
        order = sorted(range(len(gains)), key=lambda n: (-gains[n], n))
        plain, usual = _plain(self.features, x), _plain(self.features, self.usual)
        return [
            Reason(self.features[n], float(gains[n]), float(plain[n]), float(usual[n]))
            for n in order[:k]
            if gains[n] > 0
        ]


class ModelPair(NamedTuple):
    """What is trained, stored and promoted together: a model of hours and one of days."""

    hour: Model
    day: Model


def raw_scores(kind: str, pipeline: Any, x: Floats) -> Floats:
    """Scores of a pipeline, higher for what is more suspicious, shape (n,)."""
    scores = -pipeline.score_samples(x) if kind == UNSUPERVISED else pipeline.decision_function(x)
    return np.asarray(scores, np.float64)


def _plain(features: tuple[str, ...], x: Floats) -> Floats:
    shares = np.array([name in SHARES for name in features])
    return np.where(shares, x, np.expm1(np.where(shares, 0.0, x)))


def known_features(bucket: str) -> tuple[str, ...]:
    """The features this version of parcelwatch makes, of that kind of bucket; empty for an unknown kind."""
    return FEATURES.get(bucket, ())
