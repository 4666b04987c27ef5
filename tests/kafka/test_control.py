"""Decisions reach the control topic whole and in order, and what cannot take effect does not; alerts are found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer

from streams.flow.control import known_detectors
from streams.flow.sources import source_partition
from streams.flow.topics import ALERTS, CONTROL
from streams.kafka import reading
from streams.kafka.alert_log import AlertLogError, Episode, find_episode, read_episodes, uid_prefix
from streams.kafka.broker import Broker
from streams.kafka.control import (
    ControlError,
    Unreadable,
    check,
    new_record,
    publish,
    read,
    stamp,
)
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import ensure_topics
from streams.settings import Settings
from tests.decisions import NOW, ON, TOKEN, VERDICT

PARTITIONS = 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of our own: these tests use the topics under their true names."""
    with Broker(tmp_path_factory.mktemp("control")) as own:
        settings = Settings(broker=own.bootstrap, partitions=PARTITIONS)
        ensure_topics(settings)
        yield settings


def send(settings: Settings, topic: str, *values: bytes | None, partition: int = 0) -> None:
    async def go() -> None:
        async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
            for value in values:
                await producer.send_and_wait(topic, value, key=b"k", partition=partition)

    asyncio.run(go())


def alert(uid: str, sequence: int = 1, **more: object) -> bytes:
    body = {
        "start_time": 1_000,
        "end_time": 1_000 + sequence,
        "severity": "High",
        "status_id": 1,
        "timezone_offset": 420,
        "message": "Read much.",
        "actor": {"user": {"uid": TOKEN}},
        "finding_info": {"uid": uid, "analytic": {"name": "bulk_read"}},
        "metadata": {"tenant_uid": "vnx", "sequence": sequence},
    }
    return json.dumps({**body, **more}).encode()


@pytest.mark.broker
def test_decisions_of_a_carrier_come_back_as_given_and_in_the_order_given(
    settings: Settings, app_id: str
) -> None:
    given = [
        new_record("verdict", app_id, NOW, **VERDICT),
        new_record("suppress", app_id, NOW, **ON),
        # A clock that is behind changes nothing: they take effect in the order of the topic.
        new_record("suppress", app_id, NOW - timedelta(hours=1), actor=TOKEN, value="off", why="done"),
        new_record("model", app_id, NOW, value="off"),
    ]
    places = [publish(settings, record) for record in given]
    assert {partition for partition, _ in places} == {source_partition(app_id.encode(), PARTITIONS)}
    back = [entry for entry in read(settings) if entry.record.carrier == app_id]
    assert [entry.record for entry in back] == given
    assert [(entry.partition, entry.offset) for entry in back] == places
    assert all(entry.timestamp > 1_700_000_000_000 for entry in back)


@pytest.mark.broker
def test_what_admit_refused_is_not_listed_as_if_it_were_in_force(settings: Settings, app_id: str) -> None:
    now = datetime.now(UTC)
    given = {"carrier": app_id, "kind": "suppress", "actor": TOKEN, "value": "on", "why": "case 812"}
    too_long = {**given, "time": stamp(now), "until": stamp(now + timedelta(days=900))}
    of_the_future = {
        **given,
        "time": stamp(now + timedelta(days=900)),
        "until": stamp(now + timedelta(days=950)),
    }
    ghost = {**given, "time": stamp(now), "until": stamp(now + timedelta(days=1)), "detector": "honeytoken"}
    send(
        settings,
        CONTROL,
        *(json.dumps(one).encode() for one in (too_long, of_the_future, ghost)),
        partition=0,
    )
    refused: list[Unreadable] = []
    assert app_id not in {entry.record.carrier for entry in read(settings, refused.append)}
    text = "\n".join(one.reason for one in refused)
    assert all(
        said in text for said in ("at most 90 days ahead", "ahead of its arrival", "cannot be suppressed")
    )


@pytest.mark.broker
def test_what_is_no_control_record_is_named_by_place_and_never_by_contents(
    settings: Settings, app_id: str
) -> None:
    publish(settings, new_record("watch", app_id, NOW, **ON))
    good = {"time": "2026-11-24T01:00:00Z", "carrier": app_id, "kind": "verdict"}
    bad = [
        None,
        b"nv0231",
        b"\xff",
        b'{"kind":"verdict"}',
        json.dumps({**good, "kind": "nv0231"}).encode(),
        json.dumps({**good, "time": "yesterday of nv0231"}).encode(),
        json.dumps({**good, "time": "2026-11-24T01:00:00"}).encode(),
        json.dumps({**good, "until": "nv0231"}).encode(),
        json.dumps({**good, "until": "9999-12-31T23:59:59-14:00"}).encode(),
        json.dumps({**good, "time": "0001-01-01T00:00:00+14:00"}).encode(),
        json.dumps({**good, "actor": "nv0231" * 100}).encode(),
    ]
    send(settings, CONTROL, *bad, partition=1)
    unreadable: list[Unreadable] = []
    assert app_id in {entry.record.carrier for entry in read(settings, unreadable.append)}
    assert sum(one.partition == 1 for one in unreadable) == len(bad)
    text = "\n".join(map(str, unreadable))
    assert "nv0231" not in text
    assert f"{CONTROL}/1/" in text
    assert "missing required field `time`" in text
    assert "not one of its values, at $.kind" in text


