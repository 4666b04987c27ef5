"""Every alert reaches every receiver, once and at that receiver's own pace."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaProducer, ConsumerRecord
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from streams import courier, tell
from streams.broker import Broker
from streams.cli import main
from streams.commands.tell import only_one
from streams.courier import LONGEST_STEP
from streams.deliveries import Entry, Outbox
from streams.settings import Receiver, Settings
from streams.sinks import Delivery, Outcome, Sink, open_sinks
from streams.tell import Tell, UnreadableAlertError, read_alert
from streams.topic_admin import ensure_topics
from streams.topics import ALERTS

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
#: Where no broker is: these tests hand records over themselves.
NO_BROKER = "127.0.0.1:1"


def alert(uid: str, activity: int = 1) -> bytes:
    body = {
        "activity_id": activity,
        "time": 1_795_000_000_000,
        "finding_info": {"uid": uid},
        "message": "Đã xem",
    }
    return json.dumps(body, ensure_ascii=False).encode()


def record(
    value: bytes | None, ce_id: bytes | None, *, offset: int = 0, timestamp: float | None = None
) -> ConsumerRecord[Any, Any]:
    stamp = int((time.time() if timestamp is None else timestamp) * 1000)
    headers = [] if ce_id is None else [("ce_id", ce_id)]
    return ConsumerRecord(ALERTS, 0, offset, stamp, 0, None, value, None, 0, 0, headers)


def alerts(*ids: str) -> list[ConsumerRecord[Any, Any]]:
    return [record(alert(id_.partition("-")[0]), id_.encode()) for id_ in ids]


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()  # the library that verifies compares with the real time

    def __call__(self) -> float:
        return self.now


class Hook:
    """A real webhook receiver: verifies what it gets, and answers as it is told to."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[web.Response] = []
        self.otherwise = 200
        self.hanging = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(Webhook(SECRET).verify(body, dict(request.headers)))
        self.ids.append(request.headers["webhook-id"])
        if self.hanging:
            await asyncio.Event().wait()
        return self.answers.pop(0) if self.answers else web.Response(status=self.otherwise)


Hooks = Callable[[], Awaitable[Hook]]


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with contextlib.AsyncExitStack() as stack:

        async def start() -> Hook:
            hook = Hook()
            app = web.Application()
            app.router.add_post("/hook", hook.handle)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            hook.url = str(server.make_url("/hook"))
            return hook

        yield start


