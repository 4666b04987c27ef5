"""A worker told of a format reads it from Kafka, headers and all, and accounts for every record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.demo.players import Child
from streams.flow.topics import ACCESS_EVENTS, REJECTED
from streams.kafka.broker import Broker
from streams.kafka.broker_config import free_port
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from tests.format_examples import HEADERS, NATIVE

EVENT = orjson.dumps({**NATIVE, "time": datetime.now(UTC).isoformat(timespec="milliseconds")})
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
ENVELOPE = {"specversion": "1.0", "id": "e2", "source": "/tms", "type": "t", "data": orjson.Fragment(EVENT)}
SENT = [
    (EVENT, HEADERS),
    (EVENT, HEADERS),
    (orjson.dumps(ENVELOPE), STRUCTURED),
    (b"[]", [("content-type", b"application/cloudevents-batch+json")]),
    (EVENT, []),
    (None, HEADERS),
]
EXPECTED = {
    "records_received_total": 6, "records_admitted_total": 2, "records_duplicate_total": 1,
    "records_rejected_total": 3,
}  # fmt: skip


@pytest.mark.broker
async def test_a_worker_reads_cloudevents_in_both_modes_and_rejects_the_rest_by_name(tmp_path: Path) -> None:
    keys = Keyring()
    keys.add_carrier("vnx")
    with Broker(tmp_path / "broker") as own:
        settings = Settings(broker=own.bootstrap, partitions=1, data_dir=tmp_path)
        ensure_topics(settings)
        keys.save(settings.keys_path)
        async with AIOKafkaProducer(bootstrap_servers=settings.broker) as producer:
            for value, headers in SENT:
                await producer.send_and_wait(ACCESS_EVENTS, value, key=b"nv0231", headers=headers)
        port = free_port()
        environment = {
            "PARCELWATCH_BROKER": settings.broker,
            "PARCELWATCH_PARTITIONS": "1",
            "PARCELWATCH_DATA_DIR": str(tmp_path),
            "PARCELWATCH_HTTP_PORT": str(port),
            "PARCELWATCH_INPUT_FORMAT": "cloudevents",
        }
        async with (
            Child("worker", tmp_path / "log", environment).running(),
            aiohttp.ClientSession() as session,
        ):
            async with asyncio.timeout(120):
                while await _counted(session, port) != EXPECTED:  # noqa: ASYNC110  # another process sets no event
                    await asyncio.sleep(0.1)
        assert await _reasons(settings, 3) == ["batch", "not_this_format", "null_value"]


async def _counted(session: aiohttp.ClientSession, port: int) -> dict[str, int]:
    try:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
    except aiohttp.ClientConnectionError:
        return {}
    counts = dict.fromkeys(EXPECTED, 0)
    for line in lines:
        name, _, rest = line.removeprefix("parcelwatch_").partition("{")
        if name in counts and f'topic="{ACCESS_EVENTS}"' in rest:
            counts[name] += int(float(rest.rpartition(" ")[2]))
    return counts


async def _reasons(settings: Settings, number: int) -> list[str]:
    async with AIOKafkaConsumer(bootstrap_servers=settings.broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(REJECTED, 0)])
        async with asyncio.timeout(30):
            return [orjson.loads((await consumer.getone()).value)["reason"] for _ in range(number)]
