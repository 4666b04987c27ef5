"""Risk: weak signs add up over reasons and days, fade, and are told once they are many."""

from __future__ import annotations

from math import isfinite

from detectors.base import LOW, Normal, log_bin
from detectors.risk import MEASURE, MOST_POINTS, RiskScore, State
from detectors.testing import DAY, NOBODY, Peers, at

RISK = RiskScore()
#: Ordinary days of an office: a dozen parcels, hardly any of them unexplained.
OFFICE = Normal(
    *[Peers([[("read", log_bin(12)), ("odd", log_bin(1)), (MEASURE, 0)] for _ in range(2_000)])] * 2
)
STRANGE = {"bulk_read": [("read", log_bin(60))], "unrelated_parcel": [("odd", log_bin(9))]}
ORDINARY = {"bulk_read": [("read", log_bin(12))], "unrelated_parcel": [("odd", log_bin(1))]}


def live(state: State, days: int, hints: dict[str, list[tuple[str, int]]], begin: int = 0) -> list[float]:
    """Cases after each of so many finished days."""
    return [RISK.close_person_day(state, hints, at(begin + day), OFFICE, 1.0) for day in range(days)]


def settled() -> State:
    """A person with a week of ordinary days."""
    state = State()
    assert live(state, 7, ORDINARY, -7) == [0.0] * 7
    return state


def test_alerts_on_days_that_are_strange_in_two_ways() -> None:
    cases = live(settled(), 4, STRANGE)
    assert cases[0] == 0
    assert cases[-1] > RISK.limit


def test_alerts_on_minor_findings_of_several_detectors() -> None:
    state = settled()
    for number, reason in enumerate(("off_hours", "sequence", "unrelated_parcel", "crowd")):
        RISK.find(state, reason, 2.0, at(number), told=False)
    assert RISK.case(state, OFFICE) > 0
    assert RISK.report(state, None, OFFICE).severity == LOW


def test_silent_on_days_that_are_strange_in_one_way_only() -> None:
    assert live(settled(), 10, {"bulk_read": STRANGE["bulk_read"]}) == [0.0] * 10


def test_silent_on_who_is_always_like_that() -> None:
    state = State()
    live(state, 30, STRANGE)
    state.weak.clear()
    assert live(state, 10, STRANGE, 30) == [0.0] * 10


def test_silent_on_what_was_told_of_already() -> None:
    """Somebody looks at the person anyway; the points show in the alerts."""
    state = settled()
    for reason in ("bulk_read", "enumeration", "borrowed_login"):
        RISK.find(state, reason, 8.0, at(), told=True)
    assert RISK.case(state, OFFICE) == 0
    assert RISK.score(state) == 24
    assert RISK.reasons(state) == ("borrowed_login", "bulk_read", "enumeration")


def test_silent_where_nobody_is_known_yet() -> None:
    state = State()
    assert [RISK.close_person_day(state, STRANGE, at(day), NOBODY, 1.0) for day in range(5)] == [0.0] * 5


def test_points_halve_in_a_week_and_are_gone_in_two_months() -> None:
    state = State()
    RISK.find(state, "off_hours", 2.0, at(0), told=False)
    RISK.find(state, "crowd", 1.0, at(7), told=True)
    assert state.weak == {"off_hours": 1.0}
    RISK.find(state, "crowd", 1.0, at(67), told=True)
    assert (state.weak, state.since) == ({}, 0)


def test_what_peers_reach_is_no_case() -> None:
    busy = Normal(*[Peers([[(MEASURE, log_bin(4 * 20))] for _ in range(100)])] * 2)
    state = State()
    for reason in ("a", "b"):
        RISK.find(state, reason, 5.0, at(), told=False)
    assert RISK.case(state, OFFICE) > 0
    assert RISK.case(state, busy) == 0


def judged(*verdicts: tuple[str, str], time: int = at()) -> State:
    """Three alerts of four points, and verdicts on them by uid."""
    state = State()
    for reason in ("a", "b", "c"):
        RISK.find(state, reason, 4.0, at(), told=reason == "a", uid=f"alert {reason}")
    for uid, verdict in verdicts:
        RISK.judge(state, uid, verdict, time)
    return state


def test_verdicts_take_an_alerts_points_away_or_double_them() -> None:
    state = judged(("alert a", "true_positive"), ("alert b", "false_positive"), ("alert c", "benign"))
    assert (state.told, state.weak) == ({"a": 8.0}, {})


def test_the_latest_verdict_on_an_alert_counts_and_counts_once() -> None:
    assert judged(*[("alert a", "true_positive")] * 3).told == {"a": 8.0}
    assert judged(("alert a", "true_positive"), ("alert a", "benign")).told == {}
    assert judged(("alert a", "benign"), ("alert a", "true_positive")).told == {"a": 8.0}


def test_a_verdict_on_an_alert_the_person_never_had_changes_nothing() -> None:
    assert judged(("alert z", "false_positive")) == judged()


def test_a_late_verdict_takes_what_is_left() -> None:
    state = judged(("alert a", "false_positive"), time=at(7))
    assert (state.told, state.weak) == ({}, {"b": 2.0, "c": 2.0})


def test_points_have_an_end_however_many_findings_and_verdicts_come() -> None:
    """A figure without end would stop the stream: no alert can carry it."""
    state = State()
    for number in range(200):
        RISK.find(state, "crowd", 16.0, at(), told=False, uid=str(number))
        RISK.judge(state, str(number), "true_positive", at())
    assert RISK.score(state) == MOST_POINTS
    assert isfinite(RISK.report(state, None, NOBODY).score)


def test_a_state_stays_small_whatever_happens() -> None:
    state = State()
    for number in range(1_000):
        RISK.find(state, f"reason {number}", 1.0, at() + number, told=bool(number % 2), uid=str(number))
        hints = {"d": [(f"measure {number}", log_bin(1_000))]}
        RISK.close_person_day(state, hints, at(number // 20), OFFICE, 1.0)
    assert max(len(state.weak), len(state.told)) <= 16
    assert len(state.usual) <= 32
    assert len(state.given) <= 8


def test_a_finished_day_teaches_points_and_alerts() -> None:
    state = State(opened=3)
    RISK.find(state, "a", 2.0, at() + DAY, told=False)
    assert list(RISK.close_day(state, 1)) == [(MEASURE, log_bin(8)), ("alerts.opened", 3)]
    assert state.opened == 0
