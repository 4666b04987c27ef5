"""Training: what is usual without a word from anybody, and what analysts' verdicts call a leak."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import RobustScaler

from models.drift import Reference
from models.features import DAY_KIND, FEATURES
from models.model import SUPERVISED, UNSUPERVISED, Model, TrainedOn, raw_scores
from models.tail import Tail

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rows below which nothing is trained: a carrier's first days.
LEAST_ROWS = 200
#: Rows of either class below which verdicts teach nothing yet.
LEAST_OF_EACH = 10
#: Rows a mixture is fitted to, at most; evenly chosen, since more of them change nothing but the time it takes.
MOST_ROWS = 20_000
#: The strangest share of the rows is left out of the second fit, lest a leak in the training window becomes usual.
TRIMMED = 0.01
COMPONENTS = 3
#: Added to every variance, in squares of a feature's interquartile range: one that nobody has used yet must not decide.
LEAST_VARIANCE = 0.05
SEED = 0


class TrainingError(Exception):
    """There is too little to train on; the text says of what, and what to do."""


def fit_unsupervised(x: Floats, bucket: str = DAY_KIND, trained_on: TrainedOn | None = None) -> Model:
    """What is usual among people: the density of their buckets as a mixture of Gaussians.

    Fitted twice, the second time without the strangest hundredth. The same rows give the same model.

    Args:
        x: vectors of people, shape (n, features of the bucket).
        bucket: hour or day.
        trained_on: what the rows are, to be kept with the model.

    Raises:
        TrainingError: fewer than LEAST_ROWS rows.
        ValueError: rows of another shape, or not finite.

    References: Reynolds, Quatieri, Dunn, Speaker verification using adapted Gaussian mixture models, 2000, for the
    density as score; Rousseeuw, Leroy, Robust regression and outlier detection, 1987, for the trimmed refit.
    """
    _check(x, bucket)
    usual: Floats = np.median(x, axis=0)
    pipeline = _mixture(x)
    scores = raw_scores(UNSUPERVISED, pipeline, x)
    pipeline = _mixture(x[scores <= np.quantile(scores, 1 - TRIMMED)])
    scores = raw_scores(UNSUPERVISED, pipeline, x)
    return _model(UNSUPERVISED, bucket, pipeline, usual, scores, x, trained_on)


def fit_supervised(
    x: Floats, y: Ints | Sequence[int], bucket: str = DAY_KIND, trained_on: TrainedOn | None = None
) -> Model:
    """What tells confirmed leaks from everything else: logistic regression, both classes weighed alike.

    Its surprise is the tail of the scores of rows that are no leaks.

    Args:
        x: vectors, shape (n, features of the bucket).
        y: 1 for a confirmed leak, else 0, shape (n,).
        bucket, trained_on: as for `fit_unsupervised`.

    Raises:
        TrainingError: fewer than LEAST_ROWS rows, or than LEAST_OF_EACH of either class.
        ValueError: rows or labels of another shape, or not finite.
    """
    _check(x, bucket)
    y = np.asarray(y)
    if y.shape != (len(x),) or not np.isin(y, (0, 1)).all():
        raise ValueError(f"there must be one label, 0 or 1, for each of {len(x)} rows")
    leaks = int(y.sum())
    if min(leaks, len(y) - leaks) < LEAST_OF_EACH:
        raise TrainingError(
            f"too few verdicts to learn from: {leaks} person-{bucket}s are confirmed leaks and {len(y) - leaks} are "
            f"not, {LEAST_OF_EACH} of each are needed; train without verdicts until there are more"
        )
    model = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=SEED)
    pipeline = make_pipeline(RobustScaler(), model).fit(x, y)
    usual: Floats = np.median(x[y == 0], axis=0)
    scores = raw_scores(SUPERVISED, pipeline, x[y == 0])
    return _model(SUPERVISED, bucket, pipeline, usual, scores, x, trained_on)


def _check(x: Floats, bucket: str) -> None:
    if bucket not in FEATURES:
        raise ValueError(f"a bucket is one of {', '.join(FEATURES)}, not {bucket!r}")
    if x.ndim != 2 or x.shape[1] != len(FEATURES[bucket]) or not np.isfinite(x).all():
        raise ValueError(
            f"rows must be finite numbers of {len(FEATURES[bucket])} features, see FEATURES[{bucket!r}]"
        )
    if len(x) < LEAST_ROWS:
        raise TrainingError(
            f"too little history to train on: {len(x)} person-{bucket}s, {LEAST_ROWS} are needed; "
            "wait some days, or give more of them"
        )


def _mixture(x: Floats) -> Pipeline:
    if len(x) > MOST_ROWS:
        x = x[np.linspace(0, len(x) - 1, MOST_ROWS).astype(np.int64)]
    components = min(COMPONENTS, len(np.unique(x, axis=0)))
    mixture = GaussianMixture(components, reg_covar=LEAST_VARIANCE, random_state=SEED, max_iter=200)
    return make_pipeline(RobustScaler(), mixture).fit(x)


def _model(
    kind: str,
    bucket: str,
    pipeline: Any,
    usual: Floats,
    scores: Floats,
    x: Floats,
    trained_on: TrainedOn | None,
) -> Model:
    return Model(
        kind=kind,
        bucket=bucket,
        features=FEATURES[bucket],
        pipeline=pipeline,
        usual=usual,
        tail=Tail.fit(scores),
        reference=Reference.fit(x),
        trained_on=trained_on or TrainedOn(rows=len(x)),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Versions of the libraries a model depends on."""
    return {name: version(name) for name in ("numpy", "scikit-learn", "scipy")}
