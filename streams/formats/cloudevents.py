"""CloudEvents 1.0 with native events as data: Kafka binary and structured mode, and JSON lines in files.

Source: CloudEvents 1.0.2, Kafka protocol binding and JSON event format.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from streams.admit.translation import Headers
from streams.admit.validate import RefusalError
from streams.formats.base import Format, json_object, json_value, required
from streams.formats.native import native_fields
from streams.formats.paths import text

_PREFIX = "ce_"
_EVENT = "application/cloudevents"
#: Longest id of an event that is kept as it is.
LONGEST_ID = 256


class CloudEvents(Format):
    """CloudEvents whose data is a native event, or what `[fields]` finds in it (paths begin at the event: `data.…`)."""

    name = "cloudevents"
    summary = "CloudEvents 1.0, binary or structured, with a native event (or a mapped one) as data"
    names_carrier = True

    def documents(self, value: bytes, headers: Headers) -> Iterator[tuple[bytes, Any]]:
        kind = _content_type(headers)
        if kind.startswith(_EVENT + "-batch"):
            raise RefusalError("batch", "a batch of CloudEvents")
        if kind.startswith(_EVENT) and not kind.startswith(_EVENT + "+json"):
            raise RefusalError("not_this_format", "structured CloudEvents in a format other than JSON")
        if not kind.startswith(_EVENT) and (attributes := _attributes(headers)):
            raw = _structured(attributes, kind, value)
            yield raw, json_object(raw)
            return
        if value.lstrip()[:1] == b"[":
            raise RefusalError("batch", "an array, as batches of CloudEvents are")
        yield value, json_object(value)

    def sealed(self, value: bytes, headers: Headers) -> bytes:
        attributes = _attributes(headers)
        return _structured(attributes, _content_type(headers), value) if attributes else value

    def translate(self, document: Any) -> dict[str, Any]:
        if text(document, "specversion") != "1.0":
            where = "$.specversion"
            raise RefusalError("not_this_format", "no CloudEvent of specversion 1.0", where)
        for name in ("id", "source", "type"):
            required(text(document, name), f"$.{name}")
        data = _data(document)
        document["data"] = data
        fields = {} if self.mapping.fields else native_fields(data)
        # Source and id together are unique; an id the data has of its own need not be.
        event_id = f"{document['source']}#{document['id']}"
        if len(event_id) > LONGEST_ID:
            event_id = sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
        fields.setdefault("time", text(document, "time"))
        return {**fields, "id": event_id}


def _content_type(headers: Headers) -> str:
    for name, value in headers:
        if name.lower() == "content-type" and value is not None:
            return value.decode(errors="replace").strip().lower()
    return ""


def _attributes(headers: Headers) -> dict[str, str]:
    """What the headers say of the event, when it is one."""
    found = {
        name.lower().removeprefix(_PREFIX): value.decode(errors="replace")
        for name, value in headers
        if name.lower().startswith(_PREFIX) and value is not None
    }
    return found if "specversion" in found else {}


def _structured(attributes: dict[str, str], content_type: str, value: bytes) -> bytes:
    """A binary event as a structured one, so that what is rejected can be read again without its headers."""
    event: dict[str, Any] = {
        name: text for name, text in attributes.items() if name not in ("data", "data_base64")
    }
    if content_type:
        event["datacontenttype"] = content_type
    try:
        event["data"] = json_value(value)
        return msgspec.json.encode(event)
    except (RefusalError, ValueError, RecursionError, OverflowError):
        event.pop("data", None)
        return msgspec.json.encode({**event, "data_base64": base64.b64encode(value).decode()})


def _data(document: dict[str, Any]) -> dict[str, Any]:
    data = document.get("data")
    if data is None and (packed := document.get("data_base64")) is not None:
        try:
            data = json_value(base64.b64decode(packed if isinstance(packed, str) else "", validate=True))
        except binascii.Error:
            raise RefusalError("not_json", "data_base64 is not base64", "$.data_base64") from None
    if data is None:
        raise RefusalError("missing_field", "the event has no data", "$.data")
    if not isinstance(data, dict):
        raise RefusalError("wrong_type", "expected a JSON object", "$.data")
    return data
