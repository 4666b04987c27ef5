"""`parcelwatch history write` on a real broker: killed, cut off and restarted, it has every touch once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from prometheus_client import CollectorRegistry

from streams.flow.events import encode_block
from streams.flow.topics import ACTOR_LOG
from streams.history import archive_service
from streams.history.archive import Archive
from streams.history.archive_files import ArchiveError, Gap, load_manifest
from streams.history.archive_reader import read
from streams.history.archive_service import ArchiveService
from streams.kafka.broker import Broker
from streams.kafka.broker_config import free_port
from streams.kafka.topic_admin import ensure_topics
from streams.settings import Settings, SettingsError
from tests.archives import PARTITIONS, actor_log, archived, block, touch, wanted
from tests.receivers import NO_BROKER, until

PATIENCE = 40.0
#: About the time the command takes before it reads; nothing depends on it but where it is killed.
STARTING = 1.0


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The actor log has one name, and these tests cut it short: no broker to share."""
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=PARTITIONS))
        yield own


@asynccontextmanager
async def writing(root: Path, broker: str, port: int = -1) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `history write` that flushes every second."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from streams.cli import main; main()", "history", "write", "--interval", "1",
        stderr=asyncio.subprocess.DEVNULL,
        env={
            **os.environ,
            "PARCELWATCH_BROKER": broker,
            "PARCELWATCH_PARTITIONS": str(PARTITIONS),
            "PARCELWATCH_HISTORY_DIR": str(root),
            "PARCELWATCH_HISTORY_HTTP_PORT": str(port),
            "PARCELWATCH_LOG_LEVEL": "error",
        },
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def service_of(root: Path, broker: str, partitions: int = PARTITIONS) -> ArchiveService:
    settings = Settings(broker=broker, partitions=partitions, history_dir=root)
    return ArchiveService(settings, Archive(root), CollectorRegistry(), interval=0.1, rows=10)


@asynccontextmanager
async def serving(root: Path, broker: str) -> AsyncIterator[ArchiveService]:
    """A service within the test."""
    service, stop = service_of(root, broker), asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def run_out(service: ArchiveService) -> None:
    """Run a service that is to end by itself."""
    await asyncio.wait_for(service.run(asyncio.Event()), PATIENCE)


