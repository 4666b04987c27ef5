"""One round of one system: drain a backlog, then keep up with half of that rate, and what it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer

from benchmarks.cluster import BenchmarkError, Cluster
from benchmarks.producer import load, pace
from benchmarks.systems import System
from benchmarks.worker import Worker
from benchmarks.workload import Workload, cached, read
from streams.kafka.sender import producer
from streams.settings import load_settings

START_SECONDS = 90
PROBES_PER_SECOND = 10
#: Seconds at the beginning of the paced part whose alerts do not count, while caches and connections settle.
SETTLE_SECONDS = 3


@dataclass(frozen=True)
class Plan:
    """What one round does.

    Attributes:
        workload: the stream of events.
        folder: where the events are cached and workers log.
        partitions: partitions of each topic.
        events: events of the backlog.
        latency_seconds: length of the paced part; 0 leaves it out.
        drain_seconds: how long the backlog may take before the round is given up.
    """

    workload: Workload
    folder: Path
    partitions: int
    events: int
    latency_seconds: float
    drain_seconds: float


@dataclass(frozen=True)
class Round:
    """What one round measured.

    Attributes:
        events: events of the backlog.
        seconds: from the first record sent to the second hop until the group had committed everything at
            every hop, so without interpreter start-up, group join and the first hop's first batch.
        events_per_second: events by seconds.
        cpu_per_million: seconds of the worker's processor time, user and system, a million events.
        peak_rss: largest resident memory of the worker by the end of the round, MB.
        alerts: alerts from the backlog.
        paced_rate: events a second that were sent in the paced part.
        delays: sorted, seconds from the broker taking an event to the broker taking the alert it triggered.
    """

    events: int
    seconds: float
    events_per_second: float
    cpu_per_million: float
    peak_rss: float
    alerts: int
    paced_rate: float
    delays: list[float]


async def run_round(cluster: Cluster, system: System, plan: Plan, log: Path) -> Round:
    """Load the backlog, start the worker, measure.

    Raises:
        BenchmarkError: the worker died, did not start, rejected events, or did not finish in time.
    """
    cluster.start_afresh(system.topics)
    backlog = read(cached(plan.workload, plan.events, plan.folder), 0, plan.events)
    async with producer(load_settings(broker=cluster.bootstrap)) as client:
        await load(client, plan.partitions, backlog)
        with Worker(system.command, system.env, log) as worker:
            begun, cpu = await _first_output(cluster, system, plan, worker)
            ended = await _drained(cluster, system, plan, worker)
            seconds, used = ended - begun, worker.usage()
            rate = plan.events / seconds
            if system.rejected and any(cluster.end_offsets([system.rejected], plan.partitions).values()):
                raise BenchmarkError(
                    f"{system.group} rejected events of the workload, so it did less work; read "
                    f"the reasons in its metrics or in topic {system.rejected}"
                )
            alerts = sum(cluster.end_offsets([system.alerts], plan.partitions).values())
            paced_rate = 0.0
            delays: list[float] = []
            if plan.latency_seconds:
                paced_rate, delays = await _delays(cluster, system, plan, worker, client, rate / 2)
            peak = worker.usage().peak_rss
    return Round(
        events=plan.events,
        seconds=seconds,
        events_per_second=rate,
        cpu_per_million=(used.cpu - cpu) / plan.events * 1e6,
        peak_rss=peak,
        alerts=alerts,
        paced_rate=paced_rate,
        delays=sorted(delays),
    )


async def _first_output(cluster: Cluster, system: System, plan: Plan, worker: Worker) -> tuple[float, float]:
    """When the second hop was first written to (monotonic), and the worker's processor time until then."""
    deadline = time.monotonic() + START_SECONDS
    while not any(cluster.end_offsets(system.hops[1:2], plan.partitions).values()):
        worker.usage()
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"nothing came out of {system.group} in {START_SECONDS} s; {worker.last_words()}"
            )
        await asyncio.sleep(0.02)
    return time.monotonic(), worker.usage().cpu


async def _drained(cluster: Cluster, system: System, plan: Plan, worker: Worker) -> float:
    """When the group had committed everything at every hop (monotonic)."""
    deadline = time.monotonic() + plan.drain_seconds
    while lag := cluster.lag(system.group, system.hops, plan.partitions):
        worker.usage()
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"{system.group} has {lag} records to do after {plan.drain_seconds:.0f} s: give it fewer "
                f"events or more time; {worker.last_words()}"
            )
        await asyncio.sleep(0.1)
    return time.monotonic()


async def _delays(
    cluster: Cluster, system: System, plan: Plan, worker: Worker, client: AIOKafkaProducer, rate: float
) -> tuple[float, list[float]]:
    """Send what follows the backlog at this rate; the rate held and the delay of every alert it triggered."""
    # Made before the clock runs: making them while sending gave bursts, and the bursts seconds of delay.
    events = iter(list(_with_probes(plan, rate)))
    since = int((time.time() + SETTLE_SECONDS) * 1000)
    held = await pace(client, plan.partitions, events, rate=rate, seconds=plan.latency_seconds)
    await _drained(cluster, system, plan, worker)
    return held, await cluster.alert_delays(system.alerts, plan.partitions, since)


def _with_probes(plan: Plan, rate: float) -> Iterator[bytes]:
    """The stream from where the backlog ends, with ten exports a second that must alert.

    By wall time and not by share of events, so that a slow and a fast system give equally many delays.
    """
    workload, first = plan.workload, plan.events
    count = int(rate * plan.latency_seconds) + 1
    every = max(int(rate / PROBES_PER_SECOND), 2)
    stream = read(cached(workload, first + count, plan.folder), first, first + count)
    for offset, event in enumerate(stream):
        if offset % every == 0:
            number = first + offset
            yield workload.probe(number, workload.seconds_at(number), offset // every)
        yield event
