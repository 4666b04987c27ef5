"""A backtest accounts for every record, says what it found, and finds what the same log in Kafka would have found."""

from __future__ import annotations

import asyncio
import gzip
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from click.testing import CliRunner, Result

from streams.cli import main
from streams.commands.replay import replay
from streams.flow.topics import (
    ACCESS_EVENTS,
    ACTOR_LOG,
    ALERTS,
    PARCEL_CONTEXT,
    PARCEL_LOG,
    STAFF_DIRECTORY,
)
from streams.history.backtest import Backtest
from streams.history.translated import LogFile
from streams.kafka.broker import Broker
from streams.kafka.sender import Tally
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from streams.simulator import SimulationConfig, simulate
from tests.ocsf_checks import problems

PARTITIONS = 3
NAMES = {ACCESS_EVENTS: "events", PARCEL_CONTEXT: "context", STAFF_DIRECTORY: "directory"}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two simulated days with leaks, by topic."""
    config = SimulationConfig(
        staff=30, days=2, leaks=("bulk_read", "bulk_export", "off_hours", "enumeration")
    )
    simulation = simulate(config)
    records: dict[str, list[Any]] = {topic: [] for topic in NAMES}
    for topic, record in simulation.events():
        records[topic].append(record)
    records[STAFF_DIRECTORY] = simulation.directory
    folder = tmp_path_factory.mktemp("logs")
    paths = {topic: folder / f"{topic}.ndjson" for topic in records}
    for topic, path in paths.items():
        path.write_bytes(b"\n".join(map(orjson.dumps, records[topic])))
    return paths


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    for name in [name for name in os.environ if name.startswith("PARCELWATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path / "data"))

    def run(*args: str | Path) -> Result:
        out = tmp_path / "alerts.ndjson"
        return CliRunner().invoke(main, ["backtest", *map(str, args), "--alerts", str(out)])

    return run


def options(logs: dict[str, Path]) -> list[str | Path]:
    return [part for topic, path in logs.items() for part in (f"--{NAMES[topic]}", path)]


def alerts(tmp_path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (tmp_path / "alerts.ndjson").read_bytes().splitlines()]


def ring(path: Path) -> Keyring:
    keys = Keyring()
    keys.add_carrier("vnx")
    keys.save(path)
    return keys


def test_nothing_has_to_be_set_up_to_run_a_log(
    run: Callable[..., Result], logs: dict[str, Path], tmp_path: Path
) -> None:
    result = run(*options(logs))
    assert result.exit_code == 0, result.output
    events = len(logs[ACCESS_EVENTS].read_bytes().splitlines())
    assert re.search(rf"access-events +{events:,} +{events:,} +0 +0", result.stderr)
    found = alerts(tmp_path)
    assert {alert["class_uid"] for alert in found} == {2004}
    assert found == sorted(
        found, key=lambda a: (a["time"], a["finding_info"]["uid"], a["metadata"]["sequence"])
    )
    assert not (tmp_path / "data").exists(), "keys made for one run are nowhere but in memory"


def test_staff_ids_are_clear_only_where_asked_for_and_then_wherever_they_stand(
    run: Callable[..., Result], logs: dict[str, Path], tmp_path: Path
) -> None:
    staff = {orjson.loads(line)["actor"] for line in logs[STAFF_DIRECTORY].read_bytes().splitlines()}
    assert run(*options(logs)).exit_code == 0
    tokens = alerts(tmp_path)
    assert not staff & {alert["actor"]["user"]["uid"] for alert in tokens}
    assert run(*options(logs), "--clear-actors").exit_code == 0
    clear = alerts(tmp_path)
    assert len(clear) == len(tokens) > 0
    for alert in clear:
        user = alert["actor"]["user"]
        assert user["uid"] in staff
        assert [o["value"] for o in alert["observables"] if o["name"] == "actor.user.uid"] == [user["uid"]]
        assert user.get("ldap_person", {}).get("manager", {}).get("uid", user["uid"]) in staff
        assert all(resource["uid"].startswith("k1.") for resource in alert.get("resources", ())), (
            "parcels stay tokens"
        )


@pytest.mark.parametrize("zipped", [False, True])
def test_a_csv_of_ones_own_is_read_through_a_mapping(
    run: Callable[..., Result], tmp_path: Path, zipped: bool
) -> None:
    rows = [f"2026-03-02T03:{n // 60:02}:{n % 60:02}+07:00,s1,R{n}\n" for n in range(900)]
    content = "time,staff,record\n" + "".join(rows) + "2026-03-02T04:00:00+07:00,,R1\n"
    log = tmp_path / "log.csv"
    log.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    mapping = ["--map", "time=time", "--map", "actor=staff", "--map", "parcels=record"]
    mapping += ["--set", "carrier=mine", "--set", "action=view"]
    refused = tmp_path / "rejected.ndjson"
    result = run("--events", log, *mapping, "--clear-actors", "--rejected", refused)
    assert result.exit_code == 0, result.output
    assert re.search(r"access-events +901 +900 +1 +0", result.stderr)
    assert "rejected, access-events: missing_field 1" in result.stderr
    assert {alert["actor"]["user"]["uid"] for alert in alerts(tmp_path)} == {"s1"}
    [line] = map(orjson.loads, refused.read_bytes().splitlines())
    assert (line["record"], line["reason"], line["where"]) == (901, "missing_field", "$.actor")
    assert "R1" not in refused.read_text(), "what was rejected is never repeated"


def test_records_are_told_by_their_number_in_their_own_file(
    run: Callable[..., Result], logs: dict[str, Path], tmp_path: Path
) -> None:
    broken = {}
    for topic, at in ((ACCESS_EVENTS, 5_000), (PARCEL_CONTEXT, 3), (STAFF_DIRECTORY, 1)):
        lines = logs[topic].read_bytes().splitlines()
        lines.insert(at - 1, b'{"broken":')
        broken[topic] = tmp_path / logs[topic].name
        broken[topic].write_bytes(b"\n".join(lines))
    refused = tmp_path / "rejected.ndjson"
    assert run(*options(broken), "--rejected", refused).exit_code == 0
    found = {
        (Path(line["file"]).stem, line["record"])
        for line in map(orjson.loads, refused.read_bytes().splitlines())
    }
    assert found == {(ACCESS_EVENTS, 5_000), (PARCEL_CONTEXT, 3), (STAFF_DIRECTORY, 1)}


def test_a_carriers_keys_are_those_of_the_ring_where_it_has_any(
    run: Callable[..., Result], logs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    keys = ring(tmp_path / "data" / "keys.toml")
    before = (tmp_path / "data" / "keys.toml").read_bytes()
    result = run(*options(logs))
    assert "is in no key ring" not in result.stderr
    token = keys.cipher("vnx").staff
    staff = {token(orjson.loads(line)["actor"]) for line in logs[STAFF_DIRECTORY].read_bytes().splitlines()}
    assert {alert["actor"]["user"]["uid"] for alert in alerts(tmp_path)} <= staff
    assert (tmp_path / "data" / "keys.toml").read_bytes() == before


def test_how_much_is_read_at_a_time_changes_nothing(
    logs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = ring(tmp_path / "keys.toml")
    found = []
    for chunk in (4_000, 701):
        monkeypatch.setattr("streams.history.backtest.CHUNK", chunk)
        files = [LogFile(topic, path) for topic, path in logs.items()]
        found.append(Backtest(files, keys, partitions=PARTITIONS, arrived=1_795_000_000_000).run())
    assert found[0].alerts == found[1].alerts != []
    assert found[0].counts == found[1].counts


@pytest.mark.parametrize("option", ["--events", "--context", "--directory"])
def test_a_missing_file_is_named(
    run: Callable[..., Result], logs: dict[str, Path], tmp_path: Path, option: str
) -> None:
    result = run("--events", logs[ACCESS_EVENTS], option, tmp_path / "nowhere")
    assert result.exit_code == 1
    assert f"there is no file {tmp_path / 'nowhere'}" in result.stderr


def test_a_damaged_file_leaves_earlier_alerts_as_they_were(
    run: Callable[..., Result], logs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "alerts.ndjson").write_text("earlier")
    log = tmp_path / "log.gz"
    log.write_bytes(gzip.compress(logs[ACCESS_EVENTS].read_bytes())[:-1_000])
    result = run("--events", log)
    assert result.exit_code == 1
    assert re.search(r"the gzip data is cut short after line \d+; copy the file again", result.stderr)
    assert (tmp_path / "alerts.ndjson").read_text() == "earlier"
    assert not list(tmp_path.glob("*.part"))


def test_a_place_that_cannot_be_written_is_named(run: Callable[..., Result], logs: dict[str, Path]) -> None:
    result = run("--events", logs[ACCESS_EVENTS], "--rejected", "/nowhere/rejected.ndjson")
    assert result.exit_code == 1
    assert "cannot write /nowhere/rejected.ndjson" in result.stderr


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of our own: the worker uses the topics under their true names."""
    data_dir = tmp_path_factory.mktemp("worker")
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        made = Settings(broker=own.bootstrap, partitions=PARTITIONS, data_dir=data_dir, http_port=-1)
        ensure_topics(made)
        yield made


