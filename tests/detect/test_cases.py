"""What becomes of a finding: told or suppressed, and how it weighs on the person's risk."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import msgspec

from detectors.base import HIGH, LOW, MEDIUM, Detector, Finding, Lesson, Normal, Person, Touch, log_bin
from detectors.honeytoken import HoneyToken
from detectors.model_score import ModelScore
from detectors.risk import RiskScore
from detectors.testing import CLERK, DAY, HOUR, NOBODY, Peers, at
from streams.detect.actors import Actor
from streams.detect.cases import Cases
from streams.detect.controls import SUPPRESS, WATCH, Controls, ControlState
from streams.detect.scoring import Surprise
from streams.flow.events import START, Control
from streams.flow.stage import Out

NINE = at()
ODD = "odd"
USUAL = Normal(*[Peers([[(ODD, log_bin(1))] for _ in range(2_000)])] * 2)


class Said(msgspec.Struct, array_like=True):
    """What the detector is to say next."""

    severity: int = LOW


class Sayer(Detector[Said]):
    """Says what it is told to say."""

    name: ClassVar[str] = "sayer"
    summary: ClassVar[str] = "What was to be said"
    state_type: ClassVar[type[Said]] = Said
    hints: ClassVar[tuple[str, ...]] = (ODD,)

    def report(self, state: Said, touch: Touch | None, normal: Normal) -> Finding:
        return Finding(severity=state.severity, score=3, confidence=2, evidence=1, window=60, since=NINE,
                       measures={}, baseline={}, en="", vi="")  # fmt: skip

    def close_day(self, state: Said, day: int) -> list[Lesson]:
        return [(ODD, log_bin(1_000))]


class Ghosts(Sayer):
    """The same under the name of the one that cannot be suppressed."""

    name: ClassVar[str] = HoneyToken.name


class Desk:
    """One person, one detector, and what is decided about them."""

    def __init__(self, detector: type[Sayer] = Sayer, who: Person = CLERK) -> None:
        self.sent: list[Out] = []
        self._controls = Controls(ControlState())
        self._made = 0
        self._cases = Cases((detector(),), ModelScore(), RiskScore(), self._controls, self.sent.append)
        states = [Said(), ModelScore().initial(), RiskScore().initial()]
        self.actor = Actor(START, 0, 0, 420, who, states, {})

    @property
    def risk(self) -> Any:
        """The person's risk."""
        return self.actor.states[-1]

    @property
    def alerts(self) -> list[tuple[str, str]]:
        """What was sent: activity and status."""
        told = [json.loads(out.value) for out in self.sent]
        return [(one["activity_name"], one["status"]) for one in told]

    def find(self, time: int, severity: int = LOW, evidence: float = 1.0) -> None:
        """A finding of the detector."""
        self.actor.states[0].severity = severity
        self._cases.add(self.actor, 0, evidence, time, time, None, NOBODY)

    def decide(self, kind: int, until: int) -> None:
        """All of the person's alerts are suppressed, or he is watched, from nine o'clock on."""
        self._made += 1
        who = CLERK.token
        self._controls.apply(
            Control(NINE, 4, self._made, 0, NINE, kind, CLERK.carrier, who, "", "", "on", until)
        )

    def surprise(self, time: int) -> None:
        """A model finds the person's hour unusual, but no case of its own."""
        found = Surprise(CLERK.token, self.actor, "a" * 64, 1, 3.5, [])
        self._cases.surprised(found, time, NOBODY)

    def end(self, now: int) -> None:
        """Let time come to `now`."""
        self._cases.end(self.actor, now)

    def close_day(self) -> list[Lesson]:
        """The person's day is over."""
        return self._cases.close_day(self.actor, 1, NINE + DAY, USUAL)


def test_who_opens_a_ghost_parcel_is_told_of_though_all_his_alerts_are_suppressed() -> None:
    plain, ghosts = Desk(), Desk(Ghosts)
    for desk in (plain, ghosts):
        desk.decide(SUPPRESS, NINE + DAY)
        desk.find(NINE + 1, HIGH)
    assert plain.alerts == [("Create", "Suppressed")]
    assert ghosts.alerts == [("Create", "New")]


def test_an_episode_somebody_was_told_of_is_told_to_be_over_though_it_went_on_suppressed() -> None:
    desk = Desk()
    desk.find(NINE)
    desk.decide(SUPPRESS, NINE + DAY)
    desk.find(NINE + 1, evidence=4.0)
    desk.end(NINE + 4 * HOUR)
    assert desk.alerts == [("Create", "New"), ("Update", "Suppressed"), ("Close", "Resolved")]


def test_what_nobody_was_told_of_or_only_as_minor_counts_as_weak() -> None:
    minor, serious, silent = Desk(), Desk(), Desk()
    silent.decide(SUPPRESS, NINE + DAY)
    minor.find(NINE + 1, LOW)
    serious.find(NINE + 1, MEDIUM)
    silent.find(NINE + 1, MEDIUM)
    assert (minor.risk.weak, minor.risk.told) == ({"sayer": 2.0}, {})
    assert (serious.risk.weak, serious.risk.told) == ({}, {"sayer": 4.0})
    assert (silent.risk.weak, silent.risk.told) == ({"sayer": 4.0}, {})


def test_a_case_that_becomes_more_severe_adds_only_what_it_is_more() -> None:
    desk = Desk()
    for severity, evidence in ((MEDIUM, 1.0), (HIGH, 1.5), (HIGH, 4.0)):
        desk.find(NINE, severity, evidence)
    assert desk.risk.told == {"sayer": 8.0}


def test_the_budget_counts_episodes_that_were_told_and_each_once() -> None:
    told, silent = Desk(), Desk()
    silent.decide(SUPPRESS, NINE + DAY)
    for desk in (told, silent):
        desk.find(NINE + 1)
        desk.find(NINE + 2, evidence=4.0)
    assert ("alerts.opened", 1) in told.close_day()
    assert ("alerts.opened", 0) in silent.close_day()


def test_what_is_found_of_a_watched_person_weighs_double_until_the_watch_ends() -> None:
    watched, over = Desk(), Desk()
    watched.decide(WATCH, NINE + DAY)
    over.decide(WATCH, NINE + HOUR)
    for desk in (watched, over):
        desk.find(NINE + 2 * HOUR)
        desk.surprise(NINE + 2 * HOUR)
    assert watched.risk.weak == {"sayer": 4.0, "model": 3.0}
    assert over.risk.weak == {"sayer": 2.0, "model": 1.5}


def test_an_alert_of_risk_names_the_finding_that_raised_it_among_the_open_ones() -> None:
    desk = Desk()
    desk.decide(WATCH, NINE + DAY)
    desk.surprise(NINE)
    desk.find(NINE + 1)
    risk, sayer = (json.loads(out.value) for out in desk.sent)
    assert risk["finding_info"]["analytic"]["name"] == "risk"
    assert [one["uid"] for one in risk["finding_info"]["related_events"]] == [sayer["finding_info"]["uid"]]


def test_strange_days_weigh_on_people_and_not_on_machines() -> None:
    person = Desk()
    machine = Desk(who=msgspec.structs.replace(CLERK, service=True))
    for desk in (person, machine):
        desk.close_day()
    assert person.risk.weak.keys() == {"sayer"}
    assert machine.risk.weak == {}
