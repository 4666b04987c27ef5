"""Real webhook receivers and a running tell, for the tests of `streams.tell.service` and what belongs to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from standardwebhooks import Webhook

from streams.flow.topics import ALERTS
from streams.receivers import WebhookReceiver
from streams.settings import Settings
from streams.sinks import Delivery, Outcome, Sink, open_sinks
from streams.sinks.webhook import WebhookSink
from streams.tell import courier
from streams.tell import service as tell
from streams.tell.deliveries import Entry, Outbox
from streams.tell.service import Tell

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PAYLOAD = '{"finding_info":{"uid":"u1"},"message":"Đã xem 300 bưu gửi"}'
DELIVERY = Delivery(
    id="u1-1",
    uid="u1",
    type="parcelwatch.alert.created",
    occurred=1_795_000_000_123,
    recorded=1_795_000_001.0,
    body=PAYLOAD.encode(),
)
#: Where no broker is: these tests hand records over themselves.
NO_BROKER = "127.0.0.1:1"
#: What a receiver's `allow` names in tests, whose servers run on this machine.
LOCAL = ("127.0.0.0/8", "::1")


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


@contextlib.asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    """Starts real receivers for a test; tell's farewells and gauges are quicker than in production."""
    monkeypatch.setattr(courier, "GRACE", 0.1)
    monkeypatch.setattr(tell, "REFRESH", 0.02)
    monkeypatch.setattr(tell, "PROBE", 0.1)
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
                name: WebhookReceiver(url=SecretStr(hook.url), secret=SecretStr(SECRET), allow=LOCAL)
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


def environment(tmp_path: Path, hook: Hook, **more: str) -> dict[str, str]:
    return {
        "PARCELWATCH_DATA_DIR": str(tmp_path),
        "PARCELWATCH_BROKER": NO_BROKER,
        "PARCELWATCH_TELL_HTTP_PORT": "-1",
        "PARCELWATCH_RECEIVERS__SOC__URL": hook.url,
        "PARCELWATCH_RECEIVERS__SOC__SECRET": SECRET,
        "PARCELWATCH_RECEIVERS__SOC__ALLOW": ",".join(LOCAL),
        **more,
    }


def sink(url: str, *, allow: tuple[str, ...] = LOCAL, timeout: float = 5.0, **more: object) -> WebhookSink:
    receiver = WebhookReceiver(url=SecretStr(url), secret=SecretStr(SECRET), allow=allow, timeout=timeout)
    return WebhookSink("soc", receiver, **more)  # type: ignore[arg-type]  # only ever a clock


async def attempt(sink: Sink, delivery: Delivery = DELIVERY) -> Outcome:
    """What becomes of one delivery by itself."""
    [outcome] = await sink.deliver([delivery])
    return outcome
