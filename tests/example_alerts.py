"""Alerts of every detector: those that the documented example of each gives, and those of model and risk."""

from __future__ import annotations

import doctest
import functools
from typing import Any
from unittest import mock

from detectors import DETECTORS, testing
from detectors.base import Detector
from detectors.episodes import Alert, close, take_case
from detectors.model_score import ModelScore
from detectors.model_score import State as ModelState
from detectors.risk import RiskScore
from detectors.risk import State as RiskState
from detectors.testing import CLERK, NOBODY, TZ, Watch, at


class Recorded(Watch):
    """A watch that can be found again, whoever made it."""

    made: list[Recorded]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made.append(self)


@functools.cache
def example_alerts() -> dict[str, tuple[Alert, ...]]:
    """Alerts by detector: a Create at least, and the Close of each."""
    return {
        **{detector.name: _documented(detector) for detector in DETECTORS},
        ModelScore.name: _of_model(),
        RiskScore.name: _of_risk(),
    }


def _documented(detector: Detector[Any]) -> tuple[Alert, ...]:
    kind = type(detector)
    [example] = doctest.DocTestFinder(recurse=False).find(kind, globs={kind.__name__: kind})
    with mock.patch.object(testing, "Watch", Recorded), mock.patch.object(Recorded, "made", [], create=True):
        assert doctest.DocTestRunner().run(example).failed == 0
        made = [watch for watch in Recorded.made if watch.alerts]
    for watch in made:
        watch.pass_time(at(365))
    return tuple(alert for watch in made for alert in watch.alerts)


def _of_model() -> tuple[Alert, ...]:
    model, state = ModelScore(), ModelState()
    why = [("export_rows", 2.0, 5000.0, 12.0), ("odd_hours", 1.0, 40.0, 0.5)]
    case, _ = model.hear(state, "a" * 64, at(hour=10), testing.MONDAY, 6.5, why, NOBODY)
    return _told(model, state, case)


def _of_risk() -> tuple[Alert, ...]:
    risk, state = RiskScore(), RiskState()
    for number, reason in enumerate(("off_hours", "sequence", "unrelated_parcel", "crowd")):
        risk.find(state, reason, 2.0, at(number), told=False)
    return _told(risk, state, risk.case(state, NOBODY))


def _told(detector: Detector[Any], state: Any, case: float) -> tuple[Alert, ...]:
    assert case
    episode, alert = take_case(
        None, detector, CLERK, case, at(hour=10), at(hour=10), None, TZ,
        lambda: detector.report(state, None, NOBODY),
    )  # fmt: skip
    assert alert
    return alert, close(episode, detector, CLERK, at(365))
