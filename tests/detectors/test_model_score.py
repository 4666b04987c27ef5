"""What a model says becomes a case from its limit on, and points of risk below it, each gain once a day."""

from __future__ import annotations

from detectors.base import HIGH, LOW, MEDIUM
from detectors.model_score import ModelScore, State
from detectors.testing import NOBODY

SCORE = ModelScore()
WHY = [("export_rows", 2.0, 5000.0, 12.0), ("odd_hours", 1.0, 40.0, 0.5)]


def hear(state: State, surprise: float, day: int = 1, strictness: float = 1.0) -> tuple[float, float]:
    """One hour's word; the case, and points rounded."""
    normal = NOBODY._replace(strictness=strictness)
    case, points = SCORE.hear(state, "a" * 64, 3_600_000, day, surprise, WHY, normal)
    return case, round(points, 3)


def test_alerts_from_the_limit_on_and_strictness_moves_it() -> None:
    assert hear(State(), 5.0) == (5.0, 3.0)
    assert hear(State(), 5.0, strictness=1.2)[0] == 0
    assert hear(State(), 4.0, strictness=0.8)[0] == 4.0


def test_silent_below_the_limit_but_it_weighs() -> None:
    state = State()
    assert hear(state, 2.9) == (0, 0)
    assert hear(state, 3.5) == (0, 0.6)


def test_silent_again_on_the_same_day_unless_it_gets_worse() -> None:
    state = State()
    assert [hear(state, surprise)[1] for surprise in (4.0, 4.0, 3.2, 4.5)] == [2.0, 0, 0, 0.5]
    assert hear(state, 4.0, day=2)[1] == 2.0


def test_the_finding_names_the_features_that_made_it() -> None:
    state = State()
    severities = []
    for day, surprise in enumerate((5.0, 6.5, 9.0)):
        hear(state, surprise, day)
        finding = SCORE.report(state, None, NOBODY)
        severities.append(finding.severity)
        assert "5,000.0 rows exported (usually 12.0)" in finding.en
        assert "5,000.0 dòng đã xuất (thường 12.0)" in finding.vi
        assert finding.score == surprise
    assert severities == [LOW, MEDIUM, HIGH]
