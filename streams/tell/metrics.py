"""What tell tells Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.tell.deliveries import Standing

DELAY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)


class TellMetrics:
    """What tell tells Prometheus; the only label is the receiver, as the settings name them."""

    def __init__(self, registry: CollectorRegistry, receivers: Sequence[str]) -> None:
        prefix = "parcelwatch_tell_"
        by = ["receiver"]
        self.alerts = Counter(prefix + "alerts_total", "Alerts taken from the topic.", registry=registry)
        self.duplicates = Counter(
            prefix + "duplicates_total", "Records of the topic taken before.", registry=registry
        )
        self.suppressed = Counter(
            prefix + "suppressed_total",
            "Alerts taken from the topic that are suppressed: told to nobody.",
            registry=registry,
        )
        self.unreadable = Counter(
            prefix + "unreadable_total", "Records of the topic that are no alert.", registry=registry
        )
        self.lag = Gauge(
            prefix + "lag_records",
            "Records of the alerts topic not read yet, as last asked.",
            registry=registry,
        )
        self.attempts = Counter(prefix + "attempts_total", "Attempts ended.", by, registry=registry)
        self.deliveries = Counter(
            prefix + "deliveries_total",
            "Deliveries ended: delivered, undelivered (given up, refused, receiver gone), or superseded.",
            [*by, "outcome"],
            registry=registry,
        )
        self.delay = Histogram(
            prefix + "delivery_delay_seconds",
            "From the alert's record in the topic to the receiver's 2xx.",
            by,
            buckets=DELAY_BUCKETS,
            registry=registry,
        )
        self.refreshes = Counter(
            prefix + "refreshes_total",
            "Open episodes handed over again, to receivers that forget: delivered or failed.",
            [*by, "outcome"],
            registry=registry,
        )
        self._pending = Gauge(prefix + "pending", "Deliveries still being tried.", by, registry=registry)
        self._undelivered = Gauge(
            prefix + "undelivered", "Deliveries given up and kept to be resent.", by, registry=registry
        )
        self._oldest = Gauge(
            prefix + "oldest_pending_timestamp_seconds",
            "When the oldest pending delivery began; 0 when none is pending.",
            by,
            registry=registry,
        )
        self._disabled = Gauge(
            prefix + "receiver_disabled", "1 when the receiver answered 410 Gone.", by, registry=registry
        )
        self._receivers = tuple(receivers)
        for name in receivers:
            self.attempts.labels(name)
            self.delay.labels(name)
            for outcome in ("delivered", "undelivered", "superseded"):
                self.deliveries.labels(name, outcome)
            for outcome in ("delivered", "failed"):
                self.refreshes.labels(name, outcome)
        self.standings({})

    def standings(self, found: dict[str, Standing]) -> None:
        """Set the gauges to how the receivers stand."""
        for name in self._receivers:
            standing = found.get(name, Standing())
            self._pending.labels(name).set(standing.pending)
            self._undelivered.labels(name).set(standing.undelivered)
            self._oldest.labels(name).set(standing.oldest_pending)
            self._disabled.labels(name).set(bool(standing.disabled))
