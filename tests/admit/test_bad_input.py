"""Whatever a carrier sends is admitted with a named correction or rejected with a reason; nothing crashes or leaks."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.admit.validate import CORRECTIONS, REMEDIES
from streams.demo.players import Child, WorkerView
from streams.flow.topics import ACCESS_EVENTS, LARGEST_VALUE, PARCEL_CONTEXT, REJECTED, STAFF_DIRECTORY
from streams.history.pipeline import Pipeline
from streams.kafka.broker import Broker
from streams.kafka.broker_config import free_port
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from tests.bad_input import NOW, SECRET, Case, cases

DIRECTORY = orjson.dumps({"carrier": "vnx", "actor": "nv1", "role": "clerk", "status": "active"})
CASES = cases()
DOC = Path(__file__).parents[2] / "docs" / "events.md"


def keyring() -> Keyring:
    keys = Keyring()
    keys.add_carrier("vnx")
    return keys


def pipeline() -> Pipeline:
    made = Pipeline(keyring(), partitions=1, arrived=lambda: int(NOW.timestamp() * 1000))
    made.feed(STAFF_DIRECTORY, [DIRECTORY])
    return made


def outcome(counts: dict[str, int]) -> str:
    """What the counts of a single record say, as the table words it."""
    assert counts["received"] == counts["admitted"] + counts["rejected"] + counts["duplicate"] == 1
    [what] = [name for name in ("admitted", "rejected", "duplicate") if counts[name]]
    return ", ".join([what, *(name.partition("/")[2] for name, n in counts.items() if n and "/" in name)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_gets_what_the_documentation_says(case: Case) -> None:
    assert f"| {case.name} | {case.outcome} |" in DOC.read_text()
    ours = pipeline()
    if case.outcome == "duplicate":
        ours.feed(ACCESS_EVENTS, [case.value])
    before = ours.counts()[ACCESS_EVENTS]
    ours.feed(ACCESS_EVENTS, [case.value])
    ours.finish()
    after = ours.counts()[ACCESS_EVENTS]
    assert outcome({name: n - before.get(name, 0) for name, n in after.items()}) == case.outcome


def test_all_in_one_batch_get_what_each_gets_alone() -> None:
    ours = pipeline()
    ours.feed(ACCESS_EVENTS, [case.value for case in CASES])
    ours.finish()
    counts = ours.counts()[ACCESS_EVENTS]
    expected = Counter(case.outcome.replace(", ", "/").replace("admitted/", "corrected/") for case in CASES)
    assert {name: n for name, n in counts.items() if "/" in name and n} == {
        name: n for name, n in expected.items() if "/" in name
    }
    assert counts["received"] == len(CASES)
    assert counts["received"] == counts["admitted"] + counts["rejected"] + counts["duplicate"]


def test_a_value_too_large_alone_is_too_large_among_small_ones() -> None:
    [large] = [case for case in CASES if case.name == "10 MB of parcels"]
    ours = pipeline()
    ours.feed(
        ACCESS_EVENTS, [case.value for case in CASES if case.outcome == "admitted"] * 10 + [large.value]
    )
    assert ours.counts()[ACCESS_EVENTS]["rejected/too_large"] == 1


def test_a_rejection_says_what_to_do_and_nothing_of_the_content() -> None:
    ours = pipeline()
    ours.feed(ACCESS_EVENTS, [case.value for case in CASES])
    rejections = [orjson.loads(record.value or b"") for record in ours.rejected]
    assert len(rejections) == sum(case.outcome.startswith("rejected") for case in CASES)
    for rejection in rejections:
        assert rejection["remedy"] == REMEDIES[rejection["reason"]]
        assert rejection["detail"]
        del rejection["sealed"]
        assert SECRET not in str(rejection)


def test_every_reason_and_correction_has_a_case() -> None:
    named = {case.outcome.partition(", ")[2] for case in CASES}
    others = {"unknown_kind", "invalid_control", "not_this_format", "batch"}
    assert {*REMEDIES, *CORRECTIONS} - named == others, (
        "only of other topics and formats: tested below, in test_control and in tests/formats"
    )


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (PARCEL_CONTEXT, b'{"time":"2026-11-18T08:00:00Z","carrier":"vnx","parcel":"P","kind":""}', "unknown_kind"),
        (PARCEL_CONTEXT, b'{"time":"2026-11-18T08:00:00Z","carrier":"vnx","kind":"call"}', "missing_field"),
        (PARCEL_CONTEXT, None, "null_value"),
        (STAFF_DIRECTORY, b'{"carrier":"vnx"}', "missing_field"),
        (STAFF_DIRECTORY, b'{"carrier":"other","actor":"nv1"}', "unknown_carrier"),
        (STAFF_DIRECTORY, b'{"carrier":"vnx","actor":"nv1","shifts":"06-14"}', "wrong_type"),
    ],
)  # fmt: skip
def test_context_and_directory_are_held_to_their_contracts_too(
    topic: str, value: bytes | None, reason: str
) -> None:
    ours = pipeline()
    ours.feed(topic, [value])
    assert ours.counts()[topic][f"rejected/{reason}"] == 1


def test_a_null_value_in_the_directory_removes_a_person() -> None:
    ours = pipeline()
    ours.append((STAFF_DIRECTORY, 0), b"vnx/nv1", None)
    ours.flow()
    assert ours.counts()[STAFF_DIRECTORY].get("rejected", 0) == 0


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of our own: the worker uses the topics under their true names."""
    data_dir = tmp_path_factory.mktemp("worker")
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        made = Settings(broker=own.bootstrap, partitions=1, data_dir=data_dir)
        ensure_topics(made)
        yield made


