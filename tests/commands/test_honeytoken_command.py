"""Honeytokens are watched once planted, and stand in clear only where they go."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from streams.cli import main
from streams.flow.sources import source_key, source_partition
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.history.pipeline import Pipeline
from streams.kafka.broker import Broker
from streams.kafka.honeytokens import (
    FILE_NAME,
    check_digit,
    read_honeytokens,
)
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import ensure_topics
from streams.privacy import audit
from streams.privacy.tokens import Keyring
from streams.settings import Settings

PARTITIONS = 2


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of our own: these tests use the topics under their true names."""
    with Broker(tmp_path_factory.mktemp("honeytokens")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=PARTITIONS))
        yield own.bootstrap


@pytest.fixture
def data(data: Path) -> Path:
    """A data folder with a key ring for carriers vnx and post."""
    ring = Keyring.load(data / "keys.toml")
    ring.add_carrier("post")
    ring.save(data / "keys.toml")
    return data


Run = Callable[..., Result]


@pytest.fixture
def run(data: Path) -> Run:
    return lambda *args: CliRunner().invoke(main, ["honeytoken", *map(str, args)])


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """What the command would have had watched, without a broker."""
    sent: list[tuple[str, dict[str, str]]] = []

    async def watch(settings: Settings, carrier: str, feed_of: dict[str, str]) -> None:
        sent.append((carrier, feed_of))

    monkeypatch.setattr("streams.commands.honeytoken.watch_parcels", watch)
    return sent


def ids(text: str) -> list[str]:
    rows = list(csv.DictReader(text.splitlines()))
    assert all(row["feed"] for row in rows)
    return [row["parcel"] for row in rows]


def files(data: Path) -> str:
    """All that is written down in the data folder but the keys."""
    return "".join(path.read_text() for path in data.iterdir() if path.name != "keys.toml")


def test_planted_ids_are_written_out_and_stand_nowhere_else_in_clear(run: Run, data: Path, sent) -> None:
    result = run("plant", "--carrier", "vnx", "--feed", "shop-7", "--like", "VN0000000001", "--count", 30)
    assert result.exit_code == 0, result.output
    made = ids(result.stdout)
    assert len(set(made)) == 30
    assert sent == [("vnx", dict.fromkeys(made, "shop-7"))]
    assert not any(clear in files(data) + result.stderr for clear in made)
    cipher = Keyring.load(data / "keys.toml").cipher("vnx")
    planted = read_honeytokens(data / FILE_NAME)
    assert [one.parcel for one in planted] == [cipher.parcel(clear) for clear in made]
    assert {(one.carrier, one.feed, one.pattern) for one in planted} == {("vnx", "shop-7", "VN##########")}
    [line] = [json.loads(line) for line in (data / audit.FILE_NAME).read_text().splitlines()]
    assert (line["action"], line["feeds"], line["carrier"]) == ("honeytoken plant", ["shop-7"], "vnx")
    assert line["tokens"] == [one.parcel for one in planted]


def test_the_file_that_is_asked_for_is_its_owners_alone_and_never_replaces_another(
    run: Run, tmp_path: Path, sent
) -> None:
    out = tmp_path / "shop-7.csv"
    plant = ("plant", "--carrier", "vnx", "--feed", "shop-7", "--like", "EE123456785VN", "--out", out)
    result = run(*plant, "--count", 3, "--reason", "case 7")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    text = out.read_text()
    assert all(one[10] == check_digit(one[2:10]) for one in ids(text))
    again = run(*plant)
    assert again.exit_code == 1
    assert "exists; name another file" in again.output
    assert out.read_text() == text
    assert len(sent) == 1, "nothing is planted whose ids would go nowhere"


def test_a_pattern_is_remembered_by_carrier_and_asked_for_the_first_time(run: Run, sent) -> None:
    first = run("plant", "--carrier", "vnx", "--feed", "shop-7")
    assert first.exit_code == 2
    assert "--like VN0000000001" in first.output
    run("plant", "--carrier", "vnx", "--feed", "shop-7", "--like", "VN12345678")
    second = run("plant", "--carrier", "vnx", "--feed", "shop-8", "--count", 2)
    assert all(re.fullmatch(r"VN[0-9]{8}", one) for one in ids(second.stdout))
    assert run("plant", "--carrier", "post", "--feed", "shop-7").exit_code == 2


def test_rotating_plants_as_many_new_ones_and_keeps_watching_the_old(run: Run, data: Path, sent) -> None:
    old = ids(run("plant", "--carrier", "vnx", "--feed", "a", "--like", "VN12345678", "--count", 7).stdout)
    run("plant", "--carrier", "vnx", "--feed", "b", "--count", 3)
    sent.clear()
    ring = Keyring.load(data / "keys.toml")
    ring.rotate("vnx")
    ring.save(data / "keys.toml")
    result = run("rotate", "--feed", "a")
    assert result.exit_code == 0, result.output
    new = ids(result.stdout)
    assert len(new) == 7
    assert not set(new) & set(old)
    assert sent == [("vnx", dict.fromkeys(old, "a")), ("vnx", dict.fromkeys(new, "a"))]
    assert "7 old ones are watched still" in result.stderr
    assert len(read_honeytokens(data / FILE_NAME)) == 17


