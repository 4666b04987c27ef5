"""What every kind of receiver keeps to, whatever it speaks: one test runs all of them through."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import get_args

import pytest
from structlog.testing import capture_logs

from streams.doctor import Status
from streams.doctor.network import check_receiver
from streams.receivers import Receiver
from streams.settings import load_settings
from streams.sinks import KINDS, Outcome, Sink, open_sinks
from tests.receivers import LOCAL, SECRET
from tests.sinks.notices import TEST_MESSAGE, delivery

HIDDEN = "hunter2hunter2"
#: What each kind needs besides `allow` and `timeout`; HOST and PORT stand for the server's.
SETTINGS: dict[str, dict[str, object]] = {
    "webhook": {"url": f"http://HOST:PORT/{HIDDEN}", "secret": SECRET},
    "alertmanager": {"url": "http://HOST:PORT", "token": HIDDEN},
    "splunk": {"url": "http://HOST:PORT", "token": HIDDEN},
    "elastic": {"url": f"http://u:{HIDDEN}@HOST:PORT"},
    "sentinel": {"url": "http://HOST:PORT", "authority": "http://HOST:PORT", "rule": "dcr-1", "tenant": "t",
                 "client_id": "c", "client_secret": HIDDEN},
    "pagerduty": {"url": "http://HOST:PORT", "routing_key": HIDDEN},
    "slack": {"url": f"http://HOST:PORT/{HIDDEN}"},
    "teams": {"url": f"http://HOST:PORT/?sig={HIDDEN}"},
    "thehive": {"url": "http://HOST:PORT", "api_key": HIDDEN},
    "syslog": {"host": "HOST", "port": "PORT"},
    "apprise": {"urls": [f"json://u:{HIDDEN}@HOST:PORT/"]},
}  # fmt: skip
#: What the server answers: nothing at all, a redirect, trouble, or what no such receiver says.
REDIRECT = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/elsewhere\r\ncontent-length: 0\r\n\r\n"
TROUBLE = b"HTTP/1.1 500 No\r\ncontent-length: 14\r\n\r\n" + HIDDEN.encode()
GARBAGE = b"\x00\xff220 not what was asked for " + HIDDEN.encode() + b"\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 300_000

every_kind = pytest.mark.parametrize("kind", SETTINGS)


class Server:
    """Answers every request with the same bytes and counts them.

    Attributes:
        port: where it listens.
        connections: how many there were.
        paths: first lines of the requests, as far as they are HTTP.
    """

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.port = 0
        self.connections = 0
        self.paths: list[bytes] = []
        self.talks: set[asyncio.Task[None]] = set()

    async def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.talks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await self.talk(reader, writer)
        writer.transport.abort()

    async def end(self) -> None:
        for task in self.talks:
            task.cancel()
        await asyncio.gather(*self.talks, return_exceptions=True)
        await asyncio.sleep(0)  # for what was aborted to be closed

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            self.paths.append((await reader.read(65_536)).split(b"\r\n")[0])
            if self.answer is None:
                await reader.read()  # until the other side gives up
            else:
                writer.write(self.answer % self.port if b"%d" in self.answer else self.answer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()


Serve = Callable[[bytes | None], Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with contextlib.AsyncExitStack() as stack:

        async def begin(answer: bytes | None) -> Server:
            server = Server(answer)
            listening = await asyncio.start_server(server.begin, "127.0.0.1", 0)
            stack.push_async_callback(server.end)
            stack.callback(listening.close)
            server.port = listening.sockets[0].getsockname()[1]
            return server

        yield begin


def placed(kind: str, port: int, host: str = "127.0.0.1") -> dict[str, object]:
    """The kind's settings with the server's address."""

    def place(value: object) -> object:
        if isinstance(value, list):
            return [place(one) for one in value]
        return value.replace("HOST", host).replace("PORT", str(port)) if isinstance(value, str) else value

    return {name: place(value) for name, value in SETTINGS[kind].items()}


def sink(kind: str, port: int, *, host: str = "127.0.0.1", **more: object) -> Sink:
    given = {"kind": kind, "allow": LOCAL, "timeout": 2.0, **placed(kind, port, host), **more}
    settings = load_settings(receivers={"soc": given})
    assert HIDDEN not in repr(settings)
    return open_sinks(settings)["soc"]


async def told(opened: Sink) -> Outcome:
    """The outcome of one delivery, after a look for what must not be said."""
    with capture_logs() as logged:
        [outcome] = await opened.deliver([delivery()])
    for hidden in (HIDDEN, SECRET[6:], "127.0.0.1", "Đã xem", "k1.staff"):
        assert hidden not in repr(outcome)
        assert hidden not in repr(logged)
    assert outcome.detail
    return outcome


def test_every_kind_that_can_be_set_is_built_and_tested_here() -> None:
    [union, *_] = get_args(Receiver)
    tags = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(union)}
    assert tags == set(KINDS) == set(SETTINGS)


@every_kind
async def test_a_private_address_is_refused_and_never_connected_to(serve: Serve, kind: str) -> None:
    server = await serve(GARBAGE)
    for host in ("127.0.0.1", "localhost"):
        outcome = await told(sink(kind, server.port, host=host, allow=[]))
        assert outcome.kind == "refused"
        assert "receivers.soc.allow" in outcome.detail
    assert server.connections == 0


@every_kind
async def test_a_receiver_that_hangs_is_tried_again_later(serve: Serve, kind: str) -> None:
    server = await serve(None)
    async with asyncio.timeout(5):
        assert (await told(sink(kind, server.port, timeout=0.3))).kind == "retry"
    assert server.connections == 1


@every_kind
@pytest.mark.parametrize("answer", [TROUBLE, GARBAGE, b""], ids=["trouble", "garbage", "silence"])
async def test_what_is_no_yes_is_tried_again_later(serve: Serve, kind: str, answer: bytes) -> None:
    assert (await told(sink(kind, (await serve(answer)).port))).kind == "retry"


@every_kind
async def test_a_redirect_is_not_followed(serve: Serve, kind: str) -> None:
    server = await serve(REDIRECT)
    assert (await told(sink(kind, server.port))).kind == "retry"
    assert not any(b"elsewhere" in path for path in server.paths)


@pytest.mark.parametrize("kind", sorted(set(SETTINGS) - {"syslog", "apprise", "elastic"}))
async def test_an_answer_without_end_is_cut_off(serve: Serve, kind: str) -> None:
    outcome = await told(sink(kind, (await serve(ENDLESS)).port))
    assert outcome.kind == "retry"
    assert "bytes: not such a receiver?" in outcome.detail


@every_kind
async def test_where_nothing_listens_is_tried_again_later(kind: str) -> None:
    closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    assert (await told(sink(kind, port))).kind == "retry"


@every_kind
async def test_an_attempt_can_be_cancelled(serve: Serve, kind: str) -> None:
    server = await serve(None)
    attempt = asyncio.create_task(sink(kind, server.port, timeout=1.0).deliver([TEST_MESSAGE]))
    while not server.connections:  # noqa: ASYNC110  # the server sets no event
        await asyncio.sleep(0.005)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await attempt
    assert HIDDEN not in "".join(traceback.format_exception(caught.value))


@every_kind
async def test_doctor_can_say_whether_the_receiver_is_there(serve: Serve, kind: str) -> None:
    receivers = {"soc": {"kind": kind, "allow": LOCAL, **placed(kind, (await serve(b"")).port)}}
    found = await asyncio.to_thread(check_receiver, "soc", load_settings(receivers=receivers), 2.0)
    assert found.status is Status.GREEN
    assert HIDDEN not in repr(found)
