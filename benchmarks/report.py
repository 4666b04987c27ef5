"""Medians over the rounds, as a table for people and as JSON for comparison over time."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median

from rich.table import Table

from benchmarks.harness import Round
from streams.kafka.jars import KAFKA_VERSION


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        key: name in the JSON.
        title: name in the table, with its unit.
        digits: decimals shown.
        more_is_better: so that a ratio above 1 always means that parcelwatch is better.
        of: the value of one round; None when the round has none.
    """

    key: str
    title: str
    digits: int
    more_is_better: bool
    of: Callable[[Round], float | None]


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Nearest-rank percentile: the least value that this share of all does not exceed; None of nothing."""
    if not ordered:
        return None
    return ordered[max(-(-len(ordered) * round(share * 1000) // 1000) - 1, 0)]


METRICS = (
    Metric("events_per_second", "events/s", 0, True, lambda r: r.events_per_second),
    Metric("cpu_seconds_per_million", "CPU s per million events", 1, False, lambda r: r.cpu_per_million),
    Metric("peak_rss_mb", "peak memory, MB", 0, False, lambda r: r.peak_rss),
    Metric("p50_ms", "produce to alert at half load, p50 ms", 0, False, lambda r: _ms(r.delays, 0.5)),
    Metric("p99_ms", "produce to alert at half load, p99 ms", 0, False, lambda r: _ms(r.delays, 0.99)),
)


def _ms(delays: list[float], share: float) -> float | None:
    delay = percentile(delays, share)
    return None if delay is None else delay * 1000


def machine() -> dict[str, str | int]:
    """What the figures hold for: processor, Python and the versions that matter."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        **{name: version(name) for name in ("faust-streaming", "aiokafka", "rocksdict", "parcelwatch")},
    }


def medians(rounds: Sequence[Round]) -> dict[str, float | None]:
    """The median of each metric over the rounds that have it."""
    found = {}
    for metric in METRICS:
        values = [value for each in rounds if (value := metric.of(each)) is not None]
        found[metric.key] = median(values) if values else None
    return found


def ratios(ours: dict[str, float | None], theirs: dict[str, float | None]) -> dict[str, float | None]:
    """How many times better parcelwatch is than stock Faust, by metric; None where either has no value."""
    found: dict[str, float | None] = {}
    for metric in METRICS:
        our, their = ours[metric.key], theirs[metric.key]
        if not our or not their:
            found[metric.key] = None
        else:
            found[metric.key] = our / their if metric.more_is_better else their / our
    return found


def as_json(results: dict[str, list[Round]]) -> dict[str, object]:
    """Everything that was measured, with the machine it was measured on."""
    middle = {name: medians(rounds) for name, rounds in results.items()}
    report: dict[str, object] = {
        "machine": machine(),
        "median": middle,
        "rounds": {name: [asdict(each) for each in rounds] for name, rounds in results.items()},
    }
    if "parcelwatch" in middle and "stock-faust" in middle:
        report["times_better"] = ratios(middle["parcelwatch"], middle["stock-faust"])
    return report


def as_table(results: dict[str, list[Round]]) -> Table:
    """The medians side by side, with the ratio where both systems were measured."""
    facts = machine()
    table = Table(
        title=f"{facts['cores']} cores shared by worker, broker and producer; Python {facts['python']}, "
        f"Kafka {facts['kafka']}, Faust {facts['faust-streaming']}",
        caption="events/s: from the first record sent to the second hop until all is committed at every hop, "
        "start-up left out. CPU: the worker's process over that time. Memory: its peak. Delays: from the "
        "broker taking the event to its taking the alert. Times better: above 1, parcelwatch is better.",
    )
    table.add_column("median of the rounds")
    for name in results:
        table.add_column(name, justify="right")
    middle = {name: medians(rounds) for name, rounds in results.items()}
    both = ratios(middle["parcelwatch"], middle["stock-faust"]) if len(results) == 2 else {}
    if both:
        table.add_column("times better", justify="right")
    for metric in METRICS:
        values = [_shown(middle[name][metric.key], metric.digits) for name in results]
        table.add_row(metric.title, *values, *([_shown(both[metric.key], 1)] if both else []))
    table.add_section()
    for title, of in _FACTS:
        table.add_row(title, *(" / ".join(of(each) for each in rounds) for rounds in results.values()))
    return table


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


_FACTS: tuple[tuple[str, Callable[[Round], str]], ...] = (
    ("each round: backlog, events", lambda r: f"{r.events:,}"),
    ("each round: seconds", lambda r: f"{r.seconds:.1f}"),
    ("each round: alerts from the backlog", lambda r: f"{r.alerts:,}"),
    ("each round: paced events/s", lambda r: f"{r.paced_rate:,.0f}"),
    ("each round: delays measured", lambda r: f"{len(r.delays):,}"),
)
