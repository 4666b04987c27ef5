"""Splunk HTTP Event Collector: one event a message, several in one request.

Source: https://docs.splunk.com/Documentation/Splunk/latest/Data/HECRESTendpoints
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import orjson

from streams.receivers import SplunkReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request

#: What the collector's codes say that an operator can act on, in own words.
CODES = {
    1: "the token is disabled",
    2: "the token is missing",
    3: "the authorization header is not understood",
    4: "the token is not known",
    5: "there is no data",
    6: "the event is not understood",
    7: "the token may not write to this index, or there is none of this name",
    8: "an internal error",
    9: "the server is busy",
    10: "the token asks for acknowledgement, which is not supported; use one without",
    12: "the event field is missing",
    13: "the event is blank",
    14: "acknowledgement is disabled",
    15: "the indexed fields are not understood",
}
#: Codes that blame the event itself: sending it again changes nothing.
BLAME_EVENT = frozenset({5, 6, 12, 13, 15})


class _Said(msgspec.Struct):
    code: int


class SplunkSink(HttpSink):
    """One event collector.

    Args:
        name: its name in the settings.
        receiver: where it is, and how events are filed.
        clock: seconds since 1970.
    """

    def __init__(self, name: str, receiver: SplunkReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self.url = self.url / "services/collector/event"
        self.batch = receiver.batch
        self._headers = {"authorization": f"Splunk {receiver.token.get_secret_value()}"}
        self._filed = {"host": "parcelwatch", "source": receiver.source, "sourcetype": receiver.sourcetype}
        if receiver.index is not None:
            self._filed["index"] = receiver.index

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """Events one after the other, each the OCSF alert byte for byte, with its ids as indexed fields."""
        events = [
            orjson.dumps(
                {
                    "time": delivery.occurred / 1000,
                    **self._filed,
                    "fields": {"episode": delivery.uid, "message_id": delivery.id},
                    "event": orjson.Fragment(delivery.body),
                }
            )
            for delivery in deliveries
        ]
        return Request(self.url, b"\n".join(events), self._headers)

    def verdict(self, answer: Answer) -> Outcome:
        """By the collector's code; a 200 without code 0 comes from something else."""
        try:
            code = msgspec.json.decode(answer.body, type=_Said).code
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            code = None
        status, detail = answer.status, f"HTTP {answer.status}"
        if 200 <= status < 300:
            if code == 0:
                return Outcome("delivered", detail, status)
            return Outcome("retry", f"{detail}, but not the collector's answer; is the url its own?", status)
        if code in CODES:
            detail += f", code {code}: {CODES[code]}"
            if status == 400 and code in BLAME_EVENT:
                return Outcome("refused", detail, status)
            return Outcome("retry", detail, status, answer.after)
        return super().verdict(answer)
