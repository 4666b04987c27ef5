"""A webhook receiver gets what Standard Webhooks 1.0.0 promises, and alerts go only where they may."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook

from streams.sinks.http import HttpSink
from tests.receivers import PAYLOAD, SECRET, attempt, sink

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a real HTTP server around a handler and gives its URL."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(handler: Handler) -> str:
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", handler)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            return str(server.make_url("/hook"))

        yield start


def answering(status: int, **more: object) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, **more)  # type: ignore[arg-type]  # keyword arguments of Response

    return handler


async def test_a_receiver_can_verify_what_it_gets(serve: Serve) -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, dict(request.headers), await request.read()))
        return web.Response(status=204)

    outcome = await attempt(sink(await serve(handler)))
    assert (outcome.kind, outcome.status) == ("delivered", 204)
    [(method, headers, body)] = seen
    assert method == "POST"
    assert Webhook(SECRET).verify(body, headers) == {
        "type": "parcelwatch.alert.created",
        "timestamp": "2026-11-18T11:06:40.123+00:00",
        "data": json.loads(PAYLOAD),
    }
    lower = {name.lower(): value for name, value in headers.items()}
    assert lower["webhook-id"] == "u1-1"
    assert lower["content-type"] == "application/json"
    assert PAYLOAD.encode() in body  # byte for byte


@pytest.mark.parametrize("zone", ["Asia/Ho_Chi_Minh", "America/New_York"])
async def test_signatures_hold_in_any_time_zone(
    serve: Serve, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        verified = asyncio.get_running_loop().create_future()

        async def handler(request: web.Request) -> web.Response:
            verified.set_result(Webhook(SECRET).verify(await request.read(), dict(request.headers)))
            return web.Response()

        await attempt(sink(await serve(handler)))
        assert verified.done()
        assert verified.result()["type"] == "parcelwatch.alert.created"
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_another_secret_does_not_verify(serve: Serve) -> None:
    """What the other tests call verified can also fail to be."""
    seen: list[tuple[bytes, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((await request.read(), dict(request.headers)))
        return web.Response()

    await attempt(sink(await serve(handler)))
    other = Webhook("whsec_" + base64.b64encode(bytes(32)).decode())
    with pytest.raises(Exception, match="No matching signature"):
        other.verify(*seen[0])


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "delivered"), (202, "delivered"), (400, "retry"), (401, "retry"), (404, "retry"), (410, "gone"),
     (429, "retry"), (500, "retry"), (503, "retry")],
)  # fmt: skip
async def test_the_status_decides(serve: Serve, status: int, kind: str) -> None:
    outcome = await attempt(sink(await serve(answering(status))))
    assert (outcome.kind, outcome.status) == (kind, status)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_throttling_receiver_says_for_how_long(serve: Serve, status: int) -> None:
    url = await serve(answering(status, headers={"Retry-After": "120"}))
    assert (await attempt(sink(url))).after == 120.0


async def test_retry_after_may_be_a_date(serve: Serve) -> None:
    url = await serve(answering(503, headers={"Retry-After": "Tue, 24 Nov 2026 08:00:00 GMT"}))
    outcome = await attempt(sink(url, clock=lambda: 1_795_507_200.0 - 90))
    assert outcome.after == 90.0


@pytest.mark.parametrize("value", ["soon", "-5", "", "12.5.1", "²"])
async def test_an_unreadable_retry_after_is_as_good_as_none(serve: Serve, value: str) -> None:
    url = await serve(answering(503, headers={"Retry-After": value}))
    outcome = await attempt(sink(url))
    assert (outcome.kind, outcome.after) == ("retry", None)


async def test_a_redirect_is_a_failure_and_is_not_followed(serve: Serve) -> None:
    followed = []

    async def target(request: web.Request) -> web.Response:
        followed.append(request.path)
        return web.Response()

    elsewhere = await serve(target)
    for status in (301, 302, 303, 307, 308):
        url = await serve(answering(status, headers={"Location": elsewhere}))
        outcome = await attempt(sink(url))
        assert (outcome.kind, outcome.status) == ("retry", status)
        assert "redirects are not followed" in outcome.detail
    assert followed == []


async def test_a_receiver_that_hangs_is_given_up_in_time(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    outcome = await attempt(sink(await serve(handler), timeout=0.2))
    assert (outcome.kind, outcome.detail) == ("retry", "no complete answer within 0.2 s")


async def test_a_body_that_trickles_is_given_up_in_time(serve: Serve) -> None:
    """A receiver that never ends its 200 has not said that it has the alert."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.02)

    outcome = await attempt(sink(await serve(handler), timeout=0.3))
    assert (outcome.kind, outcome.detail) == ("retry", "no complete answer within 0.3 s")


async def test_an_endless_body_is_cut_off(serve: Serve) -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65_536))
            sent += 65_536

    outcome = await attempt(sink(await serve(handler)))
    assert outcome.kind == "retry"
    assert f"over {HttpSink.largest_answer} bytes" in outcome.detail
    assert sent < 64 * 1024 * 1024


async def test_a_refused_connection_is_tried_again_without_naming_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = await attempt(sink(f"http://user:pass@127.0.0.1:{port}/x?token=t"))
    assert (outcome.kind, outcome.detail) == ("retry", "no connection: Connection refused")


async def test_something_that_speaks_no_http_is_a_failure() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await attempt(sink(f"http://127.0.0.1:{port}/"))
        assert outcome.kind == "retry"
        assert outcome.detail.startswith("connection failed: ")
        https = await attempt(sink(f"https://127.0.0.1:{port}/"))
        assert https.kind == "retry"


async def test_a_certificate_that_nobody_vouches_for_is_a_failure(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = TestServer(web.Application())
    await server.start_server(ssl=context)
    try:
        outcome = await attempt(sink(f"https://localhost:{server.port}/"))
    finally:
        await server.close()
    assert (outcome.kind, outcome.detail) == (
        "retry",
        "TLS certificate not trusted; for an authority of your own set SSL_CERT_FILE",
    )


async def test_a_host_that_does_not_exist_is_tried_again() -> None:
    outcome = await attempt(sink("http://nowhere.invalid/"))
    assert (outcome.kind, outcome.detail) == ("retry", "the host name cannot be resolved")


async def test_proxies_of_the_environment_are_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await attempt(sink(await serve(answering(200))))).kind == "delivered"
