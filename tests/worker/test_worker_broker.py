"""The worker on a real broker whose logs have gaps: what is missing for good is passed over, never waited for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams.flow.events import decode_block
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, PARCEL_CONTEXT
from streams.kafka.broker import Broker
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings

pytestmark = pytest.mark.broker
PATIENCE = 40.0


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Topics have one name, and these tests cut them short: no broker to share."""
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        yield own


@pytest.fixture
def settings(own_broker: Broker, tmp_path: Path, app_id: str) -> Settings:
    made = Settings(broker=own_broker.bootstrap, partitions=1, app_id=app_id, data_dir=tmp_path / "data")
    ring = Keyring()
    ring.add_carrier("vnx")
    ring.save(made.keys_path)
    ensure_topics(made)
    return made


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "PARCELWATCH_BROKER": settings.broker,
        "PARCELWATCH_APP_ID": settings.app_id,
        "PARCELWATCH_PARTITIONS": str(settings.partitions),
        "PARCELWATCH_DATA_DIR": str(settings.data_dir),
        "PARCELWATCH_HTTP_PORT": "0",
    }


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker process; it must end well when told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from streams.cli import main; main()", "worker",
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(settings),
    )  # fmt: skip
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def access(number: int) -> bytes:
    event = {"time": datetime.now(UTC).isoformat(), "carrier": "vnx", "actor": "a1", "action": "view"}
    return json.dumps({**event, "parcels": [f"P{number}"]}).encode()


async def parcels_until(settings: Settings, last: int) -> list[int]:
    """The numbers of the parcels whose touches come out of relate, until that of the last one does."""
    cipher = Keyring.load(settings.keys_path).cipher("vnx")
    numbers = {cipher.parcel(f"P{number}"): number for number in range(last + 1)}
    async with (
        AIOKafkaConsumer(bootstrap_servers=settings.broker, auto_offset_reset="earliest") as consumer,
        asyncio.timeout(PATIENCE),
    ):
        consumer.assign([TopicPartition(ACTOR_LOG, 0)])
        found: list[int] = []
        while last not in found:
            record: Any = await consumer.getone()
            touches = decode_block(record.value).touches
            found += [numbers[touch.parcel] for touch in touches if touch.parcel in numbers]
    return found


async def labelled(settings: Settings, wanted: int) -> int:
    """Wait until that many touches have come out of relate; one sent twice counts once."""
    async with (
        AIOKafkaConsumer(bootstrap_servers=settings.broker, auto_offset_reset="earliest") as consumer,
        asyncio.timeout(PATIENCE),
    ):
        consumer.assign([TopicPartition(ACTOR_LOG, 0)])
        found: set[tuple[int, int, int]] = set()
        while len(found) < wanted:
            record: Any = await consumer.getone()
            found |= {(row.src, row.off, row.idx) for row in decode_block(record.value).touches}
    return len(found)


async def test_a_source_whose_records_have_all_expired_holds_nothing_up(settings: Settings) -> None:
    """As when a carrier has sent before parcelwatch was there, and not since."""
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        sent = await producer.send_and_wait(PARCEL_CONTEXT, b"{}", partition=0)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
        await admin.start()
        await admin.delete_records({TopicPartition(PARCEL_CONTEXT, 0): RecordsToDelete(sent.offset + 1)})
        await admin.close()
        await producer.send_and_wait(ACCESS_EVENTS, access(1), partition=0)
    async with working(settings):
        assert await labelled(settings, 1) == 1


async def test_the_marks_of_a_senders_transactions_hold_nothing_up_and_lose_nothing(
    settings: Settings,
) -> None:
    """A mark takes an offset and is no record: one may end the log, others stand between batches."""
    async with working(settings):
        async with AIOKafkaProducer(
            bootstrap_servers=settings.broker, transactional_id=settings.app_id
        ) as producer:
            for number in range(20):
                async with producer.transaction():
                    await producer.send(ACCESS_EVENTS, access(number), partition=0)
                await asyncio.sleep(0.25)  # each fetched on its own: the pace is what is tested
        assert await labelled(settings, 20) == 20


async def test_what_a_sender_took_back_is_not_admitted_and_holds_nothing_up(settings: Settings) -> None:
    """An aborted transaction was never sent, one that is still open may yet be."""
    async with working(settings):
        async with AIOKafkaProducer(
            bootstrap_servers=settings.broker, transactional_id=settings.app_id
        ) as producer:
            for number in range(100, 110):
                await producer.begin_transaction()
                await producer.send_and_wait(ACCESS_EVENTS, access(number), partition=0)
                await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
            await parcels_until(settings, 108)
            await producer.begin_transaction()
            await producer.send_and_wait(ACCESS_EVENTS, access(110), partition=0)
            await producer.commit_transaction()
        found = await parcels_until(settings, 110)
        assert [number for number in found if number >= 100] == [100, 102, 104, 106, 108, 110]


async def test_of_two_workers_with_one_worker_id_none_writes_on_beside_the_other(settings: Settings) -> None:
    """Kafka gives a static member's place to whoever asks last: both would take it from each other for ever."""

    async def start(number: int) -> asyncio.subprocess.Process:
        env = {**environment(settings), "PARCELWATCH_WORKER_ID": "same"}
        env["PARCELWATCH_KEYS_FILE"] = str(settings.keys_path)
        env["PARCELWATCH_DATA_DIR"] = str(settings.data_dir / str(number))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from streams.cli import main; main()", "worker",
            stderr=asyncio.subprocess.PIPE, env=env,
        )  # fmt: skip

    first = await start(1)
    assert first.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while b"worker started" not in await first.stderr.readline():
            pass
        second = await start(2)
        try:
            _, said = await first.communicate()
            assert first.returncode == 70
            assert b"PARCELWATCH_WORKER_ID" in said
        finally:
            for process in (first, second):
                if process.returncode is None:
                    process.kill()
                await process.communicate()
