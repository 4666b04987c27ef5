"""The real Alertmanager (from Debian) fires, updates and resolves as episodes open, grow and close."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from detectors.base import Finding
from streams.receivers import AlertmanagerReceiver
from streams.sinks.alertmanager import AlertmanagerSink
from streams.sinks.base import Delivery
from tests.receivers import LOCAL, NO_BROKER, Running, attempt, record, until
from tests.sinks.notices import TEST_MESSAGE, alert, delivery

BINARY = shutil.which("prometheus-alertmanager")
pytestmark = pytest.mark.skipif(
    BINARY is None, reason="needs Alertmanager: apt-get install prometheus-alertmanager"
)
CONFIG = """
route: {{receiver: hook, group_by: [episode], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


class Alertmanager:
    """One that runs, and what it has told its receiver.

    Attributes:
        url: where it listens.
        told: (status, labels, annotations) of each alert it sent, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: list[tuple[str, dict[str, str], dict[str, str]]] = []

    async def hear(self, request: web.Request) -> web.Response:
        for one in (await request.json())["alerts"]:
            self.told.append((one["status"], one["labels"], one["annotations"]))
        return web.Response()

    def statuses(self, episode: str) -> list[tuple[str, str]]:
        return [(s, labels["severity"]) for s, labels, _ in self.told if labels["episode"] == episode]

    async def active(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v2/alerts") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    def sink(self, refresh: float = 60.0, clock: Callable[[], float] = time.time) -> AlertmanagerSink:
        receiver = AlertmanagerReceiver(
            kind="alertmanager", url=SecretStr(self.url), allow=LOCAL, refresh=refresh
        )
        return AlertmanagerSink("soc", receiver, clock)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
async def alertmanager(tmp_path: Path) -> AsyncIterator[Alertmanager]:
    assert BINARY is not None
    url = f"http://127.0.0.1:{free_port()}"
    running = Alertmanager(url)
    app = web.Application()
    app.router.add_post("/", running.hear)
    server = TestServer(app)
    await server.start_server()
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIG.format(url=server.make_url("/")))
    process = await asyncio.create_subprocess_exec(
        BINARY, f"--config.file={config}", f"--storage.path={tmp_path / 'am'}", "--cluster.listen-address=",
        f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    await running.active()
                    break
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield running
    finally:
        process.kill()
        await process.wait()
        await server.close()


def severe(severity: int) -> dict[str, Any]:
    finding = alert().finding
    fields = {name: getattr(finding, name) for name in Finding.__struct_fields__}
    return {"finding": Finding(**fields | {"severity": severity})}


async def test_an_episode_fires_grows_and_resolves(alertmanager: Alertmanager) -> None:
    sink = alertmanager.sink()
    opened = delivery(1)
    assert (await attempt(sink, opened)).status == 200
    await until(lambda: alertmanager.statuses(opened.uid) == [("firing", "critical")])
    [active] = await alertmanager.active()
    ends = datetime.fromisoformat(active["endsAt"]).timestamp()
    assert ends == pytest.approx(time.time() + 4 * 60.0, abs=10.0)
    _, labels, annotations = alertmanager.told[0]
    assert labels == {
        "alertname": "ParcelDataLeak", "severity": "critical", "detector": "bulk_read", "carrier": "vnx",
        "episode": opened.uid,
    }  # fmt: skip
    assert annotations["description_vi"] == "Đã xem 280 bưu gửi mới trong 1 giờ."
    assert (await attempt(sink, delivery(2, records=2000))).kind == "delivered"
    [active] = await alertmanager.active()
    assert active["annotations"]["records"] == "2000"
    assert (await attempt(sink, delivery(3))).kind == "delivered"
    await until(lambda: alertmanager.statuses(opened.uid)[-1] == ("resolved", "critical"))
    assert await alertmanager.active() == []


async def test_a_risen_severity_ends_the_alert_of_the_lower_one(alertmanager: Alertmanager) -> None:
    """Severity is a label, so it is part of what makes an alert the same."""
    sink = alertmanager.sink()
    await attempt(sink, delivery(1, **severe(2)))
    await until(lambda: alertmanager.statuses(alert().uid) == [("firing", "info")])
    await attempt(sink, delivery(2, **severe(5)))
    assert [one["labels"]["severity"] for one in await alertmanager.active()] == ["critical"]
    await attempt(sink, delivery(3, **severe(5)))
    assert await alertmanager.active() == []


async def test_many_episodes_go_in_one_request(alertmanager: Alertmanager) -> None:
    many = [delivery(uid=f"u{number}") for number in range(30)]
    assert {outcome.kind for outcome in await alertmanager.sink().deliver(many)} == {"delivered"}
    assert len(await alertmanager.active()) == 30


async def test_an_alert_it_does_not_take_keeps_no_other_out(alertmanager: Alertmanager) -> None:
    """Alertmanager refuses a request as a whole for one alert without a valid label."""
    sink = alertmanager.sink()
    before = sink.request

    def spoilt(deliveries: list[Delivery]) -> Any:
        request = before(deliveries)
        body = json.loads(request.body)
        for one in body:
            if one["labels"]["episode"] == "u1":
                one["labels"] = {}
        return type(request)(request.url, json.dumps(body).encode(), request.headers)

    sink.request = spoilt  # type: ignore[method-assign,assignment]  # the fault
    kinds = [one.kind for one in await sink.deliver([delivery(uid=f"u{number}") for number in range(3)])]
    assert kinds == ["delivered", "refused", "delivered"]
    assert len(await alertmanager.active()) == 2


async def test_what_nobody_refreshes_resolves_by_itself(alertmanager: Alertmanager) -> None:
    """As when parcelwatch has died: four refreshes later the alert is over."""
    await attempt(alertmanager.sink(refresh=0.1))
    await until(lambda: [status for status, *_ in alertmanager.told] == ["firing", "resolved"])


async def test_a_test_message_raises_an_alert_of_its_own_name(alertmanager: Alertmanager) -> None:
    assert (await attempt(alertmanager.sink(), TEST_MESSAGE)).kind == "delivered"
    [active] = await alertmanager.active()
    assert (active["labels"]["alertname"], active["labels"]["severity"]) == ("ParcelwatchTest", "info")


async def test_tell_keeps_an_episode_firing_also_after_a_restart_until_it_closes(
    alertmanager: Alertmanager, tmp_path: Path
) -> None:
    opened, closed = delivery(1), delivery(3)
    ends: list[str] = []

    async def later_end() -> None:
        async with asyncio.timeout(20):
            while not (found := await alertmanager.active()) or found[0]["endsAt"] in ends:  # noqa: ASYNC110  # asked over HTTP
                await asyncio.sleep(0.02)
            ends.append(found[0]["endsAt"])

    for _ in range(2):  # the second is a tell that starts anew over the same outbox
        sink = alertmanager.sink(refresh=0.5)
        async with Running(tmp_path, {"soc": sink}, NO_BROKER) as running:
            await running.tell.take([record(opened.body, opened.id.encode())])
            for _ in range(2):
                await later_end()
                running.later(1.0)
            assert running.states() == {opened.id: "delivered"}
    assert len(ends) == 4
    async with Running(tmp_path, {"soc": alertmanager.sink(refresh=0.5)}) as running:
        await running.tell.take([record(closed.body, closed.id.encode())])
        await until(lambda: alertmanager.statuses(opened.uid)[-1:] == [("resolved", "critical")])
        told = running.metric("refreshes_total", receiver="soc", outcome="delivered") or 0.0
        other = delivery(uid="u9")
        await running.tell.take([record(other.body, other.id.encode())])
        await until(lambda: running.states().get(other.id) == "delivered")
        running.later(1.0)
        await until(lambda: running.metric("refreshes_total", receiver="soc", outcome="delivered") != told)
        assert running.metric("refreshes_total", receiver="soc", outcome="delivered") == told + 1
