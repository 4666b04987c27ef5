"""Playing the demo: what is prepared, what starts when, how fast records go in, when all is done."""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp

from streams.broker_security import BrokerSecurity
from streams.demo.plan import Outcome, Plan
from streams.demo.players import AlertReader, Child, DemoError, WorkerView, receiver
from streams.demo.scene import CONFIG, FILES, PARTITIONS, Scene, Screen, timeline, write_config
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.history.files import read_values
from streams.history.replay import replay
from streams.kafka.broker_config import free_port
from streams.kafka.sender import Sender, Tally, producer
from streams.kafka.topic_admin import ensure_topics
from streams.settings import Settings, load_settings

#: Seconds until the worker must be ready, until all must be through after the last record.
READY, THROUGH = 60.0, 300.0
#: Seconds: a pause shorter than this is not worth a batch of its own; the screen's clock moves this often.
SHORTEST_PAUSE, TICK = 0.01, 0.1
#: Records after which batches are sent, full or not, so that the topics keep in step.
STEP = 1_000
#: Seconds between two measurements of the worker's lag, and a little.
MEASURED = 1.2


async def play(bootstrap: str, plan: Plan, scene: Scene, screen: Screen) -> Outcome:
    """Send the simulated days through worker and tell, and watch what they say.

    Raises:
        DemoError: a process ended, or did not get ready or through in time.
    """
    outcome = Outcome()
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    async with AsyncExitStack() as stack:
        hook = await stack.enter_async_context(receiver(secret, outcome))
        write_config(scene.folder, bootstrap, plan, hook, secret)
        topics = load_settings(
            broker=bootstrap,
            broker_security=BrokerSecurity(),
            app_id="parcelwatch",
            partitions=PARTITIONS,
            replication=1,
        )
        await asyncio.to_thread(ensure_topics, topics)
        directory = read_values(scene.folder / FILES[STAFF_DIRECTORY])
        tally = Tally()
        await replay(topics, STAFF_DIRECTORY, PARTITIONS, directory, float("inf"), tally)
        outcome.sent[STAFF_DIRECTORY] = tally.sent
        port = free_port()
        children = [
            _child(scene.folder, "worker", {"PARCELWATCH_HTTP_PORT": str(port)}),
            _child(scene.folder, "tell", {"PARCELWATCH_TELL_HTTP_PORT": "-1"}),
        ]
        for child in children:
            await stack.enter_async_context(child.running())
        reader = AlertReader(bootstrap, PARTITIONS, outcome, screen.alert)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        worker = WorkerView(session, f"http://127.0.0.1:{port}")
        play_it = asyncio.create_task(_Play(topics, plan, scene, screen, outcome, worker, reader).run())
        others = [asyncio.create_task(child.died()) for child in children] + [
            asyncio.create_task(reader.read())
        ]
        try:
            done, _ = await asyncio.wait([play_it, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (play_it, *others):
                task.cancel()
            await asyncio.gather(play_it, *others, return_exceptions=True)
    return outcome


def _child(folder: Path, name: str, environment: dict[str, str]) -> Child:
    shared = {"PARCELWATCH_CONFIG": str(folder / CONFIG)}
    return Child(name, folder / f"{name}.log", shared | environment)


class _Play:
    """One performance, once everybody is on stage."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        scene: Scene,
        screen: Screen,
        outcome: Outcome,
        worker: WorkerView,
        reader: AlertReader,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._scene = scene
        self._screen = screen
        self._outcome = outcome
        self._worker = worker
        self._reader = reader
        self._zone = ZoneInfo(plan.config.time_zone)
        self._next: tuple[int, str, bytes] | None = None

    async def run(self) -> None:
        plan, screen, outcome = self._plan, self._screen, self._outcome
        await self._until(self._worker.ready, READY, "`parcelwatch worker` was not ready")
        records = timeline(self._scene.folder)
        self._next = next(records, None)
        async with producer(self._settings) as client:
            tallies = {topic: Tally() for topic in (ACCESS_EVENTS, PARCEL_CONTEXT)}
            senders = {topic: Sender(client, topic, PARTITIONS, tally) for topic, tally in tallies.items()}
            screen.step(f"{plan.before} ordinary days at full speed, so that it knows the people")
            began = time.monotonic()
            await self._send(records, senders, plan.starts, None)
            took = await self._through() - began
            outcome.rate = sum(tally.sent for tally in tallies.values()) / took
            screen.step(f"live, {plan.speed:,.0f} times as fast as it happens; leaks are planted")
            await self._send(records, senders, plan.ends, plan.speed)
            screen.step("the day after at full speed: reasons that come late would have come by now")
            await self._send(records, senders, plan.midnight(plan.config.days), None)
            await self._through()
        await self._until(self._told, THROUGH, "`parcelwatch tell` did not deliver every alert")

    async def _send(
        self,
        records: Iterator[tuple[int, str, bytes]],
        senders: dict[str, Sender],
        end: int,
        speed: float | None,
    ) -> None:
        """Send what happened before `end`: at `speed`, or as fast as it goes."""
        if self._next is None:
            return
        first, began, ticked = self._next[0], time.monotonic(), 0.0
        while self._next is not None and self._next[0] < end:
            at, topic, value = self._next
            now = time.monotonic()
            if now - ticked >= TICK:
                ticked = now
                self._screen.progress(
                    at - first, end - first, f"{datetime.fromtimestamp(at / 1000, self._zone):%a %H:%M}"
                )
            if speed is not None and (pause := began + (at - first) / 1000 / speed - now) > SHORTEST_PAUSE:
                await _push(senders)
                await asyncio.sleep(min(pause, TICK))
                continue
            if senders[topic].add(value):
                await senders[topic].push()
            self._outcome.sent[topic] += 1
            self._next = next(records, None)
            if not self._outcome.sent.total() % STEP:
                # Else small context records would wait in half-full batches while access events are long away.
                await _push(senders)
        for sender in senders.values():
            await sender.finish()
        self._screen.progress(1, 1, "")

    async def _through(self) -> float:
        """Wait until nothing is under way any more; the monotonic time at which that was so."""
        failure = "`parcelwatch worker` did not get through all records"
        while True:
            await self._until(self._all_through, THROUGH, failure)
            at = time.monotonic()
            # What waits inside is measured once a second: it must be nothing at the next measurement too.
            await asyncio.sleep(MEASURED)
            if await self._all_through():
                return at

    async def _all_through(self) -> bool:
        counts, waiting = await self._worker.counts()
        self._outcome.counts = counts
        return not waiting and all(counts[topic]["received"] == n for topic, n in self._outcome.sent.items())

    async def _told(self) -> bool:
        if await self._reader.behind():
            return False
        return all(seen.id in self._outcome.delivered for seen in self._outcome.seen)

    async def _until(self, condition: Callable[[], Awaitable[bool]], seconds: float, failure: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await condition():  # noqa: ASYNC110  # conditions of other processes set no event
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise DemoError(
                f"{failure} within {seconds:.0f} s; see its log in {self._scene.folder}, and whether this "
                "machine is busy with something else"
            ) from None


async def _push(senders: dict[str, Sender]) -> None:
    for sender in senders.values():
        await sender.push_all()
