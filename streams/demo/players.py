"""Who takes part in the demo besides the broker: children, a webhook receiver, a reader of the alerts."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook, WebhookVerificationError

from streams.demo.plan import Outcome, Seen
from streams.flow.sources import SOURCE_TOPICS
from streams.flow.topics import ACTOR_LOG, ALERTS, PARCEL_LOG

#: Seconds a child process has for its farewell.
FAREWELL = 20.0
_MAIN = "from streams.cli import main; main()"
_COUNTS = {"received", "admitted", "rejected", "duplicate"}


class DemoError(Exception):
    """The demo cannot go on; says what, where and how to mend it."""


class Child:
    """A `parcelwatch` command in a process of its own, with its log in a file.

    Args:
        name: the command.
        log_path: where what it says goes.
        environment: settings it gets, besides the environment's other variables.
    """

    def __init__(self, name: str, log_path: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.log_path = log_path
        # Settings of whoever runs the demo are for other things than the demo.
        inherited = {k: v for k, v in os.environ.items() if not k.upper().startswith("PARCELWATCH_")}
        self._environment = inherited | environment
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Started, until the context is left; then asked to end, and made to if it does not."""
        with self.log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _MAIN,
                self.name,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its children
            )
        try:
            yield
        finally:
            await self._end(self._process)

    @staticmethod
    async def _end(process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(FAREWELL):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def died(self) -> None:
        """Wait until it ends by itself, which it must not.

        Raises:
            DemoError: it did; with the last lines of its log.
        """
        assert self._process is not None, "only a started child can end"
        code = await self._process.wait()
        lines = self.log_path.read_text(errors="replace").splitlines()[-5:]
        tail = "\n".join(lines) or "(nothing)"
        raise DemoError(
            f"`parcelwatch {self.name}` ended with code {code}; its log {self.log_path} ends with:\n{tail}"
        )


@asynccontextmanager
async def receiver(secret: str, outcome: Outcome) -> AsyncIterator[str]:
    """A webhook receiver that checks signatures and notes when each message came; gives its URL."""
    verifier = Webhook(secret)

    async def take(request: web.Request) -> web.Response:
        now = time.time_ns() // 1_000_000
        try:
            verifier.verify(await request.read(), dict(request.headers))
        except WebhookVerificationError:
            outcome.unsigned += 1
            return web.Response(status=401)
        outcome.delivered.setdefault(request.headers["webhook-id"], now)
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.post("/alerts", take)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/alerts"
    finally:
        await runner.cleanup()


class AlertReader:
    """Reads the alerts topic from its beginning.

    Args:
        bootstrap: the broker.
        partitions: of the topic.
        outcome: where alerts are put.
        show: called with each.
    """

    def __init__(
        self, bootstrap: str, partitions: int, outcome: Outcome, show: Callable[[Seen], None]
    ) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        self._places = [TopicPartition(ALERTS, partition) for partition in range(partitions)]
        self._outcome = outcome
        self._show = show

    async def read(self) -> None:
        """Read until cancelled."""
        async with self._consumer as consumer:
            consumer.assign(self._places)
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        headers = dict(record.headers)
                        seen = Seen(
                            headers["ce_id"].decode(),
                            orjson.loads(record.value),
                            int(headers["ce_producedat"]),
                            record.timestamp,
                        )
                        self._outcome.seen.append(seen)
                        self._show(seen)

    async def behind(self) -> bool:
        """Whether there are alerts that were not read yet."""
        ends = await self._consumer.end_offsets(self._places)
        return any([await self._consumer.position(place) < end for place, end in ends.items()])


class WorkerView:
    """What the worker says of itself over HTTP.

    Args:
        session: for requests.
        url: where the worker serves.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ready(self) -> bool:
        """Whether it runs and has its partitions."""
        with suppress(aiohttp.ClientError):
            async with self._session.get(f"{self._url}/readyz") as answer:
                return answer.status == 200
        return False

    async def counts(self) -> tuple[dict[str, Counter[str]], int]:
        """What became of the records of each source topic, and how many records wait inside."""
        async with self._session.get(f"{self._url}/metrics", headers={"Accept": "text/plain"}) as answer:
            text = await answer.text()
        counts: dict[str, Counter[str]] = {topic: Counter() for topic in SOURCE_TOPICS}
        waiting = 0.0
        for family in text_string_to_metric_families(text):
            what = family.name.removeprefix("parcelwatch_records_")
            for sample in family.samples:
                topic = sample.labels.get("topic")
                if what in _COUNTS and sample.name.endswith("_total") and topic:
                    counts[topic][what] += int(sample.value)
                elif family.name == "parcelwatch_pending_records" or (
                    family.name == "parcelwatch_consumer_lag_records" and topic in (PARCEL_LOG, ACTOR_LOG)
                ):
                    waiting += sample.value
        return counts, int(waiting)