async def begin_now(root: Path, broker: Broker) -> None:
    """Begin a history at the log's present end: what other tests wrote is none of this one's business."""
    partitions = [TopicPartition(ACTOR_LOG, p) for p in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
    archive = Archive(root)
    for tp, end in ends.items():
        archive.skip_to(tp.partition, end)
    archive.flush()


async def answered(port: int, path: str, wanted: str) -> str:
    """What the process answers, once that has `wanted` in it."""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                    if wanted in (text := await answer.text()):
                        return text
            await asyncio.sleep(0.05)


def progress(root: Path, partition: int) -> int:
    """The offset that the folder says comes next; 0 before it says anything."""
    manifest = load_manifest(root)
    found = manifest.partitions.get(partition) if manifest else None
    return found.next if found else 0


async def send(broker: Broker, partition: int, *values: bytes) -> int:
    """Append blocks; gives the offset of the last."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        sent = [await producer.send_and_wait(ACTOR_LOG, value, partition=partition) for value in values]
    return int(sent[-1].offset)


@pytest.mark.broker
async def test_every_touch_once_through_kill_9_and_sigterm(own_broker: Broker, tmp_path: Path) -> None:
    """Killed while it starts, reads, waits and writes; the log grows meanwhile."""
    log, root, port = actor_log(0), tmp_path / "history", free_port()
    ends: dict[int, int] = {}
    await begin_now(root, own_broker)
    for part, pause in enumerate((-0.5, 0.2, 0.9, 1.1)):
        for partition, values in log.items():
            size = len(values) // 4 + 1
            ends[partition] = 1 + await send(own_broker, partition, *values[part * size : (part + 1) * size])
        async with writing(root, own_broker.bootstrap, port) as process:
            await asyncio.sleep(STARTING + pause)
            process.kill()
    async with writing(root, own_broker.bootstrap, port) as process:
        await until(lambda: all(progress(root, p) == end for p, end in ends.items()), PATIENCE)
        await answered(port, "readyz", '"status": "ok"')
        await answered(port, "metrics", "parcelwatch_history_lag_records 0.0")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert archived(root) == wanted(log)


@pytest.mark.broker
async def test_what_waits_is_written_when_told_to_stop(own_broker: Broker, tmp_path: Path) -> None:
    await begin_now(tmp_path, own_broker)
    settings = Settings(broker=own_broker.bootstrap, partitions=PARTITIONS, history_dir=tmp_path)
    service = ArchiveService(settings, Archive(tmp_path), CollectorRegistry(), interval=3600, rows=10**6)
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    await send(own_broker, 1, encode_block(block(touch(1, parcel="k1.last"), source=9)))
    await until(lambda: "0 rows" not in service.ready()[1] and service.ready()[0])
    stop.set()
    await asyncio.wait_for(task, PATIENCE)
    assert "k1.last" in read(tmp_path).column("parcel").to_pylist()


@pytest.mark.broker
async def test_what_kafka_has_deleted_is_a_gap_and_not_silence(own_broker: Broker, tmp_path: Path) -> None:
    await begin_now(tmp_path, own_broker)
    offset = await send(own_broker, 0, encode_block(block(touch(1), source=8)))
    async with serving(tmp_path, own_broker.bootstrap) as service:
        await until(lambda: progress(tmp_path, 0) == offset + 1)
    assert service.metrics.missed._value.get() == 0
    rows = touch(2), touch(3, parcel="k1.kept")
    await send(own_broker, 0, *(encode_block(block(row, source=8)) for row in rows))
    admin = AIOKafkaAdminClient(bootstrap_servers=own_broker.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(ACTOR_LOG, 0): RecordsToDelete(offset + 2)})
    await admin.close()
    async with serving(tmp_path, own_broker.bootstrap) as service:
        await until(lambda: progress(tmp_path, 0) == offset + 3)
    assert service.metrics.missed._value.get() == 1
    manifest = load_manifest(tmp_path)
    assert manifest is not None
    assert manifest.gaps == [Gap(0, offset + 1, offset + 2)]
    assert "k1.kept" in read(tmp_path).column("parcel").to_pylist()


@pytest.mark.broker
async def test_another_topic_than_the_folders_is_refused(own_broker: Broker, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(0, 1_000_000, block(touch(1)))
    archive.flush()
    with pytest.raises(ArchiveError, match=r"up to offset 1000001, the broker only to \d+: .*HISTORY_DIR"):
        await run_out(service_of(tmp_path, own_broker.bootstrap))


@pytest.mark.broker
async def test_another_number_of_partitions_is_refused(own_broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"partitions = 3: actor-log has 2; .*PARCELWATCH_PARTITIONS"):
        await run_out(service_of(tmp_path, own_broker.bootstrap, partitions=3))


@pytest.mark.broker
async def test_what_is_no_block_ends_it_and_is_named_without_its_contents(
    own_broker: Broker, tmp_path: Path
) -> None:
    await begin_now(tmp_path, own_broker)
    offset = await send(own_broker, 1, b"0901234567")
    with pytest.raises(ArchiveError, match=rf"partition 1 offset {offset} is no block") as caught:
        await run_out(service_of(tmp_path, own_broker.bootstrap))
    assert "0901234567" not in str(caught.value)


async def test_without_a_broker_readiness_says_so_and_it_stops_when_told_to(tmp_path: Path) -> None:
    async with serving(tmp_path, NO_BROKER) as service:
        await until(lambda: "cannot read actor-log from the broker" in service.ready()[1])
        assert not service.ready()[0]
        assert service.healthy()[0]


async def test_a_broker_that_answers_nothing_does_not_hold_up_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_service, "GRACE", 0.2)
    called = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        began = time.monotonic()
        async with serving(tmp_path, f"{host}:{port}"):
            await asyncio.wait_for(called.wait(), PATIENCE)
        assert time.monotonic() - began < 5
