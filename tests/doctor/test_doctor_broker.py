"""The doctor on a real broker: green when all is well, red with the number and the remedy when nobody
consumes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import ConsumerRebalanceListener
from pydantic import SecretStr

from streams.doctor import Check, Status, examine
from streams.doctor.kafka import WORKER_TOPICS
from streams.flow.topics import ACCESS_EVENTS, ALERTS
from streams.kafka.broker import Broker
from streams.kafka.topic_admin import admin_client, ensure_topics
from streams.monitoring.health import serve
from streams.monitoring.metrics import Metrics, new_registry
from streams.privacy.tokens import Keyring
from streams.receivers import WebhookReceiver
from streams.settings import Settings
from streams.tell.deliveries import Outbox
from tests.receivers import LOCAL


def ready() -> tuple[bool, str]:
    return True, "2 partitions"


def ask(settings: Settings) -> dict[str, Check]:
    outbox = settings.data_dir / "deliveries.sqlite"
    return {check.name: check for check in examine(settings, outbox, timeout=5.0)}


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of these tests alone: the doctor looks at topics by their real names, which others use as
    well."""
    with Broker(tmp_path_factory.mktemp("doctor-broker")) as broker:
        yield broker


@pytest.fixture
async def live(own_broker: Broker, tmp_path: Path, app_id: str) -> Settings:
    """A deployment on a real broker with three access events waiting and its topics made."""
    ring = Keyring()
    ring.add_carrier("vnx")
    ring.save(tmp_path / "keys.toml")
    settings = Settings(
        broker=own_broker.bootstrap, app_id=app_id, data_dir=tmp_path, http_port=1, partitions=2
    )
    ensure_topics(settings)
    async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
        for _ in range(3):
            await producer.send_and_wait(ACCESS_EVENTS, b"{}", partition=1)
    return settings


class Joined(ConsumerRebalanceListener):  # type: ignore[misc] - aiokafka has no types
    """Says when a consumer has its partitions."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Nothing is held."""

    async def on_partitions_assigned(self, assigned: object) -> None:
        self.event.set()


async def member(settings: Settings, group: str, topics: tuple[str, ...]) -> AIOKafkaConsumer:
    """A live member of the group that has consumed and committed everything there is."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    joined = Joined()
    consumer.subscribe(topics, listener=joined)
    await consumer.start()
    await asyncio.wait_for(joined.event.wait(), 30)
    await consumer.commit(await consumer.end_offsets(consumer.assignment()))
    return consumer


@pytest.mark.broker
async def test_all_is_green_when_all_is_well_and_the_dead_group_is_named_afterwards(live: Settings) -> None:
    registry = new_registry()
    Metrics(registry).stage["detect"].checkpointed(0.1, time.time())
    Outbox(live.data_dir / "deliveries.sqlite").close()
    members = [
        await member(live, live.app_id, WORKER_TOPICS),
        await member(live, f"{live.app_id}-tell", (ALERTS,)),
    ]
    async with serve("127.0.0.1", 0, registry, ready, ready) as endpoint:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            receiver = WebhookReceiver(
                url=SecretStr(url), secret=SecretStr("whsec_" + "c2VjcmV0" * 5), allow=LOCAL
            )
            well = {"receivers": {"soc": receiver}, "http_port": endpoint.port}
            checks = await asyncio.to_thread(ask, live.model_copy(update=well))
    for consumer in members:
        await consumer.stop()
    assert [check for check in checks.values() if check.status is not Status.GREEN] == []
    assert checks["topics"].detail == "all 11 as needed"
    assert checks["worker group"].detail == f"1 live in group {live.app_id}"
    assert checks["lag access-events"].detail == "0 records behind"
    gone = await asyncio.to_thread(ask, live)
    assert gone["worker group"].status is Status.RED
    assert gone["worker group"].remedy == "start one: `parcelwatch worker`"


@pytest.mark.broker
async def test_records_nobody_consumes_are_red_with_their_number(live: Settings) -> None:
    checks = await asyncio.to_thread(ask, live)
    with admin_client(live) as admin:
        version = admin.get_broker_version_data(1).broker_version
    assert checks["broker"].detail == f"Kafka {version[0]}.{version[1]} at {live.broker}, 1 broker"
    assert checks["worker group"].status is Status.YELLOW
    lag = checks["lag access-events"]
    assert lag.status is Status.RED
    waiting = int(lag.detail.split()[0])
    assert waiting >= 3
    assert lag.detail.endswith("records behind and nobody consuming")
    assert checks["lag actor-log"].status is Status.GREEN


@pytest.mark.broker
async def test_missing_topics_are_named(live: Settings) -> None:
    checks = await asyncio.to_thread(ask, live.model_copy(update={"app_id": f"{live.app_id}x"}))
    assert checks["topics"].status is Status.RED
    assert checks["topics"].detail.startswith(f"missing: {live.app_id}x-admit-changelog")
    assert checks["topics"].remedy == "run `parcelwatch topics create`"
