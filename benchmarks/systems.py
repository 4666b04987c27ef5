"""The systems under measurement: how each is started, which topics it reads, writes and passes through."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.cluster import BenchmarkError
from benchmarks.workload import CARRIER
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, ALERTS, PARCEL_LOG, REJECTED, TopicSpec, topic_specs
from streams.settings import load_settings


@dataclass(frozen=True)
class System:
    """One system, ready to be started against one broker.

    Attributes:
        command: argument vector of its worker.
        env: the worker's environment, on top of the benchmark's own.
        group: consumer group that commits the offsets of `hops`.
        topics: topics to create beforehand.
        hops: topics it reads, the source first; when the group has no lag on any, it is done.
        alerts: where its alerts go.
        rejected: where it puts what it does not take, if it does so at all.
    """

    command: list[str]
    env: dict[str, str]
    group: str
    topics: tuple[TopicSpec, ...]
    hops: tuple[str, ...]
    alerts: str
    rejected: str | None = None


def _stamped_by_broker(specs: tuple[TopicSpec, ...], name: str) -> tuple[TopicSpec, ...]:
    """These topics, the named one stamped by the broker: delays then have the same clock at both ends."""
    stamp = {"message.timestamp.type": "LogAppendTime"}
    return tuple(
        replace(spec, config={**spec.config, **stamp}) if spec.name == name else spec for spec in specs
    )


def parcelwatch(
    bootstrap: str, run: str, folder: Path, partitions: int, profile: Path | None = None
) -> System:
    """parcelwatch as `parcelwatch worker` runs it: three stages and three detectors in one process, RocksDB.

    Raises:
        BenchmarkError: its key ring cannot be made.
    """
    program = str(Path(sys.executable).with_name("parcelwatch"))
    settings = load_settings(broker=bootstrap, app_id=f"bench-{run}", data_dir=folder, partitions=partitions)
    env = {
        "PARCELWATCH_BROKER": settings.broker,
        "PARCELWATCH_APP_ID": settings.app_id,
        "PARCELWATCH_DATA_DIR": str(settings.data_dir),
        "PARCELWATCH_PARTITIONS": str(settings.partitions),
        "PARCELWATCH_HTTP_PORT": "0",
        "PARCELWATCH_KEYS_FILE": str(folder / "keys.toml"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for arguments in (["keys", "init"], ["keys", "add", CARRIER]):
        made = subprocess.run(
            [program, *arguments], env={**os.environ, **env}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise BenchmarkError(f"parcelwatch {' '.join(arguments)} failed: {made.stderr.strip()}")
    profiler = [] if profile is None else [sys.executable, "-m", "cProfile", "-o", str(profile)]
    return System(
        command=[*profiler, program, "worker"],
        env=env,
        group=settings.app_id,
        topics=_stamped_by_broker(topic_specs(settings), ALERTS),
        hops=(ACCESS_EVENTS, PARCEL_LOG, ACTOR_LOG),
        alerts=ALERTS,
        rejected=REJECTED,
    )


def stock_faust(bootstrap: str, run: str, folder: Path, partitions: int) -> System:
    """The same job in stock Faust, see `stock_faust.py`."""
    app_id = f"stock-faust-{run}"
    touches, labelled, alerts = between = tuple(
        f"{app_id}-{name}" for name in ("touches", "labelled", "alerts")
    )
    inbound = next(
        spec for spec in topic_specs(load_settings(partitions=partitions)) if spec.name == ACCESS_EVENTS
    )
    specs = (inbound, *(TopicSpec(name, partitions, "") for name in between))
    folder.mkdir(parents=True, exist_ok=True)
    return System(
        command=[sys.executable, "-m", "benchmarks.stock_faust", "worker", "-l", "info"],
        env={
            "BENCH_BROKER": bootstrap,
            "BENCH_APP_ID": app_id,
            "BENCH_DATA_DIR": str(folder),
            "BENCH_PARTITIONS": str(partitions),
        },
        group=app_id,
        topics=_stamped_by_broker(specs, alerts),
        hops=(ACCESS_EVENTS, touches, labelled),
        alerts=alerts,
    )
