"""Chat services by apprise: told once each, in bounded time, and their URLs kept secret."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from streams.receivers import AppriseReceiver
from streams.settings import SettingsError
from streams.sinks.chat import ChatSink
from tests.receivers import LOCAL
from tests.sinks.notices import TEST_MESSAGE, delivery

pytest.importorskip("apprise", reason="needs the extra chat: pip install 'parcelwatch[chat]'")

PASSWORD = "hunter2hunter2"


class Service:
    """A real HTTP server to which apprise's json:// posts."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.hanging = asyncio.Event()
        self.hanging.set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(json.loads(await request.read()))
        await self.hanging.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)


Start = Callable[[], Awaitable[Service]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services."""
    servers = []
    services = []

    async def begin() -> Service:
        service = Service()
        app = web.Application()
        app.router.add_post("/{tail:.*}", service.handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        services.append(service)
        service.url = f"json://user:{PASSWORD}@127.0.0.1:{server.port}/hook"
        return service

    yield begin
    for service in services:
        service.hanging.set()
    for server in servers:
        await server.close()


def chat(*urls: str, **more: Any) -> ChatSink:
    settings = {
        "kind": "apprise",
        "urls": tuple(map(SecretStr, urls)),
        "allow": LOCAL,
        "timeout": 5.0,
        **more,
    }
    return ChatSink("chat", AppriseReceiver(**settings))


async def test_a_service_is_told_in_the_receivers_language(start: Start) -> None:
    service = await start()
    sink = chat(service.url, language="vi")
    outcomes = [(await sink.deliver([message]))[0] for message in (delivery(1), delivery(3), TEST_MESSAGE)]
    assert {outcome.kind for outcome in outcomes} == {"delivered"}
    opened, closed, tested = service.bodies
    assert opened["title"] == "Cảnh báo rò rỉ mới, mức Cao: bulk_read"
    assert "Đã xem 280 bưu gửi mới trong 1 giờ." in opened["message"]
    assert "Nhân viên: k1.staff" in opened["message"]
    assert (opened["type"], closed["type"], tested["type"]) == ("failure", "info", "info")


@pytest.mark.parametrize("status", [302, 401, 429, 500])
async def test_a_service_that_does_not_take_it_is_tried_again(start: Start, status: int) -> None:
    service = await start()
    service.statuses = [status]
    sink = chat(service.url)
    [outcome] = await sink.deliver([delivery()])
    assert (outcome.kind, outcome.detail) == ("retry", "not taken by service 1 of 1")
    assert len(service.bodies) == 1  # no redirect was followed
    [again] = await sink.deliver([delivery()])
    assert again.kind == "delivered"


async def test_a_service_that_has_the_message_is_not_told_twice(start: Start) -> None:
    first, second = await start(), await start()
    second.statuses = [500]
    sink = chat(first.url, second.url)
    [outcome] = await sink.deliver([delivery()])
    assert (outcome.kind, outcome.detail) == ("retry", "not taken by service 2 of 2")
    [outcome] = await sink.deliver([delivery()])
    assert (outcome.kind, outcome.detail) == ("delivered", "taken by 2 of 2 services")
    assert (len(first.bodies), len(second.bodies)) == (1, 2)


async def test_a_service_that_hangs_is_given_up_in_time_and_not_told_twice(start: Start) -> None:
    service = await start()
    service.hanging.clear()
    sink = chat(service.url, timeout=0.3)
    outcomes = [await sink.deliver([delivery()]), await sink.deliver([delivery()])]
    assert {found.detail for [found] in outcomes} == {"not taken by every service within 0.3 s"}
    service.hanging.set()
    [late] = await sink.deliver([delivery(2)])
    assert late.kind == "delivered"
    # The attempt that was given up went on, and reached it after all.
    [again] = await sink.deliver([delivery()])
    assert again.kind == "delivered"
    assert len(service.bodies) == 2


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What reaches the root logger, whose handlers write it. (caplog listens to loggers that are silenced too.)"""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)


async def test_nothing_on_the_way_shows_a_url(
    start: Start, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    service = await start()
    service.statuses = [500]
    sink = chat(service.url)
    outcomes = [await sink.deliver([delivery()]) for _ in range(2)]
    outcomes.append(await chat(f"json://user:{PASSWORD}@127.0.0.1:1/").deliver([delivery()]))
    assert [found.kind for [found] in outcomes] == ["retry", "delivered", "retry"]
    out, err = capfd.readouterr()
    shown = f"{outcomes}{sink!r}{out}{err}{logged}"
    assert PASSWORD not in shown
    assert "127.0.0.1:1" not in shown


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_address_that_nobody_allowed_is_not_told(start: Start, host: str) -> None:
    service = await start()
    [outcome] = await chat(service.url.replace("127.0.0.1", host), allow=()).deliver([delivery()])
    assert outcome.kind == "refused"
    assert "receivers.chat.allow" in outcome.detail
    assert service.bodies == []


@pytest.mark.parametrize("scheme", ["gotify", "mmost", "ntfy", "matrix", "signal"])
async def test_a_server_of_ones_own_at_a_private_address_is_held_to_allow(start: Start, scheme: str) -> None:
    service = await start()
    path = "+14155552671/+14155552672" if scheme == "signal" else f"{PASSWORD}{'0' * 26}"
    url = service.url.replace("json://", f"{scheme}://").replace("/hook", f"/{path}")
    [outcome] = await chat(url, allow=()).deliver([delivery()])
    assert outcome.kind == "refused"
    assert service.bodies == []


@pytest.mark.parametrize(
    "url", [f"nosuch://{PASSWORD}@host/", "json://", f"tgram://{PASSWORD}", "no url at all"]
)
def test_a_url_apprise_does_not_know_stops_the_start_and_is_not_shown(url: str, logged: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"receivers\.chat\.urls, number 2 \(not shown\)") as caught:
        chat("json://soc.example.com", url)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in "".join(logged)


def test_without_the_extra_the_start_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SettingsError, match=r'pip install "parcelwatch\[chat\]"'):
        chat("json://soc.example.com")