class Running:
    """A tell that runs, over a clock that stands still until it is moved."""

    def __init__(
        self, data_dir: Path, receivers: dict[str, Hook | Sink], broker: str = NO_BROKER, app_id: str = "t"
    ) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.path = data_dir / "deliveries.sqlite"
        settings = Settings(
            broker=broker,
            app_id=app_id,
            data_dir=data_dir,
            receivers={
                name: Receiver(url=hook.url, secret=SecretStr(SECRET), allow_private=True)
                for name, hook in receivers.items()
                if isinstance(hook, Hook)
            },
        )
        sinks = open_sinks(settings) | {n: sink for n, sink in receivers.items() if isinstance(sink, Sink)}
        self.tell = Tell(
            settings, sinks, Outbox(self.path), self.registry, clock=self.clock, jitter=lambda: 1.0
        )
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.tell.run(self.stop))

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.task

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.tell.wake()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"parcelwatch_tell_{name}", labels)

    def entries(self, receiver: str = "soc") -> list[Entry]:
        # A connection of its own: the one of tell belongs to another thread.
        with closing(Outbox(self.path)) as reader:
            return reader.entries(receiver)

    def states(self, receiver: str = "soc") -> dict[str, str]:
        return {entry.id: entry.state for entry in self.entries(receiver)}

    def answers(self, receiver: str = "soc") -> dict[str, str]:
        return {entry.id: entry.answer for entry in self.entries(receiver)}


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # most conditions are in a file, which sets no event
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Farewells and gauges need not take as long here as in production."""
    monkeypatch.setattr(courier, "GRACE", 0.1)
    monkeypatch.setattr(tell, "REFRESH", 0.02)
    monkeypatch.setattr(tell, "PROBE", 0.1)


async def test_an_alert_is_delivered_once_to_each_receiver(hooks: Hooks, tmp_path: Path) -> None:
    soc, siem = await hooks(), await hooks()
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take([record(alert("a", 2), b"a-2")])
        await until(lambda: running.states() == running.states("siem") == {"a-2": "delivered"})
    assert soc.ids == siem.ids == ["a-2"]
    assert soc.bodies[0]["type"] == "parcelwatch.alert.updated"
    assert soc.bodies[0]["data"] == json.loads(alert("a", 2))
    assert running.metric("deliveries_total", receiver="soc", outcome="delivered") == 1
    assert running.metric("alerts_total") == 1


async def test_duplicates_in_the_topic_are_delivered_once(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1", "a-1", "b-1"))
        await running.tell.take(alerts("a-1"))
        await until(lambda: list(running.states().values()) == ["delivered", "delivered"])
    assert sorted(soc.ids) == ["a-1", "b-1"]
    assert running.metric("duplicates_total") == 2


async def test_a_failed_attempt_is_repeated_under_the_same_id(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.answers = [web.Response(status=500), web.Response(status=500)]
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.answers() == {"a-1": "HTTP 500"})
        running.later(4.9)
        running.later(0.2)  # 5 s after the first
        await until(lambda: len(soc.ids) == 2)
        await until(lambda: running.metric("attempts_total", receiver="soc") == 2)
        running.later(10.1)
        await until(lambda: running.states() == {"a-1": "delivered"})
    assert soc.ids == ["a-1"] * 3
    assert soc.bodies[0] == soc.bodies[2]


async def test_nothing_is_tried_before_its_time(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.answers = [web.Response(status=500)]
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.answers() == {"a-1": "HTTP 500"})
        running.later(4.9)
        await running.tell.take(alerts("b-1"))  # a later turn of the same courier
        await until(lambda: running.states().get("b-1") == "delivered")
    assert soc.ids == ["a-1", "b-1"]


@pytest.mark.parametrize(("asked", "waits"), [("120", 120.0), ("999999", LONGEST_STEP)])
async def test_retry_after_holds_the_whole_receiver(
    hooks: Hooks, tmp_path: Path, asked: str, waits: float
) -> None:
    """A receiver that asks to be left alone is, also with other alerts, but for an hour at the most."""
    soc, siem = await hooks(), await hooks()
    soc.answers = [web.Response(status=429, headers={"Retry-After": asked})]
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.metric("attempts_total", receiver="soc") == 1)
        await until(lambda: "429" in running.answers()["a-1"])
        running.later(waits - 1)
        await running.tell.take(alerts("b-1"))
        await until(lambda: running.states("siem") == {"a-1": "delivered", "b-1": "delivered"})
        assert soc.ids == ["a-1"]
        running.later(2)
        await until(lambda: running.states() == {"a-1": "delivered", "b-1": "delivered"})


async def test_an_alert_is_given_up_after_a_day_kept_and_resent(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.otherwise = 500
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1"))
        for attempts in range(1, 100):
            await until(lambda n=attempts: running.entries()[0].attempts == n)  # type: ignore[misc]  # bound early
            if running.states() == {"a-1": "undelivered"}:
                break
            running.later(LONGEST_STEP)
        assert running.clock.now - running.entries()[0].since == pytest.approx(86_400, abs=LONGEST_STEP)
        assert running.answers() == {"a-1": f"given up after {attempts} attempts: HTTP 500"}
        await until(lambda: running.metric("undelivered", receiver="soc") == 1)
        soc.otherwise = 200
        with closing(Outbox(running.path)) as other:  # as `parcelwatch tell resend` does
            assert other.resend(running.clock.now, ["soc"]) == 1
        await until(lambda: running.states() == {"a-1": "delivered"})
    assert running.metric("deliveries_total", receiver="soc", outcome="undelivered") == 1


async def test_gone_disables_the_receiver_and_keeps_its_alerts(hooks: Hooks, tmp_path: Path) -> None:
    soc, siem = await hooks(), await hooks()
    soc.answers = [web.Response(status=410)]
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.metric("receiver_disabled", receiver="soc") == 1)
        await running.tell.take(alerts("b-1"))
        await until(lambda: running.states("siem") == {"a-1": "delivered", "b-1": "delivered"})
        assert running.states() == {"a-1": "undelivered", "b-1": "undelivered"}
        assert all("HTTP 410" in answer for answer in running.answers().values())
    assert soc.ids == ["a-1"]
    assert running.metric("receiver_disabled", receiver="siem") == 0


async def test_a_private_address_is_refused_at_once_and_the_alert_kept(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    settings = Settings(receivers={"soc": Receiver(url=soc.url, secret=SecretStr(SECRET))})
    async with Running(tmp_path, dict(open_sinks(settings))) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.states() == {"a-1": "undelivered"})
        assert "allow_private" in running.answers()["a-1"]
    assert soc.ids == []


async def test_a_hanging_receiver_delays_no_other(hooks: Hooks, tmp_path: Path) -> None:
    dead, soc = await hooks(), await hooks()
    dead.hanging = True
    ids = [f"e{n}-1" for n in range(50)]
    async with Running(tmp_path, {"dead": dead, "soc": soc}) as running:
        await running.tell.take(alerts(*ids))
        await until(lambda: set(running.states().values()) == {"delivered"})
        assert set(running.states("dead").values()) == {"pending"}
    assert sorted(soc.ids) == sorted(ids)
    assert len(dead.ids) == 4  # no more than that at a time


async def test_a_sink_that_breaks_delays_no_other_and_says_nothing_private(
    hooks: Hooks, tmp_path: Path
) -> None:
    class Broken(Sink):
        name = "broken"
        give_up_after = 60.0

        async def deliver(self, delivery: Delivery) -> Outcome:
            raise KeyError("0901234567")

    soc = await hooks()
    with capture_logs() as logged:
        async with Running(tmp_path, {"broken": Broken(), "soc": soc}) as running:
            await running.tell.take(alerts("a-1"))
            await until(lambda: running.states() == {"a-1": "delivered"})
            await until(lambda: running.answers("broken") == {"a-1": "internal error: KeyError"})
    assert "0901234567" not in repr(logged)


async def test_messages_of_an_episode_arrive_in_order(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    ids = [f"{uid}-{n}" for n in range(1, 9) for uid in "abc"]
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts(*ids))
        await until(lambda: set(running.states().values()) == {"delivered"})
    for uid in "abc":
        assert [i for i in soc.ids if i[0] == uid] == [f"{uid}-{n}" for n in range(1, 9)]


async def test_what_was_under_way_at_the_end_is_delivered_after_a_restart(
    hooks: Hooks, tmp_path: Path
) -> None:
    """Cut off before an attempt and in the middle of one: the same ids arrive afterwards."""
    soc = await hooks()
    soc.hanging = True
    running = Running(tmp_path, {"soc": soc})
    await running.tell.take(alerts(*(f"e{n}-1" for n in range(6))))
    await until(lambda: len(soc.ids) == 4)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert set(running.states().values()) == {"pending"}
    soc.hanging = False
    async with Running(tmp_path, {"soc": soc}) as again:
        await until(lambda: set(again.states().values()) == {"delivered"})
    assert sorted(set(soc.ids)) == [f"e{n}-1" for n in range(6)]


async def test_the_delay_runs_from_the_topic_to_the_answer(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take([record(alert("a"), b"a-1", timestamp=running.clock.now - 7)])
        await until(lambda: running.states() == {"a-1": "delivered"})
        await until(lambda: running.metric("delivery_delay_seconds_count", receiver="soc") == 1)
        assert running.metric("delivery_delay_seconds_sum", receiver="soc") == pytest.approx(7, abs=0.01)


async def test_every_metric_of_a_receiver_is_there_from_the_start(hooks: Hooks, tmp_path: Path) -> None:
    async with Running(tmp_path, {"soc": await hooks()}) as running:
        for name in ("attempts_total", "pending", "undelivered", "oldest_pending_timestamp_seconds",
                     "receiver_disabled", "delivery_delay_seconds_count"):  # fmt: skip
            assert running.metric(name, receiver="soc") == 0, name
        for outcome in ("delivered", "undelivered"):
            assert running.metric("deliveries_total", receiver="soc", outcome=outcome) == 0


async def test_without_a_broker_the_outbox_is_still_delivered_and_readiness_says_so(
    hooks: Hooks, tmp_path: Path
) -> None:
    soc = await hooks()
    with closing(Outbox(tmp_path / "deliveries.sqlite")) as outbox:
        outbox.admit([read_alert(record(alert("a"), b"a-1"))], ["soc"], 0.0)
    async with Running(tmp_path, {"soc": soc}) as running:
        await until(lambda: running.states() == {"a-1": "delivered"})
        await until(lambda: "cannot read alerts" in running.tell.ready()[1])
        assert not running.tell.ready()[0]
        assert running.tell.healthy()[0]


@pytest.mark.parametrize(
    ("value", "ce_id", "said"),
    [
        (None, b"a-1", "value is no OCSF alert"),
        (b"", b"a-1", "value is no OCSF alert"),
        (b"0901234567", b"a-1", "value is no OCSF alert"),
        (b'{"activity_id":"0901234567"}', b"a-1", "value is no OCSF alert"),
        (b'{"activity_id":901234567,"time":1,"finding_info":{"uid":"u"}}', b"a-1", "activity_id"),
        (b'{"activity_id":1,"time":1e300,"finding_info":{"uid":"u"}}', b"a-1", "time"),
        (b'{"activity_id":1,"time":1,"finding_info":{"uid":""}}', b"a-1", "uid"),
        (b"[" * 100_000, b"a-1", "value is no OCSF alert"),
        (b'{"a":' * 100_000, b"a-1", "value is no OCSF alert"),
        (b'{"x":"\xff","activity_id":1,"time":1,"finding_info":{"uid":"u"}}', b"a-1", "UTF-8 at byte 6"),
        (alert("a"), None, "ce_id"),
        (alert("a"), b"a.1", "ce_id"),
        (alert("a"), b"a-1\r\nx: y", "ce_id"),
        (alert("a"), b"\xff", "ce_id"),
        (alert("a"), b"a" * 201, "ce_id"),
    ],
)
def test_a_record_that_is_no_alert_is_named_without_its_contents(
    value: bytes | None, ce_id: bytes | None, said: str
) -> None:
    with pytest.raises(UnreadableAlertError, match=said) as caught:
        read_alert(record(value, ce_id))
    assert "901234567" not in str(caught.value)


async def test_an_unreadable_record_is_counted_and_holds_nothing_up(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    with capture_logs() as logged:
        async with Running(tmp_path, {"soc": soc}) as running:
            await running.tell.take([record(b"0901234567", b"x-1", offset=41), *alerts("a-1")])
            await until(lambda: running.states() == {"a-1": "delivered"})
    assert running.metric("unreadable_total") == 1
    [line] = [entry for entry in logged if entry["event"].startswith("unreadable alert")]
    assert (line["topic"], line["partition"], line["offset"]) == (ALERTS, 0, 41)
    assert "0901234567" not in repr(logged)


async def test_no_log_line_holds_an_address_a_secret_or_a_body(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.url = soc.url.replace("http://", "http://user:hunter2@") + "?token=hunter3"
    soc.answers = [web.Response(status=500, text="hunter4"), web.Response(status=410)]
    with capture_logs() as logged:
        async with Running(tmp_path, {"soc": soc}) as running:
            await running.tell.take(alerts("a-1"))
            await until(lambda: running.answers() == {"a-1": "HTTP 500"})
            running.later(6)
            await until(lambda: running.states() == {"a-1": "undelivered"})
    text = repr(logged)
    assert "attempt failed" in text
    assert "hunter" not in text
    assert SECRET[6:] not in text
    assert "Đã xem" not in text


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of our own: the alerts topic has one name, and these tests read all of it."""
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=2))
        yield own


