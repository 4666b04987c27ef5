"""Rules loaded in the stream take effect where their record stands, alert as any detector, and forget in time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detectors.correlation import Correlation
from detectors.sigma import MOST_RULES, Node, RuleSet
from streams.detect.stage import DetectStage
from streams.flow.topics import ACCESS_EVENTS, CONTROL
from streams.history.pipeline import Pipeline
from tests.law_harness import RING
from tests.rule_sets import CHANGED, EXPORTED, OFTEN, RULES, VIEWED, a_rule, loaded
from tests.senders import CARRIER, DAY, HOUR, MINUTE, MONDAY, SECOND, access, decision, stamp

NINE = MONDAY + 2 * HOUR


class Office:
    """A carrier whose rules are loaded, and one person who reads."""

    def __init__(self, rules: RuleSet | None = None) -> None:
        self._now = NINE
        self.pipeline = Pipeline(RING, partitions=1, arrived=lambda: self._now)
        self.pipeline.finish()
        if rules is not None:
            self.load(NINE - HOUR, rules)

    def load(self, at: int, rules: RuleSet | None) -> None:
        self.decide(at, "rules", **(loaded(rules) if rules else {"value": "off"}))

    def decide(self, at: int, kind: str, **more: Any) -> None:
        self._now = at
        self.pipeline.feed(CONTROL, [decision(at, kind, **more)])
        self.pipeline.finish()

    def act(self, at: int, action: str = "view", times: int = 1, actor: str = "p1") -> list[dict[str, Any]]:
        """Alerts of rules that this raises, a second between acts."""
        before = len(self.pipeline.alerts)
        for number in range(times):
            self._now = at + number * SECOND
            event = access(self._now, actor, action, [f"P{self._now}"], site="S1", id=f"{actor}{self._now}")
            self.pipeline.feed(ACCESS_EVENTS, [event])
        self.pipeline.finish()
        alerts = [json.loads(record.value or b"") for record in self.pipeline.alerts[before:]]
        return [a for a in alerts if a["finding_info"]["analytic"]["name"].startswith("rule.")]

    @property
    def stage(self) -> DetectStage:
        stage = self.pipeline.stages["actor-log", 0]
        assert isinstance(stage, DetectStage)
        return stage

    def rejected(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.pipeline.rejected]


def names(alerts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(a["finding_info"]["analytic"]["name"], a["activity_name"]) for a in alerts]


def test_rules_take_effect_from_their_record_on() -> None:
    office = Office()
    assert not office.act(NINE, "export")
    office.load(NINE + MINUTE, RuleSet((EXPORTED,)))
    assert names(office.act(NINE + 2 * MINUTE, "export")) == [("rule.exported", "Create")]


def test_an_alert_says_it_comes_from_a_rule_and_which() -> None:
    rule = EXPORTED
    [alert] = Office(RuleSet((rule,))).act(NINE, "export")
    analytic = alert["finding_info"]["analytic"]
    assert (analytic["type_id"], analytic["type"], analytic["uid"]) == (1, "Rule", rule.id)
    assert analytic["version"].startswith("rule.exported-")
    assert alert["finding_info"]["title"] == rule.title
    assert alert["severity"] == "Medium"
    assert "exported" in alert["message"]
    assert "exported" in alert["unmapped"]["message_vi"]


def test_a_correlation_alerts_when_its_count_is_reached_and_says_what_it_came_to() -> None:
    office = Office(RuleSet((VIEWED, OFTEN)))
    assert not office.act(NINE, times=2)
    [alert] = office.act(NINE + MINUTE)
    data = alert["evidences"][0]["data"]
    assert data["measures"]["event_count"] == 3
    assert data["baseline"] == {"gte": 3}
    assert data["window_seconds"] == 3_600
    assert alert["start_time"] == NINE


def test_an_episode_is_told_on_when_it_doubles_and_closes_after_quiet() -> None:
    office = Office(RuleSet((EXPORTED,)))
    told = office.act(NINE, "export", times=4)
    told += office.act(NINE + 3 * HOUR, "login")
    assert [alert["activity_name"] for alert in told] == ["Create", "Update", "Update", "Close"]
    assert len({alert["finding_info"]["uid"] for alert in told}) == 1


def test_another_person_has_windows_of_his_own() -> None:
    office = Office(RuleSet((VIEWED, OFTEN)))
    assert not office.act(NINE, times=2) + office.act(NINE + MINUTE, times=2, actor="p2")


def test_a_rule_is_suppressed_by_its_name_and_its_risk_still_grows() -> None:
    office = Office(RuleSet((EXPORTED,)))
    office.decide(NINE - MINUTE, "suppress", detector="rule.exported", value="on", until=stamp(NINE + DAY))
    assert not office.rejected()
    [alert] = office.act(NINE, "export")
    assert alert["status"] == "Suppressed"
    assert alert["risk_details"] == "By weight: rules"


def test_a_verdict_on_a_rule_s_alert_moves_the_risk() -> None:
    office = Office(RuleSet((EXPORTED,)))
    [alert] = office.act(NINE, "export")
    office.decide(
        NINE + MINUTE, "verdict", actor="p1", detector="rule.exported", alert=alert["finding_info"]["uid"],
        value="false_positive",
    )  # fmt: skip
    assert not office.rejected()
    assert "risk_details" not in office.act(NINE + 3 * HOUR, "login")[0]


def test_a_rule_that_is_unloaded_alerts_no_more_and_its_episode_still_closes() -> None:
    office = Office(RuleSet((EXPORTED,)))
    assert office.act(NINE, "export")
    office.load(NINE + MINUTE, None)
    assert not office.act(NINE + 2 * MINUTE, "export")
    assert names(office.act(NINE + 3 * HOUR, "login")) == [("rule.exported", "Close")]


def test_a_rule_that_did_not_change_keeps_its_window_when_others_do() -> None:
    office = Office(RuleSet((VIEWED, OFTEN)))
    office.act(NINE, times=2)
    office.load(NINE + MINUTE, RuleSet((VIEWED, OFTEN, EXPORTED)))
    assert names(office.act(NINE + 2 * MINUTE)) == [("rule.often", "Create")]
    office.load(NINE + 3 * MINUTE, CHANGED)
    assert not office.act(NINE + 4 * MINUTE), "a changed rule begins afresh, its episode goes on"


def test_nothing_is_kept_of_a_person_once_every_window_has_passed() -> None:
    office = Office(RULES)
    office.act(NINE, times=5)
    token = RING.cipher(CARRIER).staff("p1")
    assert office.stage.states.get(token).rules is not None
    office.act(NINE + 3 * DAY, "login", times=2, actor="p2")
    assert office.stage.states.get(token).rules is None


def test_nothing_is_kept_either_when_the_rules_are_unloaded_meanwhile() -> None:
    office = Office(RULES)
    office.act(NINE, times=5)
    office.load(NINE + HOUR, None)
    office.act(NINE + 3 * DAY, "login", times=2, actor="p2")
    assert office.stage.states.get(RING.cipher(CARRIER).staff("p1")).rules is None


TOO_MANY = RuleSet(tuple(a_rule(f"r{n}", Node("like", "action", "view")) for n in range(MOST_RULES + 1)))
SEEN = Node("like", "action", "view")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (TOO_MANY, "64 rules, not 65"),
        (RuleSet((a_rule("r", Node("like", "phone", "0900")),)), "phone numbers never enter"),
        (RuleSet((a_rule("r", Node("like", "actor", "nv*")),)), "actor is a token"),
        (RuleSet((a_rule("r", Node("re", "site", "(a+)+")),)), "exponential"),
        (RuleSet((a_rule("r", Node("explode", "site", "x")),)), "site is text"),
        (RuleSet((a_rule("r", Node("eq", "records", "many")),)), "records is a number"),
        (RuleSet((a_rule("R", SEEN),)), "small letters"),
        (RuleSet((a_rule("r", SEEN), a_rule("r", SEEN))), "same name"),
        (RuleSet((OFTEN,)), "refers to viewed"),
        (RuleSet((VIEWED, a_rule("w", about=Correlation("event_count", ("viewed",), 10**6)))), "7 days"),
    ],
)
def test_rules_that_could_harm_are_rejected_by_admit_with_the_reason(rules: RuleSet, said: str) -> None:
    office = Office(RuleSet((EXPORTED,)))
    office.load(NINE - MINUTE, rules)
    [rejection] = office.rejected()
    assert rejection["reason"] == "invalid_control"
    assert rejection["where"] == "$.rules"
    assert said in rejection["detail"]
    assert office.act(NINE, "export"), "the rules before stay in force"


def test_rules_whose_hash_is_another_are_rejected() -> None:
    office = Office()
    office.decide(NINE, "rules", **(loaded(RULES) | {"value": "0" * 32}))
    assert office.rejected()[0]["where"] == "$.value"
