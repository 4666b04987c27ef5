"""Metrics of detection itself: alerts against their budget, models, and what analysts say of the alerts."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.flow.control import ACTIVE, SHADOW, VERDICTS

#: What a verdict on a detector that this version does not know is counted under: anybody may write any name.
OTHER = "other"


class DetectionMetrics:
    """How detection keeps to its budget, and how the models are doing.

    Attributes:
        rate: alerts (episodes) opened per person and active day, over about two weeks; the highest of any carrier.
        budget: what it is meant to be at the most.
        missing: models in force that cannot be used.
        drift: highest population stability index of a feature of an active model, chance taken off.
    """

    def __init__(self, registry: CollectorRegistry, detectors: Iterable[str] = ()) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"parcelwatch_{name}", text, registry=registry)

        self.rate = gauge("alert_rate_ratio", "Alerts opened per person and active day, over two weeks.")
        self.budget = gauge(
            "alert_budget_ratio", "Alerts per person and active day that are wanted at the most."
        )
        self.missing = gauge("models_missing", "Models in force that cannot be used.")
        self.drift = gauge("model_drift_psi", "Highest population stability index of an active model.")
        self._scored = Counter(
            "parcelwatch_model_scores_total", "Hours of people scored.", ["mode"], registry=registry
        )
        self._surprising = Counter(
            "parcelwatch_model_surprises_total",
            "Of those, rarer than one in a thousand.",
            ["mode"],
            registry=registry,
        )
        for mode in (ACTIVE, SHADOW):
            self.scored(mode, 0, 0)
        verdicts = Counter(
            "parcelwatch_verdicts_total",
            "Verdicts of analysts on alerts; of rules that are no more under other.",
            ["detector", "verdict"],
            registry=registry,
        )
        self._findings = Counter(
            "parcelwatch_findings_total",
            "Times a detector found something, before episodes are made of it.",
            ["detector"],
            registry=registry,
        )
        for name in detectors:
            self.found(name, 0)
        self._verdicts = {
            (name, value): verdicts.labels(name, value) for name in (*detectors, OTHER) for value in VERDICTS
        }

    def scored(self, mode: str, hours: int, surprising: int) -> None:
        """Count person-hours a model scored, by mode, and those of them it found surprising."""
        self._scored.labels(mode).inc(hours)
        self._surprising.labels(mode).inc(surprising)

    def found(self, detector: str, n: int) -> None:
        """Count findings of a detector."""
        self._findings.labels(detector).inc(n)

    def judged(self, detector: str, verdict: str, n: int) -> None:
        """Count verdicts (`true_positive`, `false_positive` or `benign`) on alerts of a detector."""
        name = detector if (detector, verdict) in self._verdicts else OTHER
        self._verdicts[name, verdict].inc(n)
