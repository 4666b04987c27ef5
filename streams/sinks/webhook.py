"""Webhook receivers after Standard Webhooks 1.0.0: signed, and sent the alert or where to find it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from standardwebhooks import Webhook

from streams.receivers import WebhookReceiver
from streams.receivers.base import signing_key
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request

#: Standard Webhooks asks for bodies below this many bytes; a larger alert is sent thin.
LARGEST_BODY = 20_000


class _Head(msgspec.Struct):
    severity_id: Any = None
    severity: Any = None


_head = msgspec.json.Decoder(_Head)


class WebhookSink(HttpSink):
    """One webhook receiver.

    Args:
        name: its name in the settings.
        receiver: where it is, and how it is signed for.
        clock: seconds since 1970.
    """

    def __init__(self, name: str, receiver: WebhookReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self._signers = [
            Webhook(signing_key(secret.get_secret_value()))
            for secret in (receiver.secret, *receiver.previous_secrets)
        ]
        self._thin = receiver.payload == "thin"
        self._link = receiver.link

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The message with its signatures; the very bytes that are signed are sent."""
        [delivery] = deliveries
        body = _message(delivery, delivery.body)
        if self._thin or len(body) >= LARGEST_BODY:
            body = _message(delivery, self._thin_payload(delivery))
        # In UTC: the library takes any other zone's wall time for UTC and signs a wrong moment.
        attempted = datetime.fromtimestamp(int(self.clock()), UTC)
        signatures = [signer.sign(delivery.id, attempted, body.decode()) for signer in self._signers]
        return Request(
            self.url,
            body,
            {
                "webhook-id": delivery.id,
                "webhook-timestamp": str(int(attempted.timestamp())),
                "webhook-signature": " ".join(signatures),
            },
        )

    def verdict(self, answer: Answer) -> Outcome:
        """As for all, but 410 says that the receiver wants nothing any more."""
        if answer.status == 410:
            return Outcome("gone", "HTTP 410: the receiver wants no more alerts", 410)
        return super().verdict(answer)

    def _thin_payload(self, delivery: Delivery) -> bytes:
        head = _head.decode(delivery.body)
        payload = {
            "id": delivery.id,
            "uid": delivery.uid,
            "severity_id": head.severity_id,
            "severity": head.severity,
            "time": delivery.occurred,
        }
        if self._link:
            payload["link"] = self._link.replace("{uid}", delivery.uid)
        return orjson.dumps(payload)


def _message(delivery: Delivery, data: bytes) -> bytes:
    occurred = datetime.fromtimestamp(delivery.occurred / 1000, UTC).isoformat(timespec="milliseconds")
    head = f'{{"type":"{delivery.type}","timestamp":"{occurred}","data":'
    return head.encode() + data + b"}"
