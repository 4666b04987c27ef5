"""What people decide takes effect where it stands in the log, for as long as it says, and on nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detectors.base import Person
from streams.detect.controls import SUPPRESS, Controls, ControlState
from streams.flow.events import Control
from streams.flow.topics import ACCESS_EVENTS, CONTROL, PARCEL_CONTEXT
from streams.history.pipeline import Pipeline
from tests.law_harness import RING
from tests.senders import CARRIER, DAY, HOUR, MINUTE, MONDAY, SECOND, access, context, decision, stamp

NINE = MONDAY + 2 * HOUR


class Office:
    """A carrier of one person who reads parcels in bulk whenever told to."""

    def __init__(self) -> None:
        self._now = NINE
        self._parcel = 0
        self.pipeline = Pipeline(RING, partitions=1, arrived=lambda: self._now)
        self.pipeline.finish()

    def read(self, at: int, parcels: int = 400, actor: str = "p1") -> list[dict[str, Any]]:
        """Alerts raised by reading that many parcels from `at` (ms) on, a second each."""
        before = len(self.pipeline.alerts)
        for number in range(parcels):
            self._parcel += 1
            self._now = at + number * SECOND
            self.pipeline.feed(ACCESS_EVENTS, [access(self._now, actor, parcels=[f"P{self._parcel}"])])
        self.pipeline.finish()
        return [json.loads(record.value or b"") for record in self.pipeline.alerts[before:]]

    def decide(self, at: int, kind: str, **more: Any) -> None:
        """One control record."""
        self._now = at
        self.pipeline.feed(CONTROL, [decision(at, kind, **more)])
        self.pipeline.finish()
        assert not self.pipeline.rejected

    def score(self, actor: str = "p1") -> float:
        """Points of risk of a person, as the last alert on him says."""
        token = RING.cipher(CARRIER).staff(actor)
        alerts = [json.loads(record.value or b"") for record in self.pipeline.alerts]
        return float([a["risk_score"] for a in alerts if a["actor"]["user"]["uid"] == token][-1])


def statuses(alerts: list[dict[str, Any]]) -> set[str]:
    return {alert["status"] for alert in alerts if alert["activity_id"] != 3}


def on(until: int, **more: Any) -> dict[str, Any]:
    return {"value": "on", "until": stamp(until), **more}


def test_an_alert_under_a_suppression_is_kept_as_suppressed() -> None:
    office = Office()
    office.decide(NINE, "suppress", **on(NINE + DAY, actor="p1", detector="bulk_read"))
    alerts = office.read(NINE + MINUTE)
    assert statuses([a for a in alerts if a["finding_info"]["analytic"]["name"] == "bulk_read"]) == {
        "Suppressed"
    }
    assert not any(alert["is_alert"] for alert in alerts)


def test_a_suppression_holds_for_its_person_and_detector_only() -> None:
    office = Office()
    office.decide(NINE, "suppress", **on(NINE + DAY, actor="p1", detector="off_hours"))
    office.decide(NINE, "suppress", **on(NINE + DAY, actor="p2"))
    assert statuses(office.read(NINE + MINUTE)) == {"New"}


def test_a_suppression_ends_by_itself_and_when_lifted() -> None:
    ended, lifted = Office(), Office()
    ended.decide(NINE, "suppress", **on(NINE + HOUR, detector="bulk_read"))
    assert statuses(ended.read(NINE + 2 * HOUR)) == {"New"}
    lifted.decide(NINE, "suppress", **on(NINE + DAY, detector="bulk_read"))
    lifted.decide(NINE + MINUTE, "suppress", detector="bulk_read", value="off")
    assert statuses(lifted.read(NINE + 2 * MINUTE)) == {"New"}


def test_an_episode_nobody_was_told_of_closes_in_silence() -> None:
    office = Office()
    office.decide(NINE, "suppress", **on(NINE + HOUR, actor="p1"))
    office.read(NINE + MINUTE)
    later = office.read(NINE + DAY, parcels=1)
    assert {(alert["activity_name"], alert["status"]) for alert in later} == {("Close", "Suppressed")}


def test_risk_grows_under_a_suppression() -> None:
    office = Office()
    office.decide(NINE, "suppress", **on(NINE + 3 * DAY, actor="p1"))
    office.read(NINE + MINUTE)
    first = office.score()
    office.read(NINE + DAY)
    assert office.score() > first > 0


def test_a_false_alert_takes_its_points_away() -> None:
    office = Office()
    alert = office.read(NINE)[0]
    assert office.score() > 0
    office.decide(NINE + HOUR, "verdict", actor="p1", detector="bulk_read", value="false_positive",
                  alert=alert["finding_info"]["uid"])  # fmt: skip
    office.read(NINE + 3 * HOUR, parcels=1)
    assert office.score() == 0


def test_a_watched_person_is_told_of_sooner() -> None:
    plain, watched = Office(), Office()
    watched.decide(NINE, "watch", **on(NINE + DAY, actor="p1"))
    first = [office.read(NINE + MINUTE)[0]["count"] for office in (plain, watched)]
    assert first[1] < first[0]


def test_strictness_holds_for_its_carrier_from_its_place_in_the_log_on() -> None:
    office = Office()
    office.decide(NINE, "strictness", value="8")
    assert office.read(NINE + MINUTE, 200) == []
    office.decide(NINE + HOUR, "strictness", value="1")
    assert office.read(NINE + 3 * HOUR, 200) != []


def test_decisions_come_back_from_the_store_as_they_were() -> None:
    office = Office()
    office.decide(NINE, "strictness", value="2")
    office.decide(NINE, "watch", **on(NINE + DAY, actor="p1"))
    office.decide(NINE, "model", value="active:" + "a" * 64)
    office.pipeline.checkpoint()
    where = ("actor-log", 0)
    old, new = office.pipeline.stages[where], office.pipeline.make(*where)
    assert new.controls.state == old.controls.state != ControlState()  # type: ignore[attr-defined]  # detect stages
    assert new.norms.normal(CARRIER, "").strictness == 2  # type: ignore[attr-defined]  # a detect stage


def test_a_promoted_model_is_no_longer_in_the_shadow() -> None:
    office = Office()
    for mode in ("shadow", "active"):
        office.decide(NINE, "model", value=f"{mode}:" + "a" * 64)
    models = office.pipeline.stages["actor-log", 0].controls.models(CARRIER)  # type: ignore[attr-defined]  # a detect stage
    assert (models.active, models.shadow) == ("a" * 64, "")


def test_what_is_in_force_at_once_has_an_end_and_what_would_end_first_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.detect.controls.MOST", 7)
    controls = Controls(ControlState())
    for number in range(12):
        until = NINE + DAY - number
        row = (NINE, 4, number, 0, NINE, SUPPRESS, CARRIER, f"k1.{number}", "", "", "on", until)
        controls.apply(Control(*row))
    assert len(controls.state.suppressed) == 7
    first, last = (Person(f"k1.{number}", CARRIER) for number in (0, 11))
    assert controls.suppressed(first, "bulk_read", NINE)
    assert not controls.suppressed(last, "bulk_read", NINE)


def test_a_verdict_on_somebody_who_never_did_anything_is_not_stored() -> None:
    office = Office()
    office.decide(NINE, "verdict", actor="nobody", detector="crowd", value="benign", alert="a" * 32)
    office.read(NINE + MINUTE, 1)
    office.pipeline.checkpoint()
    stored = office.pipeline.stores["detect", 0]
    people = [key for key in stored if not key.startswith(b"\0")]
    assert people == [RING.cipher(CARRIER).staff("p1").encode()]


def test_a_verdict_that_takes_effect_is_counted_for_the_metrics_and_others_are_not() -> None:
    office = Office()
    office.read(NINE, 1)
    for actor, value in (("p1", "benign"), ("nobody", "benign"), ("p1", "false_positive")):
        office.decide(NINE + MINUTE, "verdict", actor=actor, detector="crowd", value=value, alert="a" * 32)
    stage: Any = office.pipeline.stages["actor-log", 0]
    assert stage.controls.verdicts == {("crowd", "benign"): 1, ("crowd", "false_positive"): 1}


def test_an_alert_names_the_other_open_alerts_on_the_same_person() -> None:
    """One leak is often seen by several detectors: whoever triages one finds the others."""
    office = Office()
    office.pipeline.feed(PARCEL_CONTEXT, [context(NINE, "P399", "honeytoken", feed="shop-7")])
    alerts = office.read(NINE + MINUTE)
    first = alerts[0]["finding_info"]
    other = next(a["finding_info"] for a in alerts if a["finding_info"]["uid"] != first["uid"])
    assert "related_events" not in first
    related = [(event["uid"], event["title"]) for event in other["related_events"]]
    assert (first["uid"], first["analytic"]["name"]) in related


def test_a_decision_neither_waits_for_events_nor_pushes_them_on() -> None:
    office = Office()
    office.read(NINE, 1)
    stage: Any = office.pipeline.stages["actor-log", 0]
    before = stage.merge.bound
    # Nobody says that the control topic rests: nothing may wait for it.
    office.pipeline.feed(CONTROL, [decision(NINE, "strictness", value="2")])
    assert stage.controls.strictness(CARRIER) == 2
    assert stage.merge.bound <= before + 1
