"""A broker with a carrier's days on it, real workers that are killed, paused and replaced, and what came of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import CoordinatorNotAvailableError
from kafka.structs import TopicPartition as AdminPartition

from streams.flow.sources import source_key, source_partition
from streams.flow.topics import (
    ACCESS_EVENTS,
    ACTOR_LOG,
    ALERTS,
    PARCEL_CONTEXT,
    PARCEL_LOG,
    REJECTED,
    STAFF_DIRECTORY,
    topic_specs,
)
from streams.history.pipeline import INBOUND, MemoryRecord
from streams.kafka.broker_config import free_port
from streams.kafka.topic_admin import ensure_topics
from streams.settings import Settings
from tests.law_harness import RING, Run
from tests.scene import PARTITIONS, Scene
from tests.senders import Sent

SOURCES = (*INBOUND, PARCEL_LOG, ACTOR_LOG)
TABLES = ("admit", "relate", "detect")
PATIENCE = 90.0
#: The file of the ring all trials share; a ring saves itself to one place only.
_ring: list[bytes] = []


class Stand:
    """One trial: fresh topics with the scene in them, and workers of one group.

    Args:
        bootstrap: of a broker nobody else uses meanwhile.
        folder: where the workers' data is.
        app_id: of the group, not used before.
    """

    def __init__(self, bootstrap: str, folder: Path, app_id: str) -> None:
        self.folder = folder
        self.settings = Settings(broker=bootstrap, partitions=PARTITIONS, app_id=app_id)
        self.keys = folder / "keys.toml"
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    async def prepare(self, scene: Scene) -> None:
        """Fresh topics, filled."""
        await asyncio.to_thread(self._fresh_topics)
        if not _ring:
            RING.save(self.keys)
            _ring.append(self.keys.read_bytes())
        self.keys.write_bytes(_ring[0])
        self.keys.chmod(0o600)
        batches: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
        for topic, value, _ in [*(Sent(STAFF_DIRECTORY, value, 0) for value in scene.people), *scene.sent]:
            key = source_key(topic, value) if value is not None else None
            batches[topic, source_partition(key, PARTITIONS)].append((key, value))
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.broker, max_batch_size=1 << 19, acks="all"
        )
        async with producer:
            for (topic, partition), records in batches.items():
                batch = producer.create_batch()
                for key, value in records:
                    if batch.append(key=key, value=value, timestamp=None) is None:
                        await producer.send_batch(batch, topic, partition=partition)
                        batch = producer.create_batch()
                        batch.append(key=key, value=value, timestamp=None)
                await producer.send_batch(batch, topic, partition=partition)
            await producer.flush()

    def _fresh_topics(self) -> None:
        names = {spec.name for spec in topic_specs(self.settings)}
        if old := names & set(self._admin.list_topics()):
            self._admin.delete_topics(sorted(old))
        deadline = time.monotonic() + PATIENCE
        while names & set(self._admin.list_topics()):
            assert time.monotonic() < deadline, "the broker did not delete the last trial's topics"
            time.sleep(0.05)
        ensure_topics(self.settings)

    def close(self) -> None:
        """Leave the broker."""
        self._admin.close()

    @asynccontextmanager
    async def worker(self, name: str, **env: str) -> AsyncIterator[Worker]:
        """A running worker, ready; killed at the end if it still runs."""
        data = self.folder / name
        data.mkdir(exist_ok=True)
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from streams.cli import main; main()", "worker",
            stderr=(log := (data / "log").open("ab")), stdout=log,
            env={
                **os.environ,
                "PARCELWATCH_BROKER": self.settings.broker,
                "PARCELWATCH_APP_ID": self.settings.app_id,
                "PARCELWATCH_PARTITIONS": str(PARTITIONS),
                "PARCELWATCH_KEYS_FILE": str(self.keys),
                "PARCELWATCH_DATA_DIR": str(data),
                "PARCELWATCH_WORKER_ID": name,
                "PARCELWATCH_HTTP_PORT": str(port),
                "PARCELWATCH_CHECKPOINT_INTERVAL": "0.2",
                **env,
            },
        )  # fmt: skip
        worker = Worker(process, port, data)
        try:
            await until(worker.ready, f"worker {name} is ready", worker)
            yield worker
        finally:
            log.close()
            if process.returncode is None:
                process.kill()
            await process.wait()

    def _committed(self) -> dict[AdminPartition, int]:
        try:
            found = self._admin.list_group_offsets(self.settings.app_id)[self.settings.app_id]
        except CoordinatorNotAvailableError:  # a broker that has had no group yet
            return {}
        return {tp: max(at.offset, 0) for tp, at in found.items()}

    def lag(self) -> int:
        """Records not committed by the group; committed offsets are read before the ends."""
        committed = self._committed()
        return sum(end - committed.get(tp, 0) for tp, end in self.ends(SOURCES).items())

    def admitted(self) -> int:
        """Inbound records the group has committed."""
        return sum(at for tp, at in self._committed().items() if tp.topic in (ACCESS_EVENTS, PARCEL_CONTEXT))

    async def come_to(self, goal: float) -> bool:
        """Whether that many are."""
        return await asyncio.to_thread(self.admitted) >= goal

    def ends(self, topics: Iterable[str]) -> dict[AdminPartition, int]:
        """Where each partition of the topics ends."""
        wanted = {AdminPartition(topic, p): OffsetSpec.LATEST for topic in topics for p in range(PARTITIONS)}
        return {tp: found.offset for tp, found in self._admin.list_partition_offsets(wanted).items()}

    def forget_commits(self) -> None:
        """As if the group had never committed anything."""
        self._admin.delete_groups([self.settings.app_id])

    async def shared(self, workers: int) -> bool:
        """Whether the group has that many members and each of them partitions."""
        groups = await asyncio.to_thread(self._admin.describe_groups, [self.settings.app_id])
        members = groups[self.settings.app_id]["members"]
        return len(members) == workers and all(member["member_assignment"] for member in members)

    async def drained(self, *workers: Worker) -> None:
        """Wait until nothing is left to do, and nothing has been for a moment."""
        calm: tuple[float, Any] = (time.monotonic(), None)

        async def done() -> bool:
            nonlocal calm
            lag, ends = await asyncio.to_thread(lambda: (self.lag(), self.ends((*SOURCES, ALERTS))))
            if lag or ends != calm[1]:
                calm = (time.monotonic(), ends)
            return not lag and time.monotonic() - calm[0] > 1.0

        await until(done, "all is read and committed", *workers, every=0.2)

    async def read(self, topic: str) -> dict[int, list[MemoryRecord]]:
        """All records of a topic, by partition."""
        ends = {TopicPartition(topic, tp.partition): end for tp, end in self.ends([topic]).items() if end}
        found: dict[int, list[MemoryRecord]] = defaultdict(list)
        async with AIOKafkaConsumer(
            bootstrap_servers=self.settings.broker,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1 << 23,
        ) as consumer:
            consumer.assign(list(ends))
            while ends:
                for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                    found[tp.partition] += [
                        MemoryRecord(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records
                    ]
                for tp in [tp for tp, end in ends.items() if await consumer.position(tp) >= end]:
                    del ends[tp]
        return found

    async def outcome(self) -> Run:
        """What the topics hold, as a run that can be compared with the expected one."""
        run = Run((), PARTITIONS, ())
        for topic in (PARCEL_LOG, PARCEL_CONTEXT, ACCESS_EVENTS, STAFF_DIRECTORY):
            for partition, records in (await self.read(topic)).items():
                run.logs[topic, partition] = records
        for topic, into in ((ALERTS, run.pipeline.alerts), (REJECTED, run.pipeline.rejected)):
            for records in (await self.read(topic)).values():
                into += records
        for table in TABLES:
            changelog = f"{self.settings.app_id}-{table}-changelog"
            for partition, records in (await self.read(changelog)).items():
                for record in records:
                    if record.key is not None and record.value is not None:
                        run.pipeline.stores[table, partition][record.key] = record.value
        return run


class Worker:
    """One `parcelwatch worker` process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, data: Path) -> None:
        self.process = process
        self.data = data
        self._url = f"http://127.0.0.1:{port}"

    async def ready(self) -> bool:
        """Whether it says so itself."""
        assert self.process.returncode is None, f"it ended with {self.process.returncode}:\n{self.log_tail()}"
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self._url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self, *, wipe: bool = False) -> None:
        """kill -9; `wipe` also its local stores, as when it returns on another machine."""
        self.process.kill()
        await self.process.wait()
        if wipe:
            shutil.rmtree(self.data / "worker", ignore_errors=True)

    async def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; gives the exit code."""
        try:
            return await asyncio.wait_for(self.process.wait(), PATIENCE)
        except TimeoutError:
            raise AssertionError(f"the worker does not end\n{self.log_tail()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def log(self) -> str:
        """All it has logged."""
        return (self.data / "log").read_text(errors="replace")

    def log_tail(self) -> str:
        """The end of that."""
        return "\n".join(self.log().splitlines()[-15:])


async def until(
    condition: Callable[[], Any], what: str, *workers: Worker, every: float = 0.05, patience: float = PATIENCE
) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + patience
    while not await condition():
        if time.monotonic() > deadline:
            logs = "\n".join(worker.log_tail() for worker in workers)
            raise AssertionError(f"waited {patience:.0f} s in vain until {what}\n{logs}")
        await asyncio.sleep(every)
