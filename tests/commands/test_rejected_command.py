"""What was rejected can be listed, looked at and let in again; every look behind a seal is written down."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import Result

from streams.flow.events import Rejection
from streams.flow.sources import source_key, source_partition
from streams.flow.topics import ACCESS_EVENTS, REJECTED
from streams.kafka.broker import Broker
from streams.kafka.rejections import Place
from streams.kafka.sender import producer
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.audit import os_user
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from tests.console import Run, audit

PARTITIONS = 2
RAW = b'{"time":"2026-11-24T08:00:00+07:00","carrier":"vnx","actor":"nv0231","action":"view"}'


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of our own: these tests use the topics under their true names."""
    with Broker(tmp_path_factory.mktemp("rejected")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=PARTITIONS))
        yield own.bootstrap


@pytest.fixture
def rejected(bootstrap: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    monkeypatch.setenv("PARCELWATCH_BROKER", bootstrap)
    return lambda *args: run("rejected", *args)


_offsets = iter(range(1_000_000))


async def reject(bootstrap: str, ring: Keyring, code: str, raws: list[bytes], *, times: int = 1) -> list[str]:
    """Put rejections on the topic as admit does; gives their places."""
    places = []
    # Leaving the producer flushes it.
    async with producer(Settings(broker=bootstrap)) as client:
        for raw in raws:
            rejection = Rejection(
                reason=code,
                where="$.time",
                detail="not a time",
                remedy="write RFC 3339 with an offset",
                carrier="vnx",
                topic=ACCESS_EVENTS,
                partition=1,
                offset=next(_offsets),
                rejected_at="2026-11-24T01:00:00.5+00:00",
                size=len(raw),
                sealed=base64.b64encode(ring.seal(raw)).decode(),
            )
            places.append(f"{ACCESS_EVENTS}/1/{rejection.offset}")
            for _ in range(times):
                await client.send(REJECTED, rejection.encode(), places[-1].encode())
    return places


async def source_ends(bootstrap: str) -> dict[TopicPartition, int]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(
            [TopicPartition(ACCESS_EVENTS, n) for n in range(PARTITIONS)]
        )
        return ends


async def source_since(bootstrap: str, starts: dict[TopicPartition, int]) -> list[tuple[int, bytes, bytes]]:
    found = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        last = await consumer.end_offsets(list(starts))
        consumer.assign(list(starts))
        for at, offset in starts.items():
            consumer.seek(at, offset)
        while any([await consumer.position(at) < last[at] for at in starts]):
            for at, records in (await consumer.getmany(timeout_ms=500)).items():
                found += [(at.partition, record.key, record.value) for record in records]
    return found


@pytest.fixture
def in_thread() -> Callable[..., Result]:
    """Commands run an event loop of their own, which must not be inside the test's."""
    return lambda command, *args: asyncio.to_thread(command, *args)


@pytest.mark.broker
async def test_the_list_says_when_where_why_and_how_to_mend_it_and_nothing_of_the_content(
    bootstrap: str, ring: Keyring, rejected: Run, in_thread
) -> None:
    (place,) = await reject(bootstrap, ring, "bad_time", [RAW], times=2)
    result = await in_thread(rejected, "list", "--reason", "bad_time")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if place in line)
    wanted = ("2026-11-24 01:00:00", "bad_time", "$.time", "not a time; write RFC 3339 with an offset")
    for text in (*wanted, str(len(RAW))):
        assert text in line
    assert "1 of 1 rejected shown" in result.output, (
        "admit may write one rejection twice; it is one all the same"
    )
    assert "nv0231" not in result.output


@pytest.mark.broker
async def test_the_list_is_cut_to_its_limit_and_says_so(
    bootstrap: str, ring: Keyring, rejected: Run, in_thread
) -> None:
    places = await reject(bootstrap, ring, "many", [RAW] * 5)
    result = await in_thread(rejected, "list", "--reason", "many", "--limit", "2")
    assert [place in result.output for place in places] == [False, False, False, True, True]
    assert "2 of 5 rejected shown" in result.output
    result = await in_thread(rejected, "list", "--reason", "never")
    assert "0 of 0 rejected shown" in result.output


