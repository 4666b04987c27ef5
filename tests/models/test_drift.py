"""Drift is told when life changes, and not when only chance speaks."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from models.drift import CHANGED, SHIFTED, Reference, drift, psi
from models.features import DAY_FEATURES
from tests.model_rows import ordinary


def test_the_index_is_siddiqis_and_the_same_both_ways() -> None:
    expected, actual = np.array([50.0, 30.0, 20.0]), np.array([40.0, 30.0, 30.0])
    assert psi(expected, actual) == pytest.approx(-0.1 * log(0.4 / 0.5) + 0.1 * log(0.3 / 0.2))
    assert psi(actual, expected) == pytest.approx(psi(expected, actual))


@pytest.mark.parametrize("rows", [60, 600, 6_000])
def test_an_unchanged_life_is_stable_however_few_days_are_looked_at(rows: int) -> None:
    reference = Reference.fit(ordinary(5_000))
    found = drift(reference, ordinary(rows, seed=8), DAY_FEATURES)
    assert {one.verdict for one in found} == {"stable"}


def test_a_feature_that_doubles_is_shifted_and_comes_first() -> None:
    reference = Reference.fit(ordinary(3_000))
    recent = ordinary(1_000, seed=8)
    recent[:, DAY_FEATURES.index("parcels")] += log(2)
    [first, *_] = drift(reference, recent, DAY_FEATURES)
    assert (first.feature, first.verdict) == ("parcels", "shifted")
    assert first.psi - first.chance >= SHIFTED > CHANGED


def test_what_was_never_sent_before_is_seen_when_it_begins() -> None:
    reference = Reference.fit(ordinary(3_000))
    recent = ordinary(1_000, seed=8)
    recent[:300, DAY_FEATURES.index("reveals")] = 1
    verdicts = {one.feature: one.verdict for one in drift(reference, recent, DAY_FEATURES)}
    assert verdicts["reveals"] == "shifted"


@pytest.mark.parametrize("shape", [(0, len(DAY_FEATURES)), (5, 3), (len(DAY_FEATURES),)])
def test_rows_that_cannot_be_compared_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="drift takes rows of"):
        drift(Reference.fit(ordinary()), np.zeros(shape), DAY_FEATURES)
