"""Every metric of every parcelwatch process, as docs/metrics.md lists them: `python -m deploy.prometheus.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from streams.admit.validate import CORRECTIONS, REASONS
from streams.flow.control import known_detectors
from streams.history.archive_service import HistoryMetrics
from streams.monitoring.health import readiness
from streams.monitoring.metrics import Metrics, new_registry
from streams.tell.metrics import TellMetrics
from streams.worker.app import STAGE_OF

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
#: Suffixes of the samples of a histogram.
PARTS = ("_bucket", "_count", "_sum")
#: Label values named in the table; of more than so many only the number is said.
SHOWN = 5

HEAD = """# Metrics

Generated from the code by `python -m deploy.prometheus.reference`; a test holds the two together.
Alerts on them: [runbooks](runbooks/README.md); dashboards: [dashboards.md](dashboards.md).

Each process serves `/metrics`, in OpenMetrics to whoever asks for it: the worker on `http_port`, `parcelwatch tell` on
`tell_http_port`, `parcelwatch history write` on `history_http_port` ([settings](settings.md)). No label names a
person, a parcel or a carrier. Label sets that are known are there from the start, at 0; a lag is there once it has been
measured. Counters count since the process started; times are Unix times in seconds, so an age is `time() - metric`.
"""

TAIL = """
## All processes

| metric | type | labels | meaning |
|---|---|---|---|
| `parcelwatch_build_info` | gauge | `version`, `python` | Version of parcelwatch and of Python; always 1. |
| `parcelwatch_ready` | gauge | | 1 while /readyz answers that the process does its work. |
| `process_…`, `python_gc_…` | | | CPU time, memory, open files and garbage collection, as of every Python client. |
"""


class Family(NamedTuple):
    """One metric.

    Attributes:
        name: as scraped; of a histogram without `_bucket`, `_count`, `_sum`.
        kind: counter, gauge or histogram.
        labels: values exported from the start, by label; empty for `le`.
        meaning: its help text.
    """

    name: str
    kind: str
    labels: dict[str, list[str]]
    meaning: str

    @property
    def samples(self) -> list[str]:
        """Names of its series."""
        return [self.name + part for part in PARTS] if self.kind == "histogram" else [self.name]


def registries() -> dict[str, CollectorRegistry]:
    """A registry like that of each kind of process, by its command; tell's has one receiver, `soc`."""
    worker, tell, history = new_registry(), new_registry(), new_registry()
    metrics = Metrics(worker, rejections=REASONS, corrections=CORRECTIONS, detectors=known_detectors())
    for topic in STAGE_OF:
        metrics.lag(topic, 0)
    TellMetrics(tell, ["soc"])
    HistoryMetrics(history)
    made = {"worker": worker, "tell": tell, "history write": history}
    for registry in made.values():
        readiness(registry, lambda: (True, ""))
    return made


def families(registry: CollectorRegistry) -> Iterator[Family]:
    """Our own metrics of a registry, by name."""
    for metric in sorted(registry.collect(), key=lambda metric: metric.name):
        if not metric.name.startswith("parcelwatch_"):
            continue
        labels: dict[str, list[str]] = {}
        for sample in metric.samples:
            if sample.name.endswith("_created"):
                continue
            for label, value in sample.labels.items():
                values = labels.setdefault(label, [])
                if label != "le" and value not in values:
                    values.append(value)
        name = metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")
        yield Family(name, metric.type, labels, metric.documentation)


def page() -> str:
    """docs/metrics.md."""
    lines = [HEAD]
    for command, registry in registries().items():
        lines += [
            f"## `parcelwatch {command}`",
            "",
            "| metric | type | labels | meaning |",
            "|---|---|---|---|",
        ]
        for family in families(registry):
            if family.name in ("parcelwatch_build_info", "parcelwatch_ready"):
                continue
            lines.append(f"| `{family.name}` | {family.kind} | {_labels(family.labels)} | {family.meaning} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n" + TAIL


def _labels(labels: dict[str, list[str]]) -> str:
    told = []
    for label, values in labels.items():
        if label == "le":
            continue
        if label == "receiver":
            told.append("`receiver`: as the settings name it")
        elif len(values) <= SHOWN:
            told.append(f"`{label}`: {', '.join(values)}")
        else:
            told.append(f"`{label}`: {len(values)} values")
    return "; ".join(told)


if __name__ == "__main__":
    PAGE.write_text(page())
