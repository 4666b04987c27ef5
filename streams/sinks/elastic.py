"""Elasticsearch by `_bulk`, into a data stream; OpenSearch takes the same.

Every message has its own `_id`, so that one sent twice is there once.

Source: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import msgspec
import orjson

from streams.receivers import ElasticReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.ecs import document
from streams.sinks.http import Answer, HttpSink, Request

#: Alone of the answer: documents it repeats would be of no use.
FILTER = "errors,items.*.status,items.*.error.type"
_PLAIN = re.compile(r"[a-z_]{1,60}")


class _Error(msgspec.Struct):
    type: str = ""


class _Created(msgspec.Struct):
    status: int
    error: _Error = msgspec.field(default_factory=_Error)


class _Item(msgspec.Struct):
    create: _Created


class _Bulk(msgspec.Struct):
    items: list[_Item]


class ElasticSink(HttpSink):
    """One cluster.

    Args:
        name: its name in the settings.
        receiver: where it is, and which data stream alerts go into.
        clock: seconds since 1970.
    """

    largest_answer = 1024 * 1024

    def __init__(self, name: str, receiver: ElasticReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self.url = (self.url / receiver.data_stream / "_bulk").with_query(filter_path=FILTER)
        self.batch = receiver.batch
        self._headers = {"content-type": "application/x-ndjson"}
        if receiver.api_key is not None:
            self._headers["authorization"] = f"ApiKey {receiver.api_key.get_secret_value()}"
        parts = receiver.data_stream.split("-")
        self._stream = (
            dict(zip(("type", "dataset", "namespace"), parts, strict=False)) if len(parts) == 3 else {}
        )

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """One `create` a message: data streams take nothing else."""
        lines = []
        for delivery in deliveries:
            view = document(delivery)
            if self._stream:
                view["data_stream"] = self._stream
            lines += [orjson.dumps({"create": {"_id": delivery.id}}), orjson.dumps(view)]
        return Request(self.url, b"\n".join(lines) + b"\n", self._headers)

    def judge(self, answer: Answer, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Each item has a status of its own, whatever that of the whole."""
        if answer.status != 200:
            return super().judge(answer, deliveries)
        try:
            items = msgspec.json.decode(answer.body, type=_Bulk).items
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            items = []
        if len(items) != len(deliveries):
            strange = Outcome(
                "retry", "HTTP 200, but not the answer of _bulk; is the url Elasticsearch's?", 200
            )
            return [strange] * len(deliveries)
        return [_judge_item(item.create) for item in items]


def _judge_item(item: _Created) -> Outcome:
    status, detail = item.status, f"item status {item.status}"
    if 200 <= status < 300:
        return Outcome("delivered", detail, status)
    if status == 409:
        return Outcome("delivered", f"{detail}: it was there already", status)
    if _PLAIN.fullmatch(item.error.type):
        detail += f": {item.error.type}"
    if status == 400:
        return Outcome("refused", f"{detail}; mend the data stream's mapping and resend", status)
    return Outcome("retry", detail, status)
