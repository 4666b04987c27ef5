"""Prometheus Alertmanager, API v2: an alert fires while its episode is open, and resolves when it closes.

Alertmanager forgets an alert that is not sent again, so open episodes are refreshed. What is posted ends by itself
four refreshes later: should parcelwatch die, Alertmanager resolves what nobody stands behind any more.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from streams.receivers import AlertmanagerReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request
from streams.sinks.notice import Notice, read

ALERT_NAME = "ParcelDataLeak"
#: Refreshes that may fail in a row before an alert resolves by itself.
OUTLIVES = 4
#: Alertmanager's usual severities by OCSF's; unknown is worth a look.
SEVERITIES = ("warning", "info", "info", "warning", "critical", "critical", "critical")


class AlertmanagerSink(HttpSink):
    """One Alertmanager.

    Args:
        name: its name in the settings.
        receiver: where it is, and how often alerts are sent again.
        clock: seconds since 1970.
    """

    newest_only = True

    def __init__(
        self, name: str, receiver: AlertmanagerReceiver, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(name, receiver, clock)
        self.url = self.url / "api/v2/alerts"
        self.refresh = receiver.refresh
        self.batch = receiver.batch
        self._outlives = OUTLIVES * receiver.refresh
        self._headers = {}
        if receiver.token is not None:
            self._headers["authorization"] = f"Bearer {receiver.token.get_secret_value()}"
        # Severity is one of the labels, which are an alert's identity: when it rises, the old one must end.
        self._fired: dict[str, int] = {}

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """All of them in one array."""
        now = self.clock()
        alerts = []
        for notice in map(read, deliveries):
            before = self._fired.get(notice.uid, notice.severity)
            if before != notice.severity:
                alerts.append(alert(notice, now, 0.0, before))
            alerts.append(alert(notice, now, self._outlives))
        return Request(self.url, orjson.dumps(alerts), self._headers)

    def judge(self, answer: Answer, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """As for all; what fires now is kept in mind."""
        outcomes = super().judge(answer, deliveries)
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            notice = read(delivery)
            if outcome.kind == "delivered" and notice.stage in ("opened", "grew"):
                self._fired[notice.uid] = notice.severity
            elif outcome.kind == "delivered":
                self._fired.pop(notice.uid, None)
        return outcomes

    def verdict(self, answer: Answer) -> Outcome:
        """200 is Alertmanager's yes; 400 says that it will never take this alert."""
        if answer.status == 400:
            return Outcome("refused", "HTTP 400: Alertmanager does not take the alert", 400)
        return super().verdict(answer)


def alert(notice: Notice, now: float, lasts: float, severity: int | None = None) -> dict[str, Any]:
    """One postable alert.

    Labels say which alert it is, so they hold nothing that changes within an episode but the severity, and no
    person: that is in the annotations, as a token.

    Args:
        notice: what is told.
        now: seconds since 1970.
        lasts: seconds it fires from now on, unless posted again; none once the episode is closed.
        severity: OCSF severity_id, when it is another one than the notice's.
    """
    # Alertmanager takes no alert that ends before it starts, whatever the clocks of carriers say.
    starts = min(notice.started / 1000, now)
    test = notice.stage == "test"
    closed = notice.stage == "closed" or not lasts
    ends = max(starts, min(notice.occurred / 1000, now)) if closed else now + lasts
    labels = {
        "alertname": "ParcelwatchTest" if test else ALERT_NAME,
        "severity": "info" if test else SEVERITIES[notice.severity if severity is None else severity],
        "detector": notice.detector,
        "carrier": notice.carrier,
        "episode": notice.uid,
    }
    annotations = {
        "summary": notice.headline("en"),
        "description": notice.text("en"),
        "description_vi": notice.text("vi"),
        "title": notice.title,
        "person": notice.person,
        "site": notice.site,
        "records": str(notice.records),
        "risk": str(notice.risk),
        "ocsf_severity": notice.severity_name("en"),
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: value for name, value in annotations.items() if value},
        "startsAt": _moment(starts),
        "endsAt": _moment(ends),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
