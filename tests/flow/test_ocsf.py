"""Alerts are valid OCSF 1.8.0 and CloudEvents 1.0, equal on every replay, and hold tokens only."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Finding, Person
from detectors.episodes import Alert
from streams.flow import ocsf
from tests.ocsf_checks import problems


def an_alert(**changes: Any) -> Alert:
    finding = Finding(
        severity=4,
        score=7.25,
        confidence=3,
        evidence=412.0,
        window=3600,
        since=1_795_000_000_000,
        measures={"parcels": 412.0, "usual_share": 0.125},
        baseline={"own_p99": 38.0},
        en="412 parcels in an hour; usually at most 38.",
        vi="412 đơn trong một giờ; thường tối đa 38.",
    )
    person = Person(
        "k1.c3RhZmY", "vnx", "call-centre agent", "T1", "HN-03", "k1.Ym9zcw", "active", False, ("06-14",)
    )
    fields: dict[str, Any] = {
        "uid": "9f2c",
        "activity": 1,
        "sequence": 1,
        "detector": "bulk_read",
        "version": "a1",
        "summary": "Many parcels",
        "person": person,
        "finding": finding,
        "opened": 1_795_000_000_000,
        "first": 1_795_000_000_000,
        "last": 1_795_000_900_000,
        "at": 1_795_000_900_000,
        "utc_offset": 420,
        "records": 500,
        "samples": ("k1.cDE", "k1.cDI"),
        **changes,
    }
    return Alert(**fields)


words = st.text(max_size=12)
numbers = st.floats(allow_nan=True, allow_infinity=True)
times = st.integers(0, 4_102_444_800_000)
persons = st.builds(
    Person,
    token=words,
    carrier=words,
    role=words,
    team=words,
    site=words,
    manager=words,
    status=st.sampled_from(["", "active", "on_leave", "left"]),
    service=st.booleans(),
    shifts=st.lists(words, max_size=2).map(tuple),
)
findings = st.builds(
    Finding,
    severity=st.integers(2, 5),
    score=numbers,
    confidence=st.integers(1, 3),
    evidence=numbers,
    window=st.integers(0, 2**40),
    since=times,
    measures=st.dictionaries(words, numbers, max_size=3),
    baseline=st.dictionaries(words, numbers, max_size=3),
    parcels=st.just(()),
    en=words,
    vi=words,
)
alerts = st.builds(
    Alert,
    uid=words,
    activity=st.integers(1, 3),
    sequence=st.integers(1, 2**31),
    detector=words,
    version=words,
    summary=words,
    person=persons,
    finding=findings,
    opened=times,
    first=times,
    last=times,
    at=times,
    utc_offset=st.integers(-1080, 1080),
    records=st.integers(0, 2**40),
    samples=st.lists(words, max_size=25).map(tuple),
    suppressed=st.booleans(),
    risk=st.floats(0, 1e6),
    reasons=st.lists(words, max_size=5).map(tuple),
    related=st.lists(st.tuples(words, words), max_size=3).map(tuple),
)
#: The first call reads the schema, which takes a loaded machine longer than hypothesis allows an example.
patient = settings(deadline=None)


@patient
@given(alert=alerts)
def test_every_alert_is_a_valid_detection_finding(alert: Alert) -> None:
    event = json.loads(ocsf.encode(alert))
    assert problems(event) == []
    assert len(event.get("resources", ())) <= ocsf.MAX_SAMPLES


@patient
@given(alert=alerts)
def test_the_same_alert_gives_the_same_bytes_and_they_say_what_render_says(alert: Alert) -> None:
    assert ocsf.encode(alert) == ocsf.encode(alert)
    assert json.loads(ocsf.encode(alert)) == ocsf.render(alert)


@pytest.mark.parametrize(
    "spoil",
    [
        {"severity": "Low"},
        {"type_uid": 200402},
        {"status_id": 4},
        {"surprise": 1},
        {"severity_id": 42},
        {"time": "now"},
        {"risk_level": "High"},
        {"type_name": "Detection Finding: Close"},
        {
            "observables": [
                {"name": "actor.user.uid", "type_id": 31, "type": "User Object: uid", "value": "k1.x"}
            ]
        },
        {"observables": [{"name": "actor.user.uid", "type_id": 31, "type": "User", "value": "k1.c3RhZmY"}]},
        {"resources": [{"uid": "k1.cDE", "role_id": 1, "role": "Actor"}]},
    ],
)
def test_the_checks_of_these_tests_see_a_broken_finding(spoil: dict[str, Any]) -> None:
    assert problems({**ocsf.render(an_alert()), **spoil})


def test_times_are_event_times_in_epoch_ms() -> None:
    event = ocsf.render(an_alert(opened=5_000, first=4_000, last=9_000, at=12_000))
    assert (event["start_time"], event["end_time"], event["time"], event["duration"]) == (
        4_000,
        9_000,
        12_000,
        5_000,
    )
    info = event["finding_info"]
    assert [info[f"{what}_time"] for what in ("created", "first_seen", "last_seen", "modified")] == [
        5_000,
        4_000,
        9_000,
        12_000,
    ]


@pytest.mark.parametrize(
    ("activity", "type_uid", "status", "is_alert", "ce_type"),
    [
        (1, 200401, "New", True, b"parcelwatch.alert.created"),
        (2, 200402, "New", True, b"parcelwatch.alert.updated"),
        (3, 200403, "Resolved", False, b"parcelwatch.alert.closed"),
    ],
)
def test_an_episode_opens_grows_and_closes(
    activity: int, type_uid: int, status: str, is_alert: bool, ce_type: bytes
) -> None:
    alert = an_alert(activity=activity)
    event = ocsf.render(alert)
    assert (event["type_uid"], event["status"], event["is_alert"]) == (type_uid, status, is_alert)
    assert dict(ocsf.headers(alert, 0))["ce_type"] == ce_type


def test_messages_of_one_episode_share_the_finding_and_differ_in_id() -> None:
    first, second = an_alert(), an_alert(activity=2, sequence=2)
    a, b = ocsf.render(first), ocsf.render(second)
    assert a["finding_info"]["uid"] == b["finding_info"]["uid"]
    assert a["metadata"]["uid"] != b["metadata"]["uid"]
    for alert, event in ((first, a), (second, b)):
        assert dict(ocsf.headers(alert, 1))["ce_id"].decode() == event["metadata"]["uid"]


def test_the_actor_is_a_token_with_role_team_site_and_supervisor() -> None:
    user = ocsf.render(an_alert())["actor"]["user"]
    assert user == {
        "uid": "k1.c3RhZmY",
        "type_id": 1,
        "type": "User",
        "org": {"uid": "vnx", "ou_uid": "HN-03"},
        "groups": [{"name": "call-centre agent", "type": "role"}, {"name": "T1", "type": "team"}],
        "ldap_person": {"manager": {"uid": "k1.Ym9zcw"}},
    }
    service = ocsf.render(an_alert(person=Person("k1.c3Zj", "vnx", service=True)))["actor"]["user"]
    assert service == {"uid": "k1.c3Zj", "type_id": 4, "type": "Service", "org": {"uid": "vnx"}}


def test_numbers_stay_numbers_and_what_is_not_finite_is_null() -> None:
    finding = an_alert().finding
    odd = msgspec.structs.replace(
        finding, score=math.inf, measures={"parcels": 412.0, "share": 0.5, "huge": 1e300, "none": math.nan}
    )
    data = json.loads(ocsf.encode(an_alert(finding=odd)))["evidences"][0]["data"]
    assert data["measures"] == {"parcels": 412, "share": 0.5, "huge": 1e300, "none": None}
    assert data["score"] is None
    assert b'"parcels":412,' in ocsf.encode(an_alert(finding=odd))


def test_headers_are_cloudevents_in_binary_mode() -> None:
    alert = an_alert(person=Person("k1.c3Zj", "giao hàng/nhanh"), at=1_795_000_900_120)
    found = {name: value.decode() for name, value in ocsf.headers(alert, 1_795_000_901_000)}
    assert found["ce_specversion"] == "1.0"
    assert found["ce_source"] == "/parcelwatch/giao%20h%C3%A0ng%2Fnhanh"
    assert found["content-type"] == "application/json"
    assert found["ce_producedat"] == "1795000901000"
    assert found["ce_time"].endswith("120Z")
    assert datetime.fromisoformat(found["ce_time"]).timestamp() * 1000 == pytest.approx(alert.at)
    assert all(name == "content-type" or name.startswith("ce_") for name in found)
