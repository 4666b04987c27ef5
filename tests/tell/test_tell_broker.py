"""tell against a real broker: nothing is lost or doubled when tell, its disk or the broker fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from streams.flow.topics import ALERTS
from streams.kafka.broker import Broker
from streams.kafka.topic_admin import ensure_topics
from streams.receivers import WebhookReceiver
from streams.settings import Settings
from streams.sinks import open_sinks
from streams.tell.deliveries import Outbox
from streams.tell.service import Tell
from tests.receivers import (
    LOCAL,
    SECRET,
    Hooks,
    Running,
    alert,
    alerts,
    environment,
    serving,
    until,
)


@pytest.fixture
async def hooks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    async with serving(monkeypatch) as start:
        yield start


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of our own: the alerts topic has one name, and these tests read all of it."""
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=2))
        yield own


@contextlib.asynccontextmanager
async def daemon(env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from streams.cli import main; main()",
        "tell",
        env={**os.environ, **env},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def produce(broker: Broker, *records: tuple[str, bytes], partition: int | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        for id_, value in records:
            key = id_.partition("-")[0].encode()
            headers = [("ce_id", id_.encode())]
            await producer.send_and_wait(ALERTS, value, key=key, partition=partition, headers=headers)
    finally:
        await producer.stop()


@pytest.mark.broker
async def test_from_the_topic_to_the_receiver_through_kill_9_and_a_forgotten_offset(
    hooks: Hooks, tmp_path: Path, own_broker: Broker, app_id: str
) -> None:
    """All arrive, none twice after its 2xx, whatever dies in between; SIGTERM ends it in seconds."""
    soc = await hooks()
    soc.hanging = True
    env = environment(tmp_path, soc, PARCELWATCH_BROKER=own_broker.bootstrap, PARCELWATCH_APP_ID=app_id)
    wanted = [f"{app_id}{n}-1" for n in range(8)]
    await produce(own_broker, *((id_, alert(id_[:-2])) for id_ in wanted), (wanted[0], alert(app_id + "0")))
    async with daemon(env) as process:
        await until(lambda: len(soc.ids) == 4)
        process.kill()
    cut_off = list(soc.ids)
    soc.hanging = False
    async with daemon(env) as process:
        await until(lambda: set(soc.ids) == set(wanted))
        await until(lambda: len(soc.ids) == len(cut_off) + len(wanted))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert time.monotonic() - began < 10
    # Another group finds no committed offset and reads the topic from its beginning.
    last = [f"{app_id}y-1", f"{app_id}z-1"]
    async with daemon({**env, "PARCELWATCH_APP_ID": app_id + "-again"}):
        for partition, id_ in enumerate(last):  # behind everything else in each partition
            await produce(own_broker, (id_, alert(id_[:-2])), partition=partition)
        await until(lambda: set(last) <= set(soc.ids))
    assert sorted(soc.ids) == sorted([*cut_off, *wanted, *last])


@pytest.mark.broker
async def test_a_broker_that_goes_away_and_returns_is_noticed_and_read_on(
    hooks: Hooks, tmp_path: Path, own_broker: Broker, app_id: str
) -> None:
    """Readiness tells the truth, and the outbox is delivered meanwhile."""
    soc = await hooks()
    async with Running(tmp_path, {"soc": soc}, own_broker.bootstrap, app_id) as running:
        await until(lambda: running.tell.ready()[0])
        await asyncio.to_thread(own_broker.stop)
        await until(lambda: "the broker does not answer" in running.tell.ready()[1])
        await running.tell.take(alerts(f"{app_id}a-1"))
        await until(lambda: f"{app_id}a-1" in soc.ids)
        await asyncio.to_thread(own_broker.start)
        await produce(own_broker, (f"{app_id}b-1", alert(app_id + "b")))
        await until(lambda: f"{app_id}b-1" in soc.ids)
        await until(lambda: running.tell.ready()[0])
        await until(lambda: running.metric("lag_records") == 0)


@pytest.mark.broker
async def test_an_offset_is_committed_only_after_its_alert_is_on_disk(
    hooks: Hooks, tmp_path: Path, own_broker: Broker, app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    soc = await hooks()
    settings = Settings(
        broker=own_broker.bootstrap, data_dir=tmp_path, app_id=app_id,
        receivers={"soc": WebhookReceiver(url=SecretStr(soc.url), secret=SecretStr(SECRET), allow=LOCAL)},
    )  # fmt: skip
    await produce(own_broker, (f"{app_id}-1", alert(app_id)))

    def full_disk(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "admit", full_disk)
        broken = Tell(settings, open_sinks(settings), Outbox(tmp_path / "a.sqlite"), CollectorRegistry())
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            await broken.run(asyncio.Event())
    async with Running(tmp_path, {"soc": soc}, own_broker.bootstrap, app_id) as mended:
        await until(lambda: f"{app_id}-1" in soc.ids)
        await until(lambda: mended.tell.ready() == (True, "reading alerts for 1 receiver"))