@pytest.mark.broker
def test_a_missing_topic_is_said_with_the_remedy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.control.CONTROL", "absent")
    with pytest.raises(SendError, match="no topic absent; run `parcelwatch topics create`"):
        publish(settings, new_record("watch", "vnx", NOW, **ON))


@pytest.mark.broker
def test_a_broker_that_falls_silent_before_the_end_is_said_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(settings, ALERTS, b"x")
    monkeypatch.setattr(reading, "STALLED", 0.0)

    async def nothing(*_: object, **__: object) -> dict[object, object]:
        return {}

    monkeypatch.setattr("streams.kafka.reading.AIOKafkaConsumer.getmany", nothing)
    with pytest.raises(SendError, match=r"topic alerts .* before its end; see `parcelwatch doctor`"):
        read_episodes(settings)


@pytest.mark.broker
def test_an_alert_is_found_by_the_beginning_of_its_uid_as_its_latest_message_has_it(
    settings: Settings,
) -> None:
    send(settings, ALERTS, alert("0900774f01"), alert("0900774f01", 3, severity="Critical", start_time=900))
    send(settings, ALERTS, alert("0900774f01", 2), alert("0900774f02"), b"no alert", partition=1)
    found = find_episode(settings, "0900774f01-2")
    assert found == Episode(
        "0900774f01", "vnx", TOKEN, "bulk_read", "Critical", 1, 900, 1_003, 420, "Read much.", 3
    )
    assert read_episodes(settings, lambda uid: uid == "0900774f02").episodes.keys() == {"0900774f02"}
    assert read_episodes(settings).unreadable >= 1
    with pytest.raises(AlertLogError, match=r"2 alerts .*: 0900774f01, 0900774f02; give more of it"):
        find_episode(settings, "0900774f")
    with pytest.raises(AlertLogError, match=r"no alert in topic alerts .* copy finding_info.uid"):
        find_episode(settings, "ffffffff")


@pytest.mark.parametrize("text", ["", "0900774", "not an id", "0900774f/../", "-12345678", "0900774f-x"])
def test_what_is_no_uid_or_too_short_is_refused(text: str) -> None:
    with pytest.raises(AlertLogError, match="first 8 characters or more"):
        uid_prefix(text)


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("verdict", {**VERDICT, "value": "bad"}, "one of true_positive, false_positive, benign"),
        ("verdict", {**VERDICT, "alert": ""}, "an alert .* needed"),
        ("verdict", {**VERDICT, "detector": ""}, "its detector"),
        ("verdict", {**VERDICT, "why": "x" * 2_001}, "2,001 characters; at most 2,000"),
        ("suppress", {**ON, "actor": ""}, "whom, which detector, or both"),
        ("suppress", {**ON, "detector": "bulk"}, "no detector has that name; there are: bulk_read, "),
        ("suppress", {**ON, "detector": "honeytoken"}, "a honeytoken cannot be suppressed"),
        ("suppress", {**ON, "why": " "}, "say why"),
        ("suppress", {**ON, "until": ""}, "say until when"),
        ("suppress", {**ON, "until": "2026-12-01T00:00:00"}, "with offset"),
        ("suppress", {**ON, "until": "2026-11-24T01:00:00Z"}, "not in the future"),
        ("suppress", {**ON, "until": "2027-02-22T01:00:00.001Z"}, "at most 90 days ahead"),
        ("suppress", {**ON, "value": "maybe"}, "one of on, off"),
        ("watch", {**ON, "actor": "", "detector": "bulk_read"}, "say whom"),
        ("watch", {**ON, "actor": "x" * 257}, r"length <= 256, at \$.actor"),
        ("watch", {**ON, "by": "\ud800"}, "no text"),
        ("model", {"value": "active:abc"}, "shadow:SHA256"),
        ("strictness", {"value": "much"}, "from 0.25 to 8"),
        ("strictness", {"value": "nan"}, "from 0.25 to 8"),
    ],
)  # fmt: skip
def test_a_decision_that_cannot_take_effect_is_refused_with_the_remedy(
    kind: str, fields: dict[str, str], said: str
) -> None:
    with pytest.raises(ControlError, match=said):
        new_record(kind, "vnx", NOW, **fields)


def test_a_decision_may_last_ninety_days_and_end_whatever_its_detector_was_called() -> None:
    check(new_record("suppress", "vnx", NOW, **{**ON, "until": stamp(NOW + timedelta(days=90))}))
    check(new_record("suppress", "vnx", NOW, **{**ON, "value": "off", "detector": "gone_since", "until": ""}))
    assert {"bulk_read", "honeytoken", "risk"} <= set(known_detectors())
