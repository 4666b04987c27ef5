"""What every detector's documented example tells is a valid, small OCSF Detection Finding in all its states."""

from __future__ import annotations

import json

import orjson
import pytest
from msgspec.structs import replace

from detectors.episodes import Alert
from streams.flow import ocsf
from streams.flow.control import known_detectors
from tests.example_alerts import example_alerts
from tests.ocsf_checks import personal, problems

each = pytest.mark.parametrize("detector", known_detectors())
RELATED = (("0" * 32, "bulk_read"), ("f" * 32, "off_hours"))


def states(alert: Alert) -> list[Alert]:
    """The alert created, updated and closed, each told and suppressed, with and without all that is optional."""
    rich = replace(alert, risk=41.5, reasons=("bulk_read", "off_hours"), related=RELATED)
    return [
        replace(one, activity=activity, sequence=activity, suppressed=suppressed)
        for one in (alert, rich)
        for activity in ocsf.ACTIVITIES
        for suppressed in (False, True)
    ]


@each
def test_its_example_opens_and_closes_an_episode(detector: str) -> None:
    activities = [alert.activity for alert in example_alerts()[detector]]
    assert activities[0] == 1
    assert activities[-1] == 3
    assert {alert.detector for alert in example_alerts()[detector]} == {detector}


@each
def test_its_alerts_are_valid_in_every_state(detector: str) -> None:
    for alert in example_alerts()[detector]:
        for one in states(alert):
            event = json.loads(ocsf.encode(one))
            assert problems(event) == []
            assert event["status"] == (
                "Suppressed" if one.suppressed else "Resolved" if one.activity == 3 else "New"
            )


@each
def test_its_alerts_say_who_what_which_and_why_in_both_languages(detector: str) -> None:
    for alert in example_alerts()[detector]:
        event = ocsf.render(alert)
        assert event["actor"]["user"]["uid"] == alert.person.token
        assert event["finding_info"]["analytic"]["uid"] == f"parcelwatch.{detector}"
        assert event["finding_info"]["analytic"]["version"] == alert.version
        assert event["evidences"][0]["data"]["measures"]
        assert event["message"] != event["unmapped"]["message_vi"]
        assert {resource["uid"] for resource in event.get("resources", ())} == set(alert.samples)
        assert {one["value"] for one in event["observables"]} == {alert.person.token, *alert.samples}


@each
def test_its_alerts_are_small_and_name_nobody(detector: str) -> None:
    for alert in example_alerts()[detector]:
        for one in states(alert):
            assert len(ocsf.encode(one)) < 8_000
            assert personal(ocsf.encode(one)) == []


def test_the_kind_of_analytic_is_said_as_ocsf_calls_it() -> None:
    kinds = {
        name: ocsf.render(alerts[0])["finding_info"]["analytic"]["type"]
        for name, alerts in example_alerts().items()
    }
    assert kinds.pop("honeytoken") == "Rule"
    assert kinds.pop("model") == "Learning (ML/DL)"
    assert set(kinds.values()) == {"Statistical"}


def test_an_alert_of_the_longest_ids_stays_within_its_limit_and_has_as_many_parcels_as_find_room() -> None:
    """Ids of 256 four-byte characters, the longest that are admitted, make tokens of some 1,400."""
    [alert, *_] = example_alerts()["honeytoken"]
    long = "đ𝄞" * 128
    person = replace(
        alert.person, token="k1." + "t" * 1_400, manager="k1." + "m" * 1_400, role=long, team=long, site=long,
        shifts=tuple("06:00-14:00" for _ in range(5_000)),
    )  # fmt: skip
    finding = replace(alert.finding, en=f"Feed {long}.", vi=f"Nguồn {long}.")
    samples = tuple(f"k1.{number:02}{'p' * 1_400}" for number in range(20))
    worst = replace(alert, person=person, finding=finding, samples=samples, related=RELATED * 7)
    value = ocsf.encode(worst)
    assert ocsf.LARGEST - 3_100 < len(value) <= ocsf.LARGEST
    event = orjson.loads(value)
    assert problems(event) == []
    assert [resource["uid"] for resource in event["resources"]] == list(samples[: len(event["resources"])])
    assert len(event["observables"]) == 1 + len(event["resources"])


def test_an_alert_of_a_rule_is_valid_and_names_the_rule() -> None:
    rule = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    [alert, *_] = example_alerts()["bulk_read"]
    for one in states(replace(alert, detector="rule.many_reveals", rule=rule, version="0badcafe")):
        event = json.loads(ocsf.encode(one))
        assert problems(event) == []
        analytic = event["finding_info"]["analytic"]
        assert (analytic["type"], analytic["uid"], analytic["version"]) == ("Rule", rule, "0badcafe")