def test_rotating_wants_a_feed_that_has_some_and_one_carrier(run: Run, sent) -> None:
    assert "begin with `parcelwatch honeytoken plant`" in run("rotate", "--feed", "a").output
    for carrier in ("vnx", "post"):
        run("plant", "--carrier", carrier, "--feed", "a", "--like", "VN12345678")
    result = run("rotate", "--feed", "a")
    assert result.exit_code == 2
    assert "post, vnx" in result.output
    assert run("rotate", "--feed", "a", "--carrier", "post").exit_code == 0


def test_the_list_shows_what_was_planted_where_and_ids_only_as_tokens(run: Run, data: Path, sent) -> None:
    assert "0 honeytokens in 0 feeds" in run("list").output
    made = ids(run("plant", "--carrier", "vnx", "--feed", "a", "--like", "VN12345678", "--count", 5).stdout)
    run("plant", "--carrier", "post", "--feed", "a", "--like", "EE123456785VN", "--count", 2)
    listed, tokens = run("list").output, run("list", "--feed", "a").output
    assert re.search(r"vnx +a +VN#{8} +5", listed)
    assert "7 honeytokens in 2 feeds" in listed
    assert [line.split("\t")[3] for line in tokens.splitlines()] == [
        one.parcel for one in read_honeytokens(data / FILE_NAME)
    ]
    assert not any(clear in listed + tokens for clear in made)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--carrier", "nobody", "--feed", "a"), "no key for carrier 'nobody'"),
        (("--carrier", "vnx", "--feed", "a\nb"), "1 to 64 printable characters"),
        (("--carrier", "vnx", "--feed", ""), "1 to 64 printable characters"),
        (("--carrier", "vnx", "--feed", "a", "--count", "0"), "--count"),
        (("--carrier", "vnx", "--feed", "a", "--reason", " "), "say why with --reason"),
        (("--carrier", "vnx", "--feed", "a", "--out", "/nowhere/ids.csv"), "cannot write /nowhere/ids.csv"),
    ],
)
def test_what_cannot_be_planted_is_said_and_nothing_is(
    run: Run, data: Path, sent, options: tuple[str, ...], why: str
) -> None:
    result = run("plant", "--like", "VN12345678", *options)
    assert result.exit_code in (1, 2)
    assert why in " ".join(result.output.split())
    assert not sent
    assert not (data / FILE_NAME).exists()


def test_nothing_is_written_out_where_the_broker_took_nothing(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(settings: Settings, carrier: str, feed_of: dict[str, str]) -> None:
        raise SendError("topic parcel-context took no more")

    monkeypatch.setattr("streams.commands.honeytoken.watch_parcels", refuse)
    out = tmp_path / "ids.csv"
    result = run("plant", "--carrier", "vnx", "--feed", "a", "--like", "VN12345678", "--out", out)
    assert result.exit_code == 1
    assert "took no more" in result.output
    assert not out.exists()
    assert not (data / FILE_NAME).exists()


async def context(bootstrap: str) -> list[tuple[int, bytes, bytes]]:
    """Partition, key and value of all there is in parcel-context."""
    found: list[tuple[int, bytes, bytes]] = []
    at = [TopicPartition(PARCEL_CONTEXT, n) for n in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        last = await consumer.end_offsets(at)
        consumer.assign(at)
        await consumer.seek_to_beginning(*at)
        while any([await consumer.position(one) < last[one] for one in at]):
            for one, records in (await consumer.getmany(timeout_ms=500)).items():
                found += [(one.partition, record.key, record.value) for record in records]
    return found


@pytest.mark.broker
async def test_a_planted_honeytoken_is_watched_and_whoever_opens_it_is_told_of_with_the_feed(
    bootstrap: str, run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_BROKER", bootstrap)
    result = await asyncio.to_thread(
        run, "plant", "--carrier", "vnx", "--feed", "shop-7", "--like", "EE123456785VN", "--count", 40
    )
    assert result.exit_code == 0, result.output
    made = ids(result.stdout)
    records = await context(bootstrap)
    assert sorted(json.loads(value)["parcel"] for _, _, value in records) == sorted(made)
    for partition, key, value in records:
        assert key == source_key(PARCEL_CONTEXT, value)
        assert partition == source_partition(key, PARTITIONS)
    later = (datetime.fromisoformat(json.loads(records[0][2])["time"]) + timedelta(seconds=1)).isoformat()
    watched = Pipeline(Keyring.load(data / "keys.toml"), arrived=lambda: 1 << 42)
    watched.feed(PARCEL_CONTEXT, [value for _, _, value in records])
    look = {"time": later, "carrier": "vnx", "actor": "nv1", "action": "view", "parcels": [made[7]]}
    other = {**look, "actor": "nv2", "parcels": ["EE473124829VN"]}
    watched.feed(ACCESS_EVENTS, [json.dumps(event).encode() for event in (other, look)])
    watched.finish()
    assert not watched.rejected
    [alert] = [json.loads(alert.value or b"") for alert in watched.alerts]
    assert alert["finding_info"]["analytic"]["name"] == "honeytoken"
    assert alert["severity"] == "High"
    assert "feed of shop-7" in alert["message"]
    assert made[7] not in json.dumps(alert)
