"""The whole pipeline in one process without a broker: the same stages over logs in memory. For backtests and tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from detectors import DETECTORS
from detectors.base import Detector
from streams.admit.directory import Directory
from streams.admit.local_time import Zones
from streams.admit.stage import AdmitStage
from streams.admit.stages import admit_stage
from streams.admit.translation import Translator
from streams.admit.validate import RefusalError
from streams.detect.scoring import ModelSource
from streams.detect.stage import DetectStage
from streams.flow.sources import source_key, source_partition
from streams.flow.stage import Out, Snapshot, Stage
from streams.flow.topics import (
    ACCESS_EVENTS,
    ACTOR_LOG,
    ALERTS,
    CONTROL,
    PARCEL_CONTEXT,
    PARCEL_LOG,
    REJECTED,
    STAFF_DIRECTORY,
)
from streams.privacy.tokens import Keyring
from streams.relate.stage import RelateStage

INBOUND = (STAFF_DIRECTORY, PARCEL_CONTEXT, ACCESS_EVENTS, CONTROL)


class MemoryRecord(NamedTuple):
    """A record of a log in memory."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class MemoryStore(dict[bytes, bytes]):
    """A partition's share of a table, in memory."""

    def write(self, snapshot: Snapshot) -> None:
        """Make a checkpoint durable, in the order the laws ask for."""
        self.update(snapshot.states)
        self.update([snapshot.progress])


class Pipeline:
    """Every stage of every partition, fed by hand.

    Args:
        keys: the key ring.
        partitions: of every topic; results do not depend on it.
        arrived: when all records are taken to have arrived, ms; a function for tests that need more.
        zones: carriers' local time.
        translator: of the format access events come in; None for the native one.
        detectors: the catalogue.
        models: where models come from that control records name.
        keep_logs: keep inbound and keyed logs (tests replay them); a backtest lets them go.
        batch: records a stage takes at once.
    """

    def __init__(
        self,
        keys: Keyring,
        *,
        partitions: int = 4,
        arrived: Callable[[], int],
        zones: Zones | None = None,
        translator: Translator | None = None,
        detectors: tuple[Detector[Any], ...] = DETECTORS,
        models: ModelSource | None = None,
        keep_logs: bool = False,
        batch: int = 5_000,
    ) -> None:
        self.partitions = partitions
        self.directory = Directory(keys)
        self.stores: dict[tuple[str, int], MemoryStore] = defaultdict(MemoryStore)
        self.logs: dict[tuple[str, int], list[MemoryRecord]] = defaultdict(list)
        self.ends: dict[tuple[str, int], int] = defaultdict(int)
        self.alerts: list[MemoryRecord] = []
        self.rejected: list[MemoryRecord] = []
        self._keys = keys
        self._arrived = arrived
        self._zones = zones or Zones({})
        self._translator = translator
        self._detectors = detectors
        self._models = models
        self._keep = keep_logs
        self._batch = batch
        self._inbox: dict[tuple[str, int], list[MemoryRecord]] = defaultdict(list)
        self.stages: dict[tuple[str, int], Stage] = {
            (topic, partition): self.make(topic, partition)
            for topic in (*INBOUND, PARCEL_LOG, ACTOR_LOG)
            for partition in range(partitions)
        }

    def make(self, topic: str, partition: int) -> Stage:
        """A stage as it stands in its store: fresh, or as after a restart."""
        store = self.stores[_table(topic), partition]
        if topic == PARCEL_LOG:
            return RelateStage(partition, self.partitions, store)
        if topic == ACTOR_LOG:
            return DetectStage(partition, self.partitions, store, self._detectors, models=self._models)
        what = (topic, partition, self.partitions, store, self.directory, self._keys, self._zones)
        return admit_stage(*what, translator=self._translator)

    def feed(self, topic: str, values: Iterable[bytes | None]) -> None:
        """Append records to an inbound topic, partitioned as `replay` does, and let everything flow."""
        touched = set()
        for value in values:
            key = source_key(topic, value) if value is not None else None
            partition = source_partition(key, self.partitions)
            if topic == STAFF_DIRECTORY:
                self._load_directory(key, value)
            self.append((topic, partition), key, value)
            touched.add(partition)
        self.flow()
        for partition in set(range(self.partitions)) - touched:
            self.stages[topic, partition].rest()
            self.route(self.stages[topic, partition])
        self.flow()

    def _load_directory(self, key: bytes | None, value: bytes | None) -> None:
        try:
            self.directory.load(key, value)
        except RefusalError:
            return  # counted and rejected by the admit stage, which reads the same record

    def append(
        self, where: tuple[str, int], key: bytes | None, value: bytes | None, headers: Any = ()
    ) -> None:
        """Append one record to a log; its stage finds it in the next `flow`."""
        record = MemoryRecord(self.ends[where], self._arrived(), key, value, tuple(headers))
        self.ends[where] += 1
        self._inbox[where].append(record)
        if self._keep:
            self.logs[where].append(record)

    def flow(self) -> None:
        """Let every stage take what is there, until nothing moves."""
        while waiting := [where for where, records in self._inbox.items() if records]:
            for where in waiting:
                records, self._inbox[where] = self._inbox[where], []
                for start in range(0, len(records), self._batch):
                    self.stages[where].take(records[start : start + self._batch])
                    self.route(self.stages[where])

    def route(self, stage: Stage) -> None:
        """Put what a stage sent where it belongs."""
        out, stage.out = stage.out, []
        for sent in out:
            self._deliver(sent)

    def _deliver(self, sent: Out) -> None:
        if sent.partition is not None:
            self.append((sent.topic, sent.partition), sent.key, sent.value)
        elif sent.topic in (ALERTS, REJECTED):
            target = self.alerts if sent.topic == ALERTS else self.rejected
            target.append(MemoryRecord(len(target), 0, sent.key, sent.value, tuple(sent.headers)))

    def finish(self, topics: Iterable[str] = INBOUND) -> None:
        """The inbound topics have nothing more: nothing waits for them."""
        for topic in topics:
            for partition in range(self.partitions):
                stage = self.stages[topic, partition]
                stage.rest()
                self.route(stage)
        self.flow()

    def checkpoint(self) -> None:
        """Write every stage's state to its store."""
        for (topic, partition), stage in self.stages.items():
            snapshot = stage.snapshot()
            self.route(stage)
            self.stores[_table(topic), partition].write(snapshot)
            stage.written(snapshot)

    def counts(self) -> dict[str, dict[str, int]]:
        """By inbound topic: received, admitted, duplicate, rejected, and the reasons."""
        totals: dict[str, dict[str, int]] = {topic: defaultdict(int) for topic in INBOUND}
        for (topic, _), stage in self.stages.items():
            if isinstance(stage, AdmitStage):
                for name, n in stage.counts.items():
                    totals[topic][name] += n
        return {topic: dict(counted) for topic, counted in totals.items()}


def _table(topic: str) -> str:
    return {PARCEL_LOG: "relate", ACTOR_LOG: "detect"}.get(topic, "admit")


def chunks(values: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    """Consecutive lists of at most `size` values."""
    chunk: list[bytes] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
