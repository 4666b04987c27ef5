"""People's hours and days as vectors, made up from a seed: ordinary ones, and leaks among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.features import FEATURES
from models.model import ModelPair
from models.training import fit_unsupervised

Floats = npt.NDArray[np.float64]


def ordinary(rows: int = 400, bucket: str = "day", seed: int = 1) -> Floats:
    """Buckets of people of two kinds who read parcels and search now and then, and do nothing else."""
    rng = np.random.default_rng(seed)
    names = FEATURES[bucket]
    x = np.zeros((rows, len(names)))
    busy = rng.random(rows) < 0.3
    parcels = rng.poisson(np.where(busy, 60, 12) * rng.lognormal(0, 0.3, rows))
    first = rng.binomial(parcels, 0.7)
    columns = {
        "parcels": parcels,
        "first": first,
        "first_others": rng.binomial(first, 0.5),
        "records": parcels,
        "searches": rng.poisson(1.5, rows),
        "devices": rng.integers(1, 3, rows),
    }
    for name, column in columns.items():
        x[:, names.index(name)] = np.log1p(column)
    return x


def leaks(rows: int = 20, bucket: str = "day", seed: int = 2) -> Floats:
    """The same with an export of thousands of rows."""
    x = ordinary(rows, bucket, seed)
    names = FEATURES[bucket]
    exported = np.random.default_rng(seed).integers(2_000, 50_000, rows)
    x[:, names.index("export_rows")] = x[:, names.index("records")] = np.log1p(exported)
    x[:, names.index("exports")] = np.log1p(1)
    return x


def pair(seed: int = 1) -> ModelPair:
    """Models of ordinary people."""
    return ModelPair(
        fit_unsupervised(ordinary(bucket="hour", seed=seed), "hour"), fit_unsupervised(ordinary(seed=seed))
    )
