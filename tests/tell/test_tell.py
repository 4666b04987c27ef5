"""What is in the alerts topic reaches every receiver, once; what is no alert is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streams.flow.topics import ALERTS
from streams.tell.deliveries import Outbox
from streams.tell.service import UnreadableAlertError, read_alert
from tests.receivers import (
    Hooks,
    Running,
    alert,
    alerts,
    record,
    serving,
    until,
)


@pytest.fixture
async def hooks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    async with serving(monkeypatch) as start:
        yield start


async def test_an_alert_is_delivered_once_to_each_receiver(hooks: Hooks, tmp_path: Path) -> None:
    soc, siem = await hooks(), await hooks()
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take([record(alert("a", 2), b"a-2")])
        await until(lambda: running.states() == running.states("siem") == {"a-2": "delivered"})
    assert soc.ids == siem.ids == ["a-2"]
    assert soc.bodies[0]["type"] == "parcelwatch.alert.updated"
    assert soc.bodies[0]["data"] == json.loads(alert("a", 2))
    assert running.metric("deliveries_total", receiver="soc", outcome="delivered") == 1
    assert running.metric("alerts_total") == 1


async def test_duplicates_in_the_topic_are_delivered_once(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1", "a-1", "b-1"))
        await running.tell.take(alerts("a-1"))
        await until(lambda: list(running.states().values()) == ["delivered", "delivered"])
    assert sorted(soc.ids) == ["a-1", "b-1"]
    assert running.metric("duplicates_total") == 2


async def test_a_suppressed_alert_is_told_to_nobody_and_counted_once(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    silent = {**json.loads(alert("a")), "status_id": 3, "status": "Suppressed"}
    resolved = {**json.loads(alert("c", 3)), "status_id": 4, "status": "Resolved"}
    async with Running(tmp_path, {"soc": soc}) as running:
        records = [
            record(json.dumps(one).encode(), id_) for one, id_ in ((silent, b"a-1"), (resolved, b"c-2"))
        ]
        await running.tell.take([*records, *alerts("b-1")])
        await running.tell.take(records)
        await until(lambda: running.states() == {"b-1": "delivered", "c-2": "delivered"})
    assert sorted(soc.ids) == ["b-1", "c-2"]
    assert running.metric("suppressed_total") == 1
    assert running.metric("alerts_total") == 3
    assert running.metric("duplicates_total") == 2


async def test_every_metric_of_a_receiver_is_there_from_the_start(hooks: Hooks, tmp_path: Path) -> None:
    async with Running(tmp_path, {"soc": await hooks()}) as running:
        for name in ("attempts_total", "pending", "undelivered", "oldest_pending_timestamp_seconds",
                     "receiver_disabled", "delivery_delay_seconds_count"):  # fmt: skip
            assert running.metric(name, receiver="soc") == 0, name
        for outcome in ("delivered", "undelivered"):
            assert running.metric("deliveries_total", receiver="soc", outcome=outcome) == 0
        assert running.metric("suppressed_total") == 0


async def test_without_a_broker_the_outbox_is_still_delivered_and_readiness_says_so(
    hooks: Hooks, tmp_path: Path
) -> None:
    soc = await hooks()
    with closing(Outbox(tmp_path / "deliveries.sqlite")) as outbox:
        outbox.admit([read_alert(record(alert("a"), b"a-1"))], ["soc"], 0.0)
    async with Running(tmp_path, {"soc": soc}) as running:
        await until(lambda: running.states() == {"a-1": "delivered"})
        await until(lambda: "cannot read alerts" in running.tell.ready()[1])
        assert not running.tell.ready()[0]
        assert running.tell.healthy()[0]


@pytest.mark.parametrize(
    ("value", "ce_id", "said"),
    [
        (None, b"a-1", "value is no OCSF alert"),
        (b"", b"a-1", "value is no OCSF alert"),
        (b"0901234567", b"a-1", "value is no OCSF alert"),
        (b'{"activity_id":"0901234567"}', b"a-1", "value is no OCSF alert"),
        (b'{"activity_id":901234567,"time":1,"finding_info":{"uid":"u"}}', b"a-1", "activity_id"),
        (b'{"activity_id":1,"time":1e300,"finding_info":{"uid":"u"}}', b"a-1", "time"),
        (b'{"activity_id":1,"time":1,"finding_info":{"uid":""}}', b"a-1", "uid"),
        (b"[" * 100_000, b"a-1", "value is no OCSF alert"),
        (b'{"a":' * 100_000, b"a-1", "value is no OCSF alert"),
        (b'{"x":"\xff","activity_id":1,"time":1,"finding_info":{"uid":"u"}}', b"a-1", "UTF-8 at byte 6"),
        (alert("a"), None, "ce_id"),
        (alert("a"), b"a.1", "ce_id"),
        (alert("a"), b"a-1\r\nx: y", "ce_id"),
        (alert("a"), b"\xff", "ce_id"),
        (alert("a"), b"a" * 201, "ce_id"),
    ],
)
def test_a_record_that_is_no_alert_is_named_without_its_contents(
    value: bytes | None, ce_id: bytes | None, said: str
) -> None:
    with pytest.raises(UnreadableAlertError, match=said) as caught:
        read_alert(record(value, ce_id))
    assert "901234567" not in str(caught.value)


async def test_an_unreadable_record_is_counted_and_holds_nothing_up(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    with capture_logs() as logged:
        async with Running(tmp_path, {"soc": soc}) as running:
            await running.tell.take([record(b"0901234567", b"x-1", offset=41), *alerts("a-1")])
            await until(lambda: running.states() == {"a-1": "delivered"})
    assert running.metric("unreadable_total") == 1
    [line] = [entry for entry in logged if entry["event"].startswith("unreadable alert")]
    assert (line["topic"], line["partition"], line["offset"]) == (ALERTS, 0, 41)
    assert "0901234567" not in repr(logged)
