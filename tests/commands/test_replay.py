"""A replayed log is in Kafka whole, in order and where its keys belong, and is counted once it is there."""

from __future__ import annotations

import asyncio
import gzip
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2

from streams.cli import main
from streams.commands.replay import replay
from streams.flow.sources import source_key, source_partition
from streams.flow.topics import ACCESS_EVENTS, LARGEST_VALUE, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.kafka.broker import Broker
from streams.kafka.sender import Pace, SendError, Tally, producer
from streams.kafka.topic_admin import admin_client, ensure_topics
from streams.settings import Settings
from tests.format_examples import trail

PARTITIONS = 4


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of our own: these tests use the topics under their true names."""
    with Broker(tmp_path_factory.mktemp("replay")) as own:
        made = Settings(broker=own.bootstrap, partitions=PARTITIONS)
        ensure_topics(made)
        yield made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)

    def run(bootstrap: str, *args: str) -> Result:
        monkeypatch.setenv("PARCELWATCH_BROKER", bootstrap)
        return CliRunner().invoke(main, ["replay", *args])

    return run


async def ends(bootstrap: str, topic: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(
            [TopicPartition(topic, n) for n in range(PARTITIONS)]
        )
        return ends


async def since(bootstrap: str, starts: dict[TopicPartition, int]) -> dict[int, list[tuple[bytes, bytes]]]:
    """Key and value of everything that came after `starts`, by partition."""
    found: dict[int, list[tuple[bytes, bytes]]] = {at.partition: [] for at in starts}
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        last = await consumer.end_offsets(list(starts))
        consumer.assign(list(starts))
        for at, offset in starts.items():
            consumer.seek(at, offset)
        while any([await consumer.position(at) < last[at] for at in starts]):
            for at, records in (await consumer.getmany(timeout_ms=500)).items():
                found[at.partition] += [(record.key, record.value) for record in records]
    return found


def event(number: int, actor: str, time: str = "2026-11-24T08:00:00+07:00") -> bytes:
    return orjson.dumps({"time": time, "carrier": "vnx", "actor": actor, "action": "view", "id": str(number)})


@pytest.mark.broker
async def test_every_value_arrives_once_in_order_and_where_its_key_belongs(settings: Settings) -> None:
    values = [event(n, f"nv{n % 97:04}") for n in range(30_000)] + [b"not json", b'{"actor":7}']
    starts = await ends(settings.broker, ACCESS_EVENTS)
    tally = Tally()
    await replay(settings, ACCESS_EVENTS, PARTITIONS, values, math.inf, tally)
    assert tally == Tally(sent=len(values), failed=0)
    expected: dict[int, list[tuple[bytes | None, bytes]]] = {n: [] for n in range(PARTITIONS)}
    for value in values:
        key = source_key(ACCESS_EVENTS, value)
        expected[source_partition(key, PARTITIONS)].append((key, value))
    assert await since(settings.broker, starts) == expected


@pytest.mark.broker
async def test_a_refused_value_stops_the_replay_and_is_counted_as_failed(settings: Settings) -> None:
    starts = await ends(settings.broker, ACCESS_EVENTS)
    tally = Tally()
    # Random, since what is compressed to below the limit passes.
    values = [
        event(1, "nv0231"),
        os.urandom(LARGEST_VALUE + 1),
        *(event(n, "nv0231") for n in range(200_000)),
    ]
    with pytest.raises(SendError, match="access-events took no more: MessageSizeTooLargeError"):
        await replay(settings, ACCESS_EVENTS, PARTITIONS, values, math.inf, tally)
    assert tally.failed >= 1
    there = await since(settings.broker, starts)
    assert sum(map(len, there.values())) == tally.sent < len(values)


@pytest.mark.broker
def test_the_command_sends_a_mapped_csv_and_says_what_became_of_it(
    settings: Settings, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(b"when,who\n" + b"2026-11-24T08:00:00+07:00,nv1\n" * 1_000))
    mapping = ["--map", "time=when", "--map", "actor=who", "--set", "carrier=vnx", "--set", "action=view"]
    result = run(settings.broker, str(path), *mapping)
    assert result.exit_code == 0, result.output
    assert re.search(r"^1,000 sent, 0 failed, [\d.]+ s, [\d,]+/s to access-events$", result.output, re.M)


@pytest.mark.broker
async def test_a_log_in_a_format_of_its_own_goes_as_native_events_under_their_actors(
    settings: Settings, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "trail.json"
    records = [trail(eventID=str(n), userIdentity={"userName": f"nv{n}"}) for n in range(50)]
    path.write_bytes(orjson.dumps({"Records": [*records, {}, {"eventName": "PutObject"}]}))
    starts = await ends(settings.broker, ACCESS_EVENTS)
    words = [str(path), "--format", "cloudtrail", "--set", "carrier=vnx"]
    result = await asyncio.to_thread(run, settings.broker, *words)
    assert result.exit_code == 0, result.output
    assert "50 sent, 0 failed" in result.output
    assert "not sent: 1 refused, not_this_format;" in result.output
    assert "not sent: 1 ignored;" in result.output
    there = [record for log in (await since(settings.broker, starts)).values() for record in log]
    assert {key for key, _ in there} == {f"nv{n}".encode() for n in range(50)}
    assert {orjson.loads(value)["carrier"] for _, value in there} == {"vnx"}


def test_a_foreign_log_is_not_translated_for_workers_that_read_it_as_it_is(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_INPUT_FORMAT", "ecs")
    words = [str(tmp_path / "log"), "--format", "cloudtrail", "--set", "carrier=vnx"]
    result = run("127.0.0.1:9", *words)
    assert "the workers read ecs (input_format); leave --format out" in result.output
    result = run("127.0.0.1:9", *words, "--topic", PARCEL_CONTEXT)
    assert "--format: only for access-events" in result.output


@pytest.mark.broker
async def test_what_could_be_read_of_a_damaged_file_is_sent_up_to_the_line_the_error_names(
    settings: Settings, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "log"
    values = [event(n, os.urandom(8).hex()) for n in range(20_000)]
    path.write_bytes(gzip.compress(b"\n".join(values))[:-100_000])
    starts = await ends(settings.broker, ACCESS_EVENTS)
    result = await asyncio.to_thread(run, settings.broker, str(path))
    assert result.exit_code == 1
    line = re.search(r"cut short after line (\d+);", result.output)
    assert line is not None
    assert 0 < int(line[1]) < len(values)
    assert f"{int(line[1]):,} sent, 0 failed" in result.output
    assert sum(map(len, (await since(settings.broker, starts)).values())) == int(line[1])


@pytest.mark.broker
async def test_a_staff_directory_takes_even_what_cannot_be_read(settings: Settings) -> None:
    starts = await ends(settings.broker, STAFF_DIRECTORY)
    values = [b'{"carrier":"vnx","actor":"nv1"}', b"broken", b"broken too"]
    tally = Tally()
    await replay(settings, STAFF_DIRECTORY, PARTITIONS, values, math.inf, tally)
    assert tally.sent == 3
    there = dict(pair for pairs in (await since(settings.broker, starts)).values() for pair in pairs)
    assert there[b"vnx/nv1"] == values[0]
    assert len(there) == 3, "compaction must not merge two broken records into one"


@pytest.mark.broker
async def test_a_paced_replay_sends_each_value_when_it_is_due(settings: Settings) -> None:
    starts = await ends(settings.broker, ACCESS_EVENTS)
    tally = Tally()
    values = [event(n, f"nv{n}", f"2026-11-24T08:00:{n * 20:02}+07:00") for n in range(3)]
    seen: list[int] = []

    def watched() -> Iterator[bytes]:
        for value in values:
            seen.append(tally.sent)
            yield value

    await replay(settings, ACCESS_EVENTS, PARTITIONS, watched(), 100.0, tally)
    assert seen == [0, 0, 1], (
        "the first value must be there before the third is read, and not be held for a batch"
    )
    assert sum(map(len, (await since(settings.broker, starts)).values())) == 3


def test_event_time_passes_so_many_times_as_fast_as_the_clock() -> None:
    pace = Pace(60.0)
    assert pace.wait(event(0, "a", "2026-11-24T08:00:00+07:00")) <= 0
    assert pace.wait(event(1, "a", "2026-11-24T09:00:00+07:00")) == pytest.approx(60, abs=1)
    assert pace.wait(event(2, "a", "2026-11-24T01:30:00Z")) == pytest.approx(30, abs=1), "offsets count"
    for due_at_once in (
        b"not json",
        b"{}",
        event(3, "a", "2026-11-24T07:00:00+07:00"),
        event(4, "a", "tomorrow"),
    ):
        assert pace.wait(due_at_once) <= 0


@pytest.mark.broker
def test_a_missing_topic_is_named_with_the_remedy(
    settings: Settings, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"parcel":"VN1"}')
    with admin_client(settings) as admin:
        admin.delete_topics([PARCEL_CONTEXT])
    result = run(settings.broker, str(path), "--topic", PARCEL_CONTEXT)
    assert result.exit_code == 1
    assert "has no topic parcel-context; run `parcelwatch topics create`" in result.output


def test_a_missing_broker_is_named_with_the_remedy(
    tmp_path: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.sender.BROKER_TIMEOUT", 0.3)
    path = tmp_path / "log"
    path.write_bytes(event(1, "a"))
    result = run("127.0.0.1:1", str(path))
    assert result.exit_code == 1
    assert "no Kafka broker answers at 127.0.0.1:1" in result.output
    assert "PARCELWATCH_BROKER" in result.output


async def test_a_broker_that_is_gone_when_sending_starts_is_named() -> None:
    with pytest.raises(SendError, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        async with producer(Settings(broker="127.0.0.1:1")):
            pytest.fail("there is no broker")


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_none_is_refused(run: Callable[..., Result], speed: str) -> None:
    result = run("127.0.0.1:1", "log", "--speed", speed)
    assert result.exit_code == 2
    assert "is no speed; write max, or a number" in result.output


@pytest.mark.parametrize(
    ("topic", "value", "key"),
    [
        (ACCESS_EVENTS, b'{"carrier":"vnx","actor":"nv\\u00e1"}', "nvá".encode()),
        (ACCESS_EVENTS, b'{"actor":7}', b"7"),
        (ACCESS_EVENTS, b'{"carrier":"vnx"}', None),
        (ACCESS_EVENTS, b"[]", None),
        (ACCESS_EVENTS, b'{"actor":"\xff"}', None),
        (ACCESS_EVENTS, b"[" * 100_000, None),
        (PARCEL_CONTEXT, b'{"parcel":"VN1","actor":"nv1"}', b"VN1"),
        (STAFF_DIRECTORY, b'{"carrier":"vnx","actor":"nv1"}', b"vnx/nv1"),
    ],
)
def test_a_record_is_keyed_by_whom_or_what_it_is_about(topic: str, value: bytes, key: bytes | None) -> None:
    assert source_key(topic, value) == key


def test_only_topics_written_from_outside_have_source_keys() -> None:
    with pytest.raises(ValueError, match="alerts is not written to from outside"):
        source_key("alerts", b"{}")


@given(st.binary(min_size=1, max_size=40), st.integers(1, 64))
def test_partitions_are_those_of_kafkas_own_partitioner(key: bytes, partitions: int) -> None:
    assert source_partition(key, partitions) == (murmur2(key) & 0x7FFF_FFFF) % partitions


def test_a_keyless_record_always_goes_to_the_same_partition() -> None:
    assert {source_partition(None, 4) for _ in range(20)} == {0}
