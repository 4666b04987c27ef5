"""What the detect stages of a worker know of their own doing, for the metrics."""

from __future__ import annotations

import time
from collections.abc import Collection

from streams.detect.library import ModelLibrary
from streams.detect.stage import DetectStage
from streams.flow.control import ACTIVE, SHADOW
from streams.monitoring.detection import DetectionMetrics

#: Seconds between two measurements of drift, which takes some milliseconds.
DRIFT_EVERY = 60.0


class DetectionExport:
    """Exports once a second what has changed.

    Args:
        metrics: where to.
        library: the models.
        budget: alerts per 1,000 user-days at the most.
    """

    def __init__(self, metrics: DetectionMetrics, library: ModelLibrary, budget: float) -> None:
        self._metrics = metrics
        self._library = library
        self._drift_at = 0.0
        metrics.budget.set(budget / 1000)

    def export(self, stages: Collection[DetectStage]) -> None:
        """Take the figures of the stages this worker runs at present."""
        metrics = self._metrics
        # Every partition learns of every person's day, so one of them knows all.
        rates = [rate for stage in stages for rate in stage.norms.opened().values()]
        metrics.rate.set(max(rates, default=0.0) / 1000)
        for stage in stages:
            for mode in (ACTIVE, SHADOW):
                metrics.scored(mode, *stage.scoring.take_counts(mode))
            for detector, n in stage.findings.items():
                metrics.found(detector, n)
            stage.findings.clear()
            for (detector, verdict), n in stage.controls.verdicts.items():
                metrics.judged(detector, verdict, n)
            stage.controls.verdicts.clear()
        in_force = {sha for stage in stages for sha in stage.controls.shas()}
        metrics.missing.set(sum(self._library.get(sha) is None for sha in in_force))
        now = time.monotonic()
        if now - self._drift_at >= DRIFT_EVERY:
            self._drift_at = now
            metrics.drift.set(max((stage.scoring.drift() for stage in stages), default=0.0))
