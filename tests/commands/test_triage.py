"""Commands lead from an alert to a decision: they say what they did, and refuse what is wrong."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from detectors.base import Finding, Person
from detectors.episodes import Alert
from streams.cli import main
from streams.flow import ocsf
from streams.flow.control import ControlRecord
from streams.flow.topics import ALERTS
from streams.kafka.broker import Broker
from streams.kafka.control import ControlError, new_record, publish, read
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings

START = 1_795_482_201_000  # 2026-11-24 08:03:21 +07:00
UID = "0900774f3df9b94d11258228dd752040"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of our own: these tests use the topics under their true names, a carrier each."""
    with Broker(tmp_path_factory.mktemp("triage")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=2))
        yield own.bootstrap


carrier = pytest.fixture(lambda app_id: app_id, name="carrier")


@pytest.fixture
def ring(tmp_path: Path, carrier: str) -> Keyring:
    ring = Keyring()
    ring.add_carrier(carrier)
    ring.save(tmp_path / "keys.toml")
    return ring


@pytest.fixture
def run(tmp_path: Path, carrier: str, ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARCELWATCH_BROKER", "127.0.0.1:1")
    monkeypatch.setenv("PARCELWATCH_CARRIERS", json.dumps({carrier: {"time_zone": "Asia/Ho_Chi_Minh"}}))
    monkeypatch.setattr("streams.kafka.sender.BROKER_TIMEOUT", 5.0)
    return lambda *args: CliRunner().invoke(main, [*map(str, args)])


@pytest.fixture
def live(run: Run, bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands against the broker."""
    monkeypatch.setenv("PARCELWATCH_BROKER", bootstrap)
    return run


def decided(bootstrap: str, carrier: str) -> list[ControlRecord]:
    records = [entry.record for entry in read(Settings(broker=bootstrap, partitions=2), lambda _: None)]
    return [record for record in records if record.carrier == carrier]


def tell_of(bootstrap: str, carrier: str, actor: str, *uids: str, detector: str = "bulk_read") -> None:
    """Put an alert for each uid into the alerts topic."""
    finding = Finding(
        severity=4, score=3.0, confidence=2, evidence=300.0, window=3_600, since=START, measures={}, baseline={},
        en="Read 300 parcels.", vi="Đã xem 300 bưu gửi.",
    )  # fmt: skip
    values = [
        ocsf.encode(
            Alert(
                uid=uid, activity=1, sequence=1, detector=detector, version="v", summary="s",
                person=Person(actor, carrier), finding=finding, opened=START, first=START, last=START + 90_000,
                at=START + 90_000, utc_offset=420, records=300, samples=(),
            )
        )
        for uid in uids
    ]  # fmt: skip

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(ALERTS, value, key=actor.encode())

    asyncio.run(send())


@pytest.mark.broker
def test_a_verdict_takes_the_rest_from_its_alert_and_the_latest_is_listed_and_counted(
    live: Run, bootstrap: str, carrier: str, ring: Keyring, tmp_path: Path
) -> None:
    token = ring.cipher(carrier).staff("nv0231")
    uids = [f"{n}{carrier[1:]}{'0' * 19}" for n in range(3)]
    tell_of(bootstrap, carrier, token, *uids)
    first = live("verdict", uids[0], "benign", "--why", " month-end ", "--by", "an")
    assert first.exit_code == 0, first.output
    assert "2026-11-24 08:03 +07:00 to 2026-11-24 08:04 +07:00: Read 300 parcels." in first.output
    assert re.search(rf"bulk_read, High, alert {uids[0]} of {re.escape(token)}", first.output)
    again = live("verdict", uids[0][:12], "true_positive", "--why", "case 812")
    assert "takes the place of benign by an of 20" in again.output
    assert live("verdict", "give", f"{uids[1]}-1", "false_positive", "--why", "no").exit_code == 0
    records = decided(bootstrap, carrier)
    assert [(r.alert, r.value, r.actor, r.detector) for r in records] == [
        (uids[0], "benign", token, "bulk_read"),
        (uids[0], "true_positive", token, "bulk_read"),
        (uids[1], "false_positive", token, "bulk_read"),
    ]
    assert (records[0].why, records[0].by) == ("month-end", "an")
    assert records[1].by
    assert len({record.id for record in records}) == 3
    listed = live("verdict", "list", "--carrier", carrier, "--since", "1h").output
    assert "2 verdicts" in listed
    assert "benign" not in listed
    assert "0 verdicts" in live("verdict", "list", "--carrier", carrier, "--since", "2199-01-01").output
    out = tmp_path / "verdicts.ndjson"
    assert (
        f"2 verdicts written to {out}" in live("verdict", "list", "--carrier", carrier, "--out", out).output
    )
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["alert"], line["start_time"], line["end_time"]) for line in lines] == [
        (uids[0], START, START + 90_000),
        (uids[1], START, START + 90_000),
    ]
    assert msgspec.convert(lines[0], ControlRecord) == records[1]
    report = live("verdict", "report", "--carrier", carrier)
    assert re.search(r"bulk_read +3 +2 +1 +1 +0 +50% +9% to 91% +too few verdicts", report.output)
    assert "3 alerts, 2 judged" in report.output


@pytest.mark.broker
def test_a_verdict_whose_alert_is_gone_is_left_out_of_the_file_and_said_so(
    live: Run, bootstrap: str, carrier: str, tmp_path: Path
) -> None:
    publish(
        Settings(broker=bootstrap, partitions=2),
        new_record(
            "verdict",
            carrier,
            datetime.now(UTC),
            actor="k1.x",
            detector="crowd",
            alert="9" * 32,
            value="benign",
        ),
    )
    result = live("verdict", "list", "--carrier", carrier, "--out", tmp_path / "v.ndjson")
    assert "0 verdicts written" in result.output
    assert "1 left out: their alerts are no longer in the topic alerts" in result.stderr
    assert "(gone)" in live("verdict", "list", "--carrier", carrier).output
    assert re.search(r"crowd +1 +1 +0 +0 +1", live("verdict", "report", "--carrier", carrier).output)


@pytest.mark.broker
def test_a_suppression_is_given_replaced_lifted_and_listed_and_no_staff_id_shows(
    live: Run, bootstrap: str, carrier: str, ring: Keyring
) -> None:
    token = ring.cipher(carrier).staff("nv0231")
    add = ("suppress", "add", "--carrier", carrier, "--why", "case 812")
    first = live(*add, "--actor", "nv0231", "--until", "7d", "--by", "an")
    assert first.exit_code == 0, first.output
    assert f"suppressed: {token} of {carrier}" in first.output
    second = live(*add, "--actor", token, "--until", "2w", "--by", "bo")
    assert re.search(r"takes the place of the one until 20\S+ \S+ \+07:00 by an", second.output)
    assert live(*add, "--detector", "off_hours", "--until", "12h").exit_code == 0
    wrong = live(
        "suppress", "lift", "--carrier", carrier, "--actor", "nv0231", "--detector", "crowd", "--why", "x"
    )
    assert wrong.exit_code == 1
    assert "nothing with exactly this scope" in wrong.output
    lifted = live(
        "suppress", "lift", "--carrier", carrier, "--actor", "nv0231", "--why", "done", "--by", "ce"
    )
    assert lifted.exit_code == 0, lifted.output
    listed = live("suppress", "list", "--carrier", carrier).output
    rows = [line.split()[:3] for line in listed.splitlines()[1:-1]]
    assert [row[0] for row in rows] == ["in", "replaced", "lifted"]
    assert "ce: done" in listed
    assert "1 in force, 2 ended" in listed
    assert "lifted" not in live("suppress", "list", "--carrier", carrier, "--ended", 0).output
    records = decided(bootstrap, carrier)
    assert [(r.actor, r.detector, r.value) for r in records] == [
        (token, "", "on"), (token, "", "on"), ("", "off_hours", "on"), (token, "", "off"),
    ]  # fmt: skip
    assert not any("nv0231" in result.output for result in (first, second, wrong, lifted))
    assert "nv0231" not in listed


@pytest.mark.broker
def test_a_watch_ends_when_it_was_said_to_in_the_carriers_own_time(
    live: Run, bootstrap: str, carrier: str
) -> None:
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    result = live(
        "watch", "add", "--carrier", carrier, "--actor", "nv1", "--until", day, "--why", "gave notice"
    )
    assert result.exit_code == 0, result.output
    assert f"recorded until {day} 00:00 +07:00 by " in result.output
    [record] = decided(bootstrap, carrier)
    assert record.until == f"{day - timedelta(days=1)}T17:00:00.000Z"
    assert "1 in force, 0 ended" in live("watch", "list", "--carrier", carrier).output
    assert "0 in force, 0 ended" in live("suppress", "list", "--carrier", carrier).output
    assert live("watch", "lift", "--carrier", carrier, "--actor", "nv1", "--why", "stays").exit_code == 0
    assert "0 in force, 1 ended" in live("watch", "list", "--carrier", carrier).output


@pytest.mark.broker
def test_without_keys_an_id_goes_as_it_is_and_is_still_not_shown(
    live: Run, bootstrap: str, carrier: str, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.toml"
    keys.rename(tmp_path / "away")
    result = live("watch", "add", "--carrier", carrier, "--actor", "nv1", "--until", "1d", "--why", "w")
    assert result.exit_code == 0, result.output
    assert "the staff id goes in clear to the topic control" in result.stderr
    assert decided(bootstrap, carrier)[0].actor == "nv1"
    listed = live("watch", "list", "--carrier", carrier)
    assert "nv1" not in result.output + listed.output
    (tmp_path / "away").rename(keys)
    # With keys it is known for the person it is.
    assert live("watch", "lift", "--carrier", carrier, "--actor", "nv1", "--why", "w").exit_code == 0


@pytest.mark.broker
def test_an_alert_that_is_not_there_is_said_and_nothing_is_recorded(
    live: Run, bootstrap: str, carrier: str
) -> None:
    result = live("verdict", "ffffffffffff", "benign", "--why", "x")
    assert result.exit_code == 1
    assert "no alert in topic alerts" in result.output
    assert decided(bootstrap, carrier) == []


SUPPRESS = ("suppress", "add", "--carrier", "CARRIER", "--why", "case 812", "--until")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((*SUPPRESS, "7d"), "say whom, which detector, or both"),
        ((*SUPPRESS, "7d", "--detector", "honeytoken"), "a honeytoken cannot be suppressed"),
        ((*SUPPRESS, "7d", "--detector", "honeytoken", "--actor", "nv0231"), "a honeytoken cannot be suppressed"),
        ((*SUPPRESS, "7d", "--detector", "bulk"), "there are: bulk_read, off_hours"),
        ((*SUPPRESS, "91d", "--detector", "crowd"), "at most 90 days ahead"),
        ((*SUPPRESS, "2020-01-01", "--detector", "crowd"), "not in the future"),
        ((*SUPPRESS, "soon", "--detector", "crowd"), "--until: write a span such as 12h, 7d or 4w"),
        ((*SUPPRESS, "9999-12-31T23:59:59-14:00", "--detector", "crowd"), "--until: write a span"),
        ((*SUPPRESS, "7d", "--actor", "k1." + "nv0231" * 8), "did not make this token"),
        ((*SUPPRESS, "7d", "--actor", "PARCEL"), "that is the token of a parcel"),
        ((*SUPPRESS, "7d", "--actor", "nv0231" * 60), "length <= 256"),
        ((*SUPPRESS[:5], " ", "--until", "7d", "--detector", "crowd"), "--why: an empty reason"),
        (("suppress", "add", "--carrier", "nobody", "--detector", "crowd", "--until", "7d", "--why", "x"), "no key"),
        (("watch", "add", "--carrier", "CARRIER", "--until", "7d", "--why", "x"), "say whom"),
        (("verdict", "0900774", "benign", "--why", "x"), "first 8 characters or more"),
        (("verdict", UID, "guilty", "--why", "x"), "true_positive"),
        (("verdict", UID, "benign"), "--why"),
        (("verdict", UID, "benign", "--why", "x"), "no Kafka broker answers"),
        (("verdict", "lost"), "No such command 'lost'"),
        (("verdict", "list", "--since", "lately"), "--since: write a span"),
        (("watch", "list"), "no Kafka broker answers"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_said_with_the_remedy_and_without_a_staff_id(
    run: Run, carrier: str, ring: Keyring, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr("streams.kafka.sender.BROKER_TIMEOUT", 0.2)
    parcel = ring.cipher(carrier).parcel("VN1")
    result = run(*({"CARRIER": carrier, "PARCEL": parcel}.get(arg, arg) for arg in args))
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.output.split())
    assert "nv0231" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_nothing_is_said_to_be_done_before_the_broker_has_it(
    run: Run, carrier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> tuple[int, int]:
        raise ControlError("topic control did not confirm the suppress")

    monkeypatch.setattr("streams.kafka.control.publish", refuse)
    monkeypatch.setattr("streams.kafka.control.read", lambda *_: iter(()))
    result = run(
        "suppress", "add", "--carrier", carrier, "--detector", "crowd", "--until", "7d", "--why", "x"
    )
    assert result.exit_code == 1
    assert "did not confirm" in result.output
    assert "suppressed" not in result.output
    assert "recorded" not in result.output
