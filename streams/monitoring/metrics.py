"""Every metric of the worker: few label values, and never a person, a parcel or a carrier among them.

Counts are handed over once a batch. They are added on the event loop that also answers scrapes, in one go,
so every scrape sees in = admitted + rejected + duplicate for each source.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
)

from streams.flow.sources import SOURCE_TOPICS
from streams.monitoring.detection import DetectionMetrics
from streams.monitoring.systems import SystemsHeard

SOURCES = SOURCE_TOPICS
STAGES = ("admit", "relate", "detect")
SEVERITIES = {2: "low", 3: "medium", 4: "high", 5: "critical"}
ACTIVITIES = {1: "create", 2: "update", 3: "close"}

#: Seconds; close together around the promise that an alert is out within one second.
DELAY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)
BATCH_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CHECKPOINT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_Key = TypeVar("_Key")


def new_registry() -> CollectorRegistry:
    """A registry with what every parcelwatch process exports: its build, its CPU time, memory and open
    files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    Info("parcelwatch_build", "Version of parcelwatch and of Python.", registry=registry).info(
        {"version": version("parcelwatch"), "python": platform.python_version()}
    )
    return registry


class _Children(dict[_Key, Counter]):
    """Children of a labelled counter by key: for known keys made at once, so that they start at 0."""

    def __init__(self, child: Callable[[_Key], Counter], known: Iterable[_Key]) -> None:
        super().__init__((key, child(key)) for key in known)
        self._child = child

    def __missing__(self, key: _Key) -> Counter:
        made = self[key] = self._child(key)
        return made


class SourceMetrics:
    """What became of the records of one source topic."""

    def __init__(self, counters: _SourceCounters, topic: str) -> None:
        self._received = counters.received.labels(topic)
        self._admitted = counters.admitted.labels(topic)
        self._duplicates = counters.duplicates.labels(topic)
        self._unknown_fields = counters.unknown_fields.labels(topic)
        self._rejected = _Children(lambda code: counters.rejected.labels(topic, code), counters.rejections)
        self._corrected = _Children(lambda code: counters.corrected.labels(topic, code), counters.corrections)
        no_reasons: tuple[str, ...] = ()
        self._ignored = _Children(lambda code: counters.ignored.labels(topic, code), no_reasons)

    def count(
        self,
        *,
        received: int,
        admitted: int,
        duplicates: int = 0,
        rejected: Mapping[str, int] | None = None,
        corrected: Mapping[str, int] | None = None,
        unknown_fields: int = 0,
        ignored: Mapping[str, int] | None = None,
    ) -> None:
        """Count one batch.

        Args:
            received: records in the batch; must be admitted + rejected + duplicates, and is counted on its own
                so that a record that got lost shows.
            admitted: records passed on, corrected ones among them.
            duplicates: records seen before.
            rejected: number of rejected records by reason code.
            corrected: number of corrections made to admitted records, by correction code.
            unknown_fields: fields left out since the contract does not know them.
            ignored: entries of a carrier's own format that are of no concern, by reason; not among the received.
        """
        self._received.inc(received)
        self._admitted.inc(admitted)
        self._duplicates.inc(duplicates)
        self._unknown_fields.inc(unknown_fields)
        for code, n in (rejected or {}).items():
            self._rejected[code].inc(n)
        for code, n in (corrected or {}).items():
            self._corrected[code].inc(n)
        for code, n in (ignored or {}).items():
            self._ignored[code].inc(n)


class StageMetrics:
    """How one stage (admit, relate or detect) is doing.

    Attributes:
        records: records applied; `.inc(n)` once a batch.
        duplicates: records dropped since an upstream stage sent them twice after a crash.
        holes: holes in the offsets of the input, each mended by reading again.
        batch_seconds: seconds of work on one batch; `.observe(s)`.
        checkpoint_seconds: seconds one checkpoint took; the number of checkpoints is its `_count`.
        last_checkpoint: Unix time in seconds of the last checkpoint; 0 before the first.
        event_time: event time in Unix seconds up to which the stage has worked; 0 before the first record.
        state_keys: decoded states held in memory.
        pending_records: records held back until the slower sources have caught up.
    """

    def __init__(self, families: _StageFamilies, stage: str) -> None:
        self.records = families.records.labels(stage)
        self.duplicates = families.duplicates.labels(stage)
        self.holes = families.holes.labels(stage)
        self.batch_seconds = families.batch_seconds.labels(stage)
        self.checkpoint_seconds = families.checkpoint_seconds.labels(stage)
        self.last_checkpoint = families.last_checkpoint.labels(stage)
        self.event_time = families.event_time.labels(stage)
        self.state_keys = families.state_keys.labels(stage)
        self.pending_records = families.pending_records.labels(stage)
        self._checkpoints = families.checkpoints.labels(stage)

    def checkpointed(self, seconds: float, at: float) -> None:
        """Count one completed checkpoint that took `seconds` and was complete at Unix time `at` (seconds)."""
        self._checkpoints.inc()
        self.checkpoint_seconds.observe(seconds)
        self.last_checkpoint.set(at)


