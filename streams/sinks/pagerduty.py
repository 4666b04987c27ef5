"""PagerDuty, Events API v2: one incident an episode, resolved when the episode closes.

Source: https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from streams.receivers import PagerDutyReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request
from streams.sinks.notice import Language, Notice, clip, read

#: Longest summary and longest dedup_key the API takes, in characters.
LONGEST_SUMMARY, LONGEST_KEY = 1024, 255
#: PagerDuty's severities by OCSF's; unknown is worth a look.
SEVERITIES = ("warning", "info", "info", "warning", "error", "critical", "critical")


def event(notice: Notice, routing_key: str, language: Language) -> dict[str, Any]:
    """The event: trigger while the episode is open, resolve when it closes.

    The episode's uid is the dedup_key, so that what is sent again, or grows, changes one incident and opens
    no other. A test message has a key of its own and is an incident of severity info.

    Args:
        notice: what is told.
        routing_key: the integration key, 32 characters.
        language: of the summary; both languages are in the details.
    """
    key = clip(notice.id if notice.stage == "test" else notice.uid, LONGEST_KEY)
    head = {"routing_key": routing_key, "dedup_key": key}
    if notice.stage == "closed":
        return {**head, "event_action": "resolve"}
    severity = "info" if notice.stage == "test" else SEVERITIES[notice.severity]
    payload: dict[str, Any] = {
        "summary": clip(f"{notice.headline(language)}. {notice.text(language)}".strip(), LONGEST_SUMMARY),
        "source": f"parcelwatch/{notice.carrier}" if notice.carrier else "parcelwatch",
        "severity": severity,
        "timestamp": notice.utc(),
        "custom_details": details(notice),
    }
    optional = {"component": notice.site, "group": notice.carrier, "class": notice.detector}
    payload |= {name: value for name, value in optional.items() if value}
    return {**head, "event_action": "trigger", "client": "parcelwatch", "payload": payload}


def details(notice: Notice) -> dict[str, Any]:
    """What an automation needs, under names that stay the same in every language; absent is left out."""
    known: dict[str, Any] = {
        "alert": notice.uid,
        "message_id": notice.id,
        "message_en": notice.texts["en"],
        "message_vi": notice.texts["vi"],
        "detector": notice.detector,
        "detector_version": notice.version,
        "person": notice.person,
        "role": notice.role,
        "carrier": notice.carrier,
        "site": notice.site,
        "records": notice.records,
        "risk_points": notice.risk,
        "first_touch": notice.local(notice.started),
        "last_touch": notice.local(notice.ended),
        "sample_parcels": list(notice.parcels),
    }
    return {name: value for name, value in known.items() if value}


class PagerDutySink(HttpSink):
    """One PagerDuty integration.

    Args:
        name: its name in the settings.
        receiver: where it is, and its routing key.
        clock: seconds since 1970.
    """

    newest_only = True

    def __init__(
        self, name: str, receiver: PagerDutyReceiver, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(name, receiver, clock)
        self._routing_key = receiver.routing_key.get_secret_value()
        self._language = receiver.language

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The event; the key is in the body, not in a header."""
        [delivery] = deliveries
        payload = event(read(delivery), self._routing_key, self._language)
        return Request(self.url, msgspec.json.encode(payload))

    def verdict(self, answer: Answer) -> Outcome:
        """202 alone is PagerDuty's yes; 400 says that event or key are wrong and asks not to be tried again."""
        status = answer.status
        if status == 400:
            return Outcome(
                "refused",
                f"HTTP 400: PagerDuty does not take the event; see that receivers.{self.name}.routing_key is the "
                "integration key of an Events API v2 integration, restart and resend",
                status,
            )
        if 200 <= status < 300 and status != 202:
            return Outcome("retry", f"HTTP {status} instead of 202: not PagerDuty's Events API?", status)
        return super().verdict(answer)
