"""What a process says of itself over HTTP: `/metrics` for Prometheus, `/healthz`, `/readyz` for its
supervisor."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from streams.settings import SettingsError

#: Answers (ok, reason); the reason is one line, names no person, parcel or secret, and is said in both cases.
Probe = Callable[[], tuple[bool, str]]


@dataclass(frozen=True)
class Endpoint:
    """Where it is served.

    Attributes:
        host, port: the address; port is None when nothing is served.
    """

    host: str
    port: int | None

    @property
    def url(self) -> str:
        """`http://host:port`, or an empty string when nothing is served."""
        if self.port is None:
            return ""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def readiness(registry: CollectorRegistry, ready: Probe) -> Gauge:
    """Register `parcelwatch_ready`, which asks the probe at each scrape."""
    gauge = Gauge(
        "parcelwatch_ready", "1 while /readyz answers that the process does its work.", registry=registry
    )
    gauge.set_function(lambda: ready()[0])
    return gauge


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    registry: CollectorRegistry,
    ready: Probe,
    healthy: Probe,
    setting: str = "http_port",
) -> AsyncIterator[Endpoint]:
    """Serve metrics and health for as long as the context lasts.

    `/readyz` and `/healthz` ask their probe at each request and answer 200 or 503 with
    `{"status": "ok" | "failing", "reason": …}`. `/metrics` speaks OpenMetrics to a scraper that asks for
    it. Metrics are written on the event loop, between two batches and never in the middle of one. Among them is
    `parcelwatch_ready`, what `/readyz` would have answered at the scrape.

    Args:
        host: address to bind, loopback unless the deployment decides otherwise.
        port: 0 takes a free port (see `Endpoint.port`), -1 serves nothing.
        registry: whose metrics are served.
        ready: whether the process does its work at this moment (it may be waiting for partitions).
        healthy: whether the process can still get there; when not, a supervisor should restart it.
        setting: where the port comes from, for the error's text.

    Raises:
        SettingsError: the address cannot be bound; names the setting and the remedy.
    """
    if port < 0:
        yield Endpoint(host, None)
        return

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(registry), headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", metrics),
            web.get("/readyz", _answer(ready)),
            web.get("/healthz", _answer(healthy)),
        ]
    )
    # Access logs would be noise; a scraper that keeps its connection open must not hold up the end of the
    # process.
    is_ready = readiness(registry, ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _bind(runner, host, port, setting)
        yield Endpoint(host, runner.addresses[0][1])
    finally:
        registry.unregister(is_ready)
        await runner.cleanup()


def _answer(probe: Probe) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_: web.Request) -> web.StreamResponse:
        ok, reason = probe()
        status = "ok" if ok else "failing"
        return web.json_response({"status": status, "reason": reason}, status=200 if ok else 503)

    return handler


async def _bind(runner: web.AppRunner, host: str, port: int, setting: str) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except socket.gaierror as exc:
        raise SettingsError(
            f"setting http_host = {host!r}: no such host ({exc.strerror}); "
            "set PARCELWATCH_HTTP_HOST to an address of this machine, for example 127.0.0.1"
        ) from None
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"setting {setting} = {port}: another process already listens on {host}:{port}; set "
                f"PARCELWATCH_{setting.upper()} to another port, to 0 for a free one, or to -1 to serve nothing"
            ) from None
        if exc.errno == errno.EACCES:
            raise SettingsError(
                f"setting {setting} = {port}: this user may not listen there; "
                f"set PARCELWATCH_{setting.upper()} to a port above 1023"
            ) from None
        if exc.errno == errno.EADDRNOTAVAIL:
            raise SettingsError(
                f"setting http_host = {host!r}: no address of this machine; "
                "set PARCELWATCH_HTTP_HOST to one, for example 127.0.0.1 or 0.0.0.0"
            ) from None
        raise