class Metrics:
    """The worker's metrics, all prefixed `parcelwatch_`.

    Args:
        registry: where they are registered; one `Metrics` a registry.
        rejections: reason codes of rejected records, exported from the start.
        corrections: codes of corrections made to admitted records, exported from the start.
        detectors: names of the detectors, exported from the start.

    Attributes:
        source: `SourceMetrics` by source topic.
        stage: `StageMetrics` by stage.
        rebalances: partitions were given out anew; `.inc()`.
        detection: `DetectionMetrics`.
        systems: which of the carriers' systems have been heard of lately.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        rejections: Iterable[str] = (),
        corrections: Iterable[str] = (),
        detectors: Iterable[str] = (),
    ) -> None:
        detectors = tuple(detectors)
        counters = _SourceCounters(registry, tuple(rejections), tuple(corrections))
        self.source = {topic: SourceMetrics(counters, topic) for topic in SOURCES}
        families = _StageFamilies(registry)
        self.stage = {stage: StageMetrics(families, stage) for stage in STAGES}
        self.rebalances = Counter(
            "parcelwatch_rebalances_total", "Times the partitions were given out anew.", registry=registry
        )
        # Not initialised: before the first measurement nobody knows the lag, and 0 would say that there is
        # none.
        self._lag = Gauge(
            "parcelwatch_consumer_lag_records",
            "Records of the worker's partitions that it has not applied yet.",
            ["topic"],
            registry=registry,
        )
        alerts = Counter(
            "parcelwatch_alerts_total",
            "Alert messages that the broker has acknowledged.",
            ["detector", "severity", "activity"],
            registry=registry,
        )
        self._alerts = _Children(
            lambda key: alerts.labels(*key),
            [(d, s, a) for d in detectors for s in SEVERITIES.values() for a in ACTIVITIES.values()],
        )
        self.detection = DetectionMetrics(registry, detectors)
        self.systems = SystemsHeard()
        Gauge(
            "parcelwatch_systems_heard",
            "Systems of carriers that sent access events within the last hour; one event a batch is looked at.",
            registry=registry,
        ).set_function(self.systems.count)
        self._delay = Histogram(
            "parcelwatch_end_to_end_delay_seconds",
            "From the source record that triggered an alert being in Kafka to the alert being acknowledged.",
            buckets=DELAY_BUCKETS,
            registry=registry,
        )

    def lag(self, topic: str, records: int) -> None:
        """Set how many records of the worker's partitions of `topic` are not applied yet."""
        self._lag.labels(topic).set(records)

    def alerted(self, detector: str, severity: int, activity: int, delay_seconds: float) -> None:
        """Count one alert message that the broker has acknowledged.

        Args:
            detector: the detector's name.
            severity: OCSF severity_id, 2 to 5.
            activity: OCSF activity_id, 1 to 3.
            delay_seconds: from the triggering source record's broker timestamp to the acknowledgement; below
                zero (clocks apart) counts as zero.
        """
        self._alerts[detector, SEVERITIES[severity], ACTIVITIES[activity]].inc()
        self._delay.observe(max(0.0, delay_seconds))


class _SourceCounters:
    def __init__(
        self, registry: CollectorRegistry, rejections: tuple[str, ...], corrections: tuple[str, ...]
    ) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"parcelwatch_{name}_total", text, ["topic", *labels], registry=registry)

        self.rejections, self.corrections = rejections, corrections
        self.received = counter("records_received", "Records read from a source topic.")
        self.admitted = counter("records_admitted", "Records that were valid and passed on.")
        self.duplicates = counter("records_duplicate", "Records that were seen before and dropped.")
        self.rejected = counter("records_rejected", "Records that could not be admitted.", "reason")
        self.ignored = counter(
            "records_ignored", "Entries of a log that tell of no access to data.", "reason"
        )
        self.corrected = counter("corrections", "Corrections made to admitted records.", "correction")
        self.unknown_fields = counter("unknown_fields", "Fields left out as the contract does not know them.")


class _StageFamilies:
    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"parcelwatch_stage_{name}_total", text, ["stage"], registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"parcelwatch_{name}", text, ["stage"], registry=registry)

        def seconds(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                f"parcelwatch_{name}_seconds", text, ["stage"], registry=registry, buckets=buckets
            )

        self.records = counter("records", "Records applied by a stage.")
        self.duplicates = counter("duplicates", "Records dropped as the stage before sent them twice.")
        self.holes = counter("holes", "Holes in the offsets handed to a stage, each mended by reading again.")
        self.checkpoints = counter("checkpoints", "Checkpoints completed.")
        self.batch_seconds = seconds("batch", "Seconds of work on one batch.", BATCH_BUCKETS)
        self.checkpoint_seconds = seconds("checkpoint", "Seconds one checkpoint took.", CHECKPOINT_BUCKETS)
        self.last_checkpoint = gauge("last_checkpoint_timestamp_seconds", "Unix time of the last checkpoint.")
        self.event_time = gauge("event_time_timestamp_seconds", "Event time up to which a stage has worked.")
        self.state_keys = gauge("state_keys", "Decoded states held in memory.")
        self.pending_records = gauge(
            "pending_records", "Records held back until the slower sources catch up."
        )
