"""A model tells leaks from life on the detectors' scale, the same each time, though a leak hides in the training."""

from __future__ import annotations

import numpy as np
import pytest

from models.features import DAY_FEATURES, FEATURES
from models.model import Model, TrainedOn
from models.training import LEAST_OF_EACH, LEAST_ROWS, TrainingError, fit_supervised, fit_unsupervised
from tests.model_rows import leaks, ordinary


@pytest.fixture(scope="module")
def model() -> Model:
    return fit_unsupervised(ordinary(2_000))


def test_ordinary_days_that_were_not_trained_on_surprise_as_rarely_as_said(model: Model) -> None:
    surprises = model.surprise(ordinary(5_000, seed=9))
    assert 0.005 < (surprises >= 2).mean() < 0.02
    assert (surprises >= 3).mean() < 0.004


def test_leaks_are_rarer_than_one_day_in_ten_thousand(model: Model) -> None:
    assert (model.surprise(leaks(50)) > 4).all()


def test_more_of_the_same_leak_is_more_surprising(model: Model) -> None:
    rows = np.tile(leaks(1), (5, 1))
    rows[:, DAY_FEATURES.index("export_rows")] = np.log1p([10, 100, 1_000, 10_000, 10**9])
    surprises = model.surprise(rows)
    assert (np.diff(surprises) > 0).all()
    assert np.isfinite(surprises).all()


def test_to_do_nothing_at_all_surprises_nobody(model: Model) -> None:
    assert model.surprise(np.zeros((1, len(DAY_FEATURES)))) == 0


def test_a_leak_inside_the_training_window_does_not_make_the_next_one_usual() -> None:
    tainted = np.vstack([ordinary(2_000), leaks(6)])
    assert (fit_unsupervised(tainted).surprise(leaks(20, seed=5)) > 3).all()


def test_what_a_log_does_not_send_surprises_nobody_and_breaks_nothing() -> None:
    x = np.zeros((LEAST_ROWS, len(DAY_FEATURES)))
    x[:, 0] = np.log1p(np.arange(LEAST_ROWS))
    assert np.isfinite(fit_unsupervised(x).surprise(x)).all()
    same = np.zeros_like(x)
    assert (fit_unsupervised(same).surprise(same) == 0).all()
    assert fit_unsupervised(same).surprise(leaks(1))[0] > 1.5


def test_an_explanation_names_what_made_the_surprise_in_plain_numbers(model: Model) -> None:
    row = ordinary(1, seed=3)[0]
    row[DAY_FEATURES.index("reveals")] = np.log1p(40)
    [first, *others] = model.explain(row, k=3)
    assert first.feature == "reveals"
    assert first.value == pytest.approx(40)
    assert first.usual == 0
    assert first.contribution > 1
    assert all(first.contribution >= other.contribution > 0 for other in others)
    assert model.explain(model.usual) == []


def test_what_is_strange_only_beside_all_else_is_explained_too(model: Model) -> None:
    row = ordinary(1, seed=3)[0]
    row[DAY_FEATURES.index("first")] = row[DAY_FEATURES.index("first_others")] = 0
    row[DAY_FEATURES.index("parcels")] = row[DAY_FEATURES.index("records")] = np.log1p(150)
    assert model.surprise(row[None])[0] > 2
    reasons = model.explain(row)
    assert reasons[0].contribution > 0.5
    assert reasons[0].usual != reasons[0].value


def test_verdicts_teach_what_a_leak_is() -> None:
    x, y = np.vstack([ordinary(600), leaks(30)]), [0] * 600 + [1] * 30
    model = fit_supervised(x, y, trained_on=TrainedOn(rows=630, leaks=30))
    assert model.trained_on.leaks == 30
    assert (model.surprise(leaks(20, seed=5)) > 2.5).all()
    assert 0.002 < (model.surprise(ordinary(3_000, seed=9)) >= 2).mean() < 0.03


@pytest.mark.parametrize("true", [0, LEAST_OF_EACH - 1, 600 - LEAST_OF_EACH + 1, 600])
def test_too_few_verdicts_of_either_class_are_refused_with_the_numbers(true: int) -> None:
    with pytest.raises(
        TrainingError, match=f"{true} person-days are confirmed leaks and {600 - true} are not"
    ):
        fit_supervised(ordinary(600), [1] * true + [0] * (600 - true))


def test_too_little_history_is_refused_with_what_is_needed() -> None:
    with pytest.raises(TrainingError, match=f"{LEAST_ROWS - 1} person-hours, {LEAST_ROWS} are needed"):
        fit_unsupervised(ordinary(LEAST_ROWS - 1, "hour"), "hour")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_no_numbers_are_refused(bad: float) -> None:
    x = ordinary()
    x[3, 2] = bad
    with pytest.raises(ValueError, match="finite numbers"):
        fit_unsupervised(x)


def test_rows_of_other_features_are_refused_in_training_and_in_scoring(model: Model) -> None:
    with pytest.raises(ValueError, match="features"):
        fit_unsupervised(ordinary(bucket="hour"), "day")
    with pytest.raises(ValueError, match="cannot score an array of shape"):
        model.surprise(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="a bucket is one of hour, day"):
        fit_unsupervised(ordinary(), "week")
    with pytest.raises(ValueError, match="one label"):
        fit_supervised(ordinary(), [1, 0])


def test_a_surprise_does_not_depend_on_what_is_scored_with_it(model: Model) -> None:
    x = np.vstack([ordinary(700, seed=4), leaks(100)])
    alone = [float(model.surprise(row[None])[0]) for row in x]
    assert model.surprise(x).tolist() == alone
    assert model.surprise(x[::-1])[::-1].tolist() == alone


def test_nothing_to_score_is_no_error(model: Model) -> None:
    assert model.surprise(np.zeros((0, len(FEATURES["day"])))).shape == (0,)
    assert model.surprise(leaks(3)).tolist() == [model.surprise(row[None])[0] for row in leaks(3)]
