"""Every kind of parcelwatch process on a broker, fed with a simulated carrier's day, under a real Prometheus."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.grafana.draw import Prometheus, PrometheusError
from streams.flow.topics import ACCESS_EVENTS, CONTROL, STAFF_DIRECTORY
from streams.kafka.broker_config import free_port
from streams.kafka.sender import Sender, Tally, producer
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from streams.simulator import SimulationConfig, simulate
from tests.receivers import Hook, environment
from tests.senders import BAD

#: Jobs as the rules and dashboards name them, by the words of the command.
JOBS = {"parcelwatch-worker": ("worker",), "parcelwatch-tell": ("tell",),
        "parcelwatch-history": ("history", "write", "--interval", "1")}  # fmt: skip
RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules"
PATIENCE = 60.0


class Monitored:
    """What runs.

    Attributes:
        prometheus: that scrapes all three processes once a second.
        ports: of the processes' metrics, by job.
        hook: the receiver `soc`.
        sent: records sent so far.
    """

    def __init__(self, settings: Settings, ports: dict[str, int], prometheus: Prometheus, hook: Hook) -> None:
        self.settings = settings
        self.ports = ports
        self.prometheus = prometheus
        self.hook = hook
        self.sent = 0

    async def value(self, expr: str) -> float:
        """Value of an expression now, 0 while it has none."""
        try:
            found = await asyncio.to_thread(self.prometheus.now, expr, time.time())
        except PrometheusError:  # it is still starting
            return 0.0
        return found[0].points[-1][1] if found else 0.0

    async def until(self, expr: str, least: float = 1.0) -> None:
        """Wait until an expression has at least that value."""
        try:
            async with asyncio.timeout(PATIENCE):
                while await self.value(expr) < least:  # noqa: ASYNC110  # another process sets no event
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{expr} is {await self.value(expr)}, not {least} or more") from None

    async def send(self, *records: tuple[str, bytes]) -> None:
        """Send records in order: (topic, value)."""
        async with producer(self.settings) as client:
            senders: dict[str, Sender] = {}
            for topic, value in records:
                sender = senders.setdefault(topic, Sender(client, topic, self.settings.partitions, Tally()))
                if sender.add(value):
                    await sender.push()
            for sender in senders.values():
                await sender.finish()
        self.sent += len(records)

    async def through(self) -> None:
        """Wait until all that was sent has been received, applied and told."""
        await self.until("sum(parcelwatch_records_received_total)", self.sent)
        await self.until("sum(parcelwatch_consumer_lag_records) + sum(parcelwatch_pending_records) == bool 0")
        await self.until(
            "sum(parcelwatch_alerts_total) == bool sum(parcelwatch_tell_deliveries_total{outcome='delivered'})"
        )

    async def judge(self, verdict: str, number: int = 0) -> None:
        """Give a verdict on an alert that the receiver has."""
        alert = self.hook.bodies[number]["data"]
        await self.send((CONTROL, msgspec.json.encode({
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "carrier": "vnx", "kind": "verdict", "actor": alert["actor"]["user"]["uid"],
            "alert": alert["finding_info"]["uid"], "detector": alert["finding_info"]["analytic"]["name"],
            "value": verdict, "why": "a test",
        })))  # fmt: skip
        await self.until("sum(parcelwatch_verdicts_total)")


def carriers_days(
    staff: int = 25, days: int = 1, seed: int = 3
) -> tuple[list[bytes], list[tuple[str, bytes]]]:
    """A simulated carrier's staff directory, and what its systems send, in order."""
    simulation = simulate(SimulationConfig(staff=staff, days=days, seed=seed, leak_days=(0, days - 1)))
    events = [(topic, msgspec.json.encode(record)) for topic, record in simulation.events()]
    return [msgspec.json.encode(line) for line in simulation.directory], events


def faulty(events: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Something of every kind that is not simply admitted: unreadable, sent twice, to be corrected, unknown fields."""
    access = next(msgspec.json.decode(value) for topic, value in events if topic == ACCESS_EVENTS)
    odd = access | {"id": "odd", "records": 10**12, "mood": "fine"}
    bad = [(ACCESS_EVENTS, value) for value in BAD if value]
    return [*bad, *[(ACCESS_EVENTS, msgspec.json.encode(odd))] * 2]


@asynccontextmanager
async def monitored(bootstrap: str, app_id: str, folder: Path) -> AsyncIterator[Monitored]:
    """Worker, tell and history on a broker of their own, up and scraped; nothing has been sent but the staff."""
    hook, ports = Hook(), {job: free_port() for job in JOBS}
    app = web.Application()
    app.router.add_post("/hook", hook.handle)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(app))
        hook.url = str(server.make_url("/hook"))
        settings = Settings(broker=bootstrap, app_id=app_id, partitions=2, data_dir=folder / "data")
        ring = Keyring()
        ring.add_carrier("vnx")
        ring.save(settings.keys_path)
        await asyncio.to_thread(ensure_topics, settings)
        env = _environment(settings, hook, ports)
        for job, words in JOBS.items():
            command = (sys.executable, "-c", "from streams.cli import main; main()", *words)
            await stack.enter_async_context(_running(command, folder / f"{job}.log", env))
        port = free_port()
        await stack.enter_async_context(
            _running(_prometheus(folder, port, ports), folder / "prometheus.log", {})
        )
        one = Monitored(settings, ports, Prometheus(f"127.0.0.1:{port}"), hook)
        # Two scrapes of what is still 0: a counter's growth is seen from then on only.
        await one.until("count(min_over_time(parcelwatch_ready[2s]) == 1)", len(JOBS))
        yield one


def _environment(settings: Settings, hook: Hook, ports: dict[str, int]) -> dict[str, str]:
    port = dict(zip(("HTTP_PORT", "TELL_HTTP_PORT", "HISTORY_HTTP_PORT"), ports.values(), strict=True))
    more = {"BROKER": settings.broker, "APP_ID": settings.app_id, "PARTITIONS": "2",
            **{name: str(number) for name, number in port.items()}}  # fmt: skip
    return environment(
        settings.data_dir, hook, **{f"PARCELWATCH_{name}": value for name, value in more.items()}
    )


def _prometheus(folder: Path, port: int, ports: dict[str, int]) -> tuple[str, ...]:
    """Command line of a Prometheus that scrapes the jobs once a second, with the shipped rules."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{number}"]}]}
            for job, number in ports.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return ("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")  # fmt: skip


@asynccontextmanager
async def _running(command: tuple[str, ...], log: Path, env: dict[str, str]) -> AsyncIterator[None]:
    """A process, until the context is left; what it says is in the log."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=said, stderr=said, env={**os.environ, **env}
        )
    try:
        yield
        if process.returncode is not None:
            raise AssertionError(f"{command} ended; see {log}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def staffed(one: Monitored, directory: list[bytes]) -> None:
    """Send the staff directory and wait until the worker knows it."""
    await one.send(*((STAFF_DIRECTORY, line) for line in directory))
    await one.until("sum(parcelwatch_records_received_total)", one.sent)