async def all_records(settings: Settings, topic: str) -> list[ConsumerRecord]:
    """All records of a topic, partition after partition."""
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=settings.broker, auto_offset_reset="earliest") as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return found


async def committed(settings: Settings) -> bool:
    """Whether the worker has committed everything there is in its topics, so that nothing more can come."""
    topics = (ACCESS_EVENTS, PARCEL_CONTEXT, PARCEL_LOG, ACTOR_LOG)
    places = [TopicPartition(topic, partition) for topic, partition in product(topics, range(PARTITIONS))]
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.broker, group_id=settings.app_id, enable_auto_commit=False
    ) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        return all([end == (await consumer.committed(place) or 0) for place, end in ends.items()])


@pytest.mark.broker
async def test_kafka_and_backtest_give_the_same_alerts_byte_for_byte(
    settings: Settings,
    run: Callable[..., Result],
    logs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring(settings.keys_path)
    for topic, path in logs.items():
        await replay(settings, topic, PARTITIONS, path.read_bytes().splitlines(), math.inf, Tally())
    environment = {
        "PARCELWATCH_BROKER": settings.broker,
        "PARCELWATCH_PARTITIONS": str(PARTITIONS),
        "PARCELWATCH_DATA_DIR": str(settings.data_dir),
        "PARCELWATCH_HTTP_PORT": "-1",
    }
    log = (tmp_path / "worker.log").open("wb")
    command = [sys.executable, "-c", "from streams.cli import main; main()", "worker"]
    with log, subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log) as worker:  # noqa: ASYNC220  # starts once
        try:
            async with asyncio.timeout(120):
                while not await committed(settings):
                    assert worker.poll() is None, (tmp_path / "worker.log").read_text()
                    await asyncio.sleep(0.2)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait()
    records = await all_records(settings, ALERTS)
    monkeypatch.setenv("PARCELWATCH_KEYS_FILE", str(settings.keys_path))
    result = await asyncio.to_thread(run, *options(logs), "--partitions", str(PARTITIONS))
    assert result.exit_code == 0, result.output
    assert sorted(record.value for record in records) == sorted(
        (tmp_path / "alerts.ndjson").read_bytes().splitlines()
    )
    assert records, "two silent runs would prove nothing"
    for record in records:
        event, headers = orjson.loads(record.value), dict(record.headers)
        assert problems(event) == []
        assert record.key.decode() == event["actor"]["user"]["uid"]
        assert (headers["ce_specversion"], headers["content-type"]) == (b"1.0", b"application/json")
        assert headers["ce_id"].decode() == event["metadata"]["uid"]