@pytest.mark.broker
async def test_a_worker_survives_them_all_and_accounts_for_each(settings: Settings) -> None:
    keyring().save(settings.keys_path)
    sent = cases(datetime.now(UTC).replace(microsecond=0))
    async with AIOKafkaProducer(
        bootstrap_servers=settings.broker, max_request_size=LARGEST_VALUE, compression_type="lz4"
    ) as producer:
        await producer.send_and_wait(STAFF_DIRECTORY, DIRECTORY, key=b"vnx/nv1")
        for case in sent:
            await producer.send_and_wait(ACCESS_EVENTS, case.value, key=b"nv1")
    port = free_port()
    log = settings.data_dir / "worker.log"
    environment = {
        "PARCELWATCH_BROKER": settings.broker,
        "PARCELWATCH_PARTITIONS": "1",
        "PARCELWATCH_DATA_DIR": str(settings.data_dir),
        "PARCELWATCH_HTTP_PORT": str(port),
        "PARCELWATCH_LOG_LEVEL": "debug",
    }
    async with Child("worker", log, environment).running(), aiohttp.ClientSession() as session:
        view = WorkerView(session, f"http://127.0.0.1:{port}")
        async with asyncio.timeout(60):
            while not await view.ready() or (await view.counts())[0][ACCESS_EVENTS]["received"] < len(sent):  # noqa: ASYNC110  # another process sets no event
                await asyncio.sleep(0.1)
        counts, _ = await view.counts()
        expected = Counter(case.outcome.partition(",")[0] for case in sent)
        assert counts[ACCESS_EVENTS] == expected + Counter(received=len(sent))
    async with AIOKafkaConsumer(bootstrap_servers=settings.broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(REJECTED, 0)])
        reasons: Counter[str] = Counter()
        async with asyncio.timeout(30):
            while reasons.total() < expected["rejected"]:
                record = await consumer.getone()
                reasons[orjson.loads(record.value)["reason"]] += 1
    assert reasons == Counter(c.outcome.partition(", ")[2] for c in sent if c.outcome.startswith("rejected"))
    said = log.read_text()
    assert re.search("worker started", said), "a silent log would prove nothing"
    assert SECRET not in said