@pytest.mark.broker
async def test_show_gives_the_bytes_as_they_came_and_writes_down_who_looked(
    bootstrap: str, ring: Keyring, rejected: Run, data: Path, in_thread
) -> None:
    raw = b"\x00\xff not json \n\r\n"
    (place,) = await reject(bootstrap, ring, "not_json", [raw])
    result = await in_thread(rejected, "show", place, "--reason", "case 812")
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == raw
    (line,) = audit(data)
    assert line["records"] == [place]
    assert (line["action"], line["reason"], line["user"]) == ("rejected show", "case 812", os_user())


@pytest.mark.broker
async def test_readmitted_values_are_back_in_their_topic_once_and_no_longer_listed(
    bootstrap: str, ring: Keyring, rejected: Run, data: Path, in_thread
) -> None:
    raws = [RAW.replace(b"nv0231", b"nv%04d" % n) for n in range(600)] + [b"still not json"]
    places = await reject(bootstrap, ring, "unknown_carrier", raws[:-1])
    places += await reject(bootstrap, ring, "unknown_carrier", raws[-1:], times=2)
    starts = await source_ends(bootstrap)
    readmit = ("readmit", "--reason-code", "unknown_carrier", "--reason", "key added")
    result = await in_thread(rejected, *readmit)
    assert result.exit_code == 0, result.output
    assert "601 readmitted, 0 not" in result.output
    keys = [source_key(ACCESS_EVENTS, raw) for raw in raws]
    expected = [(source_partition(key, PARTITIONS), key, raw) for key, raw in zip(keys, raws, strict=True)]
    found = await source_since(bootstrap, starts)
    assert sorted(found, key=str) == sorted(expected, key=str)
    for partition in range(PARTITIONS):
        assert [f for f in found if f[0] == partition] == [e for e in expected if e[0] == partition], "order"
    assert audit(data)[0]["records"] == places
    again = await in_thread(rejected, *readmit)
    assert "0 readmitted" in again.output
    assert sorted(await source_since(bootstrap, starts), key=str) == sorted(found, key=str)
    listed = await in_thread(rejected, "list", "--reason", "unknown_carrier")
    assert "0 of 0 rejected shown, " in listed.output
    assert int(re.search(r"(\d+) readmitted", listed.output)[1]) >= 601


@pytest.mark.broker
async def test_what_another_ring_sealed_and_what_had_no_value_stay_rejected_with_the_cause(
    bootstrap: str, ring: Keyring, rejected: Run, in_thread
) -> None:
    (foreign,) = await reject(bootstrap, Keyring(), "mixed", [RAW])
    empty, good = await reject(bootstrap, ring, "mixed", [b"", RAW])
    ids = [part for place in (foreign, empty, good) for part in ("--id", place)]
    result = await in_thread(rejected, "readmit", *ids, "--reason", "test")
    assert result.exit_code == 1
    assert f"{foreign} stays rejected: the sealed value was altered" in result.output
    assert f"{empty} stays rejected: it had no value" in result.output
    assert "1 readmitted, 2 not" in result.output
    listed = await in_thread(rejected, "list", "--reason", "mixed")
    assert [place in listed.output for place in (foreign, empty, good)] == [True, True, False]


@pytest.mark.broker
async def test_an_unknown_place_sends_nothing_and_reveals_nothing(
    bootstrap: str, ring: Keyring, rejected: Run, data: Path, in_thread
) -> None:
    (place,) = await reject(bootstrap, ring, "kept", [RAW])
    starts = await source_ends(bootstrap)
    unknown = f"{ACCESS_EVENTS}/0/987654321"
    result = await in_thread(rejected, "readmit", "--id", place, "--id", unknown, "--reason", "test")
    assert result.exit_code == 1
    assert f"not rejected, or readmitted already: {unknown}; nothing was sent" in result.output
    assert await source_since(bootstrap, starts) == []
    result = await in_thread(rejected, "show", unknown, "--reason", "test")
    assert result.exit_code == 1
    assert "is in the rejected topic" in result.output
    assert audit(data) == []


def test_readmit_wants_to_be_told_what(run: Run) -> None:
    for which in ((), ("--all", "--reason-code", "x")):
        result = run("rejected", "readmit", *which, "--reason", "test")
        assert result.exit_code == 2
        assert "say which: --reason-code CODE, --id" in result.output


@pytest.mark.parametrize("text", ["", "x/0/1", "access-events/0", "access-events/a/1", "access-events/0/-1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TOPIC/PARTITION/OFFSET such as access-events/2/991"):
        Place.parse(text)