def environment(tmp_path: Path, hook: Hook, **more: str) -> dict[str, str]:
    return {
        "PARCELWATCH_DATA_DIR": str(tmp_path),
        "PARCELWATCH_BROKER": NO_BROKER,
        "PARCELWATCH_HTTP_PORT": "-1",
        "PARCELWATCH_RECEIVERS__SOC__URL": hook.url,
        "PARCELWATCH_RECEIVERS__SOC__SECRET": SECRET,
        "PARCELWATCH_RECEIVERS__SOC__ALLOW_PRIVATE": "true",
        **more,
    }


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
        receivers={"soc": Receiver(url=soc.url, secret=SecretStr(SECRET), allow_private=True)},
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


async def invoke(env: dict[str, str], *args: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, ["tell", *args])


async def test_a_test_message_is_signed_and_its_answer_shown(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    result = await invoke(environment(tmp_path, soc), "test", "soc")
    assert (result.exit_code, soc.bodies[0]["type"]) == (0, "parcelwatch.test")
    assert f"soc took {soc.ids[0]}: HTTP 200" in result.output
    soc.otherwise = 503
    result = await invoke(environment(tmp_path, soc), "test", "soc")
    assert result.exit_code == 1
    assert "HTTP 503" in result.output


async def test_undelivered_alerts_can_be_listed_and_resent(hooks: Hooks, tmp_path: Path) -> None:
    env = environment(tmp_path, await hooks())
    with closing(Outbox(tmp_path / "deliveries.sqlite")) as outbox:
        outbox.admit([read_alert(r) for r in alerts("a-1", "b-1")], ["soc"], 1.0)
        outbox.disable("soc", 2.0, "HTTP 410: the receiver wants no more alerts")
    result = await invoke(env, "list", "--state", "undelivered")
    assert result.exit_code == 0
    assert "disabled: HTTP 410" in result.output
    assert {"a-1", "b-1"} <= set(result.output.split())
    result = await invoke(env, "resend", "--id", "a-1")
    assert result.output == "1 deliveries will be tried again by `parcelwatch tell`.\n"
    assert "b-1" not in (await invoke(env, "list", "--state", "pending")).output
    assert (await invoke(env, "resend", "--all-undelivered")).exit_code == 0
    pending = await invoke(env, "list", "--receiver", "soc", "--state", "pending")
    assert {"a-1", "b-1"} <= set(pending.output.split())
    assert "disabled" not in pending.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["resend"], "give one of"),
        (["resend", "--receiver", "soc", "--all-undelivered"], "give one of"),
        (["resend", "--receiver", "siem"], "no receiver is called 'siem'; there are: soc"),
        (["test", "siem"], "no receiver is called 'siem'; there are: soc"),
        (["resend", "--all-undelivered"], "there is no outbox"),
        (["list"], "there is no outbox"),
    ],
)
async def test_a_mistaken_command_says_what_to_do(
    hooks: Hooks, tmp_path: Path, args: list[str], said: str
) -> None:
    result = await invoke(environment(tmp_path, await hooks()), *args)
    assert result.exit_code != 0
    assert said in result.output


async def test_tell_does_not_start_over_settings_that_would_lose_alerts(hooks: Hooks, tmp_path: Path) -> None:
    result = await invoke({"PARCELWATCH_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert "no receiver is set up; set PARCELWATCH_RECEIVERS__SOC__URL" in result.output
    short = "whsec_" + base64.b64encode(b"short").decode()
    result = await invoke(environment(tmp_path, await hooks(), PARCELWATCH_RECEIVERS__SOC__SECRET=short))
    assert result.exit_code == 1
    assert "receivers.soc.secret (not shown): holds 5 bytes" in result.output
    assert short[6:] not in result.output


async def test_a_second_tell_over_the_same_outbox_does_not_start(hooks: Hooks, tmp_path: Path) -> None:
    env = environment(tmp_path, await hooks())
    with only_one(tmp_path):
        result = await invoke(env)
    assert result.exit_code == 1
    assert "another `parcelwatch tell` already delivers" in result.output
