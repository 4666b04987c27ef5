"""Bytes from a carrier in, a typed record out, or a refusal that says what, where and how to mend it.

Nothing here repeats a value of the record: a refusal's text must be safe in a log.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, TypeVar

import msgspec

from detectors.base import ACTIONS
from streams.events import CONTEXT_KINDS, AccessEvent, ContextEvent, StaffRecord

#: Reasons for which a record is rejected, with what a carrier's engineer does about each.
REMEDIES = {
    "null_value": "send a JSON object as the value; a null value means nothing in this topic",
    "too_large": "keep a record below 1 MiB; split an event that lists very many parcels",
    "not_json": "send one JSON object in UTF-8 per message; check the byte position given",
    "too_deep": "send a flat JSON object; nesting this deep is never needed",
    "missing_field": "add the field; required are time, carrier, actor, action (context: time, carrier, parcel, kind)",
    "wrong_type": "send the field with the type given in docs/events.md",
    "empty": "send an identifier of at least one character, or leave an optional field out",
    "too_long": "send an identifier of at most 256 characters (carrier: 64)",
    "invalid_time": "send time as RFC 3339, for example 2026-11-24T08:03:21.120+07:00, from 1970 on",
    "time_without_offset": "add the offset to time: +07:00 or Z",
    "time_in_future": "correct the sender's clock: the event's time is more than a day ahead of its arrival",
    "unknown_carrier": "correct the carrier code, or make its keys: parcelwatch keys add CARRIER",
    "unknown_action": "send one of: " + ", ".join(ACTIONS),
    "unknown_kind": "send one of: " + ", ".join(CONTEXT_KINDS),
    "invalid_records": "send the number of shipment records returned, 0 or more",
}
REASONS = tuple(REMEDIES)

#: What is mended on the way in, and counted. docs/events.md says what each does.
CORRECTIONS = ("unknown_fields", "time_ahead", "time_old", "parcels_truncated", "records_capped", "actor_unknown")

LARGEST_RECORD = 1 << 20
MOST_PARCELS = 5_000
MOST_RECORDS = 10_000_000
MINUTE = 60_000
DAY = 86_400_000
AHEAD = 5 * MINUTE
OLD = 400 * DAY


class Refusal(Exception):
    """A record that cannot be admitted.

    Attributes:
        reason: a key of REMEDIES.
        where: JSON path of the fault, or empty.
        detail: what is wrong, without any value of the record.
        carrier: carrier code when it could be read and is known, else empty.
    """

    def __init__(self, reason: str, detail: str, where: str = "", carrier: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.where = where
        self.detail = detail
        self.carrier = carrier

    @property
    def remedy(self) -> str:
        """What the carrier's engineer does about it."""
        return REMEDIES[self.reason]


T = TypeVar("T", AccessEvent, ContextEvent, StaffRecord)

_strict: dict[Any, Any] = {
    kind: msgspec.json.Decoder(msgspec.defstruct(f"Strict{kind.__name__}", [], bases=(kind,), forbid_unknown_fields=True))
    for kind in (AccessEvent, ContextEvent, StaffRecord)
}
_lenient: dict[Any, Any] = {kind: msgspec.json.Decoder(kind) for kind in (AccessEvent, ContextEvent, StaffRecord)}
_AT = re.compile(r" - at `(\$[^`]*)`")
_BYTE = re.compile(r"\(byte (\d+)\)")


def decode(kind: type[T], raw: bytes | None, corrected: Counter[str]) -> T:
    """Decode one record.

    Args:
        kind: what the topic holds.
        raw: the Kafka value.
        corrected: where an unknown field is counted; such fields are left out.

    Raises:
        Refusal: naming the fault.
    """
    if raw is None:
        raise Refusal("null_value", "the value is null")
    if len(raw) > LARGEST_RECORD:
        raise Refusal("too_large", f"the value has {len(raw)} bytes")
    try:
        return _strict[kind].decode(raw)  # type: ignore[no-any-return]  # decoders by kind
    except msgspec.ValidationError as exc:
        if "unknown field" not in str(exc):
            raise _refusal(exc) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refusal(exc) from None
    try:
        # Decoding twice costs only those carriers that send more than was agreed.
        record: T = _lenient[kind].decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refusal(exc) from None
    corrected["unknown_fields"] += 1
    return record


def _refusal(exc: Exception) -> Refusal:
    text = str(exc)
    at = _AT.search(text)
    where = at[1] if at else "$"
    if isinstance(exc, RecursionError):
        return Refusal("too_deep", "nested too deep to read", "$")
    if not isinstance(exc, msgspec.ValidationError):
        byte = _BYTE.search(text)
        return Refusal("not_json", "malformed JSON or UTF-8" + (f" at byte {byte[1]}" if byte else ""))
    if "missing required field" in text:
        field = text.split("`")[1]
        return Refusal("missing_field", f"the field {field} is missing", f"{where}.{field}".replace("$.$", "$"))
    if "timezone component" in text:
        return Refusal("time_without_offset", "the time has no offset", where)
    if "datetime" in text:
        return Refusal("invalid_time", "the time cannot be read", where)
    if "length >=" in text:
        return Refusal("empty", "the identifier is empty", where)
    if "length <=" in text:
        return Refusal("too_long", "the value is too long", where)
    expected = re.match(r"Expected `([^`]+)`, got `([^`]+)`", text)
    detail = f"expected {expected[1]}, got {expected[2]}" if expected else "the value does not fit the field"
    return Refusal("wrong_type", detail, where)


def event_time(stamp: float, arrived: int, corrected: Counter[str]) -> int:
    """Event time in ms, mended when it runs ahead of its arrival.

    Args:
        stamp: seconds since the epoch, as the event says.
        arrived: when the broker received it, ms.
        corrected: where a mended or very old time is counted.

    Raises:
        Refusal: before 1970, or more than a day ahead.
    """
    time = int(stamp * 1000 + 0.5)
    if time < 0:
        raise Refusal("invalid_time", "the time lies before 1970", "$.time")
    ahead = time - arrived
    if ahead > AHEAD:
        if ahead > DAY:
            raise Refusal("time_in_future", "the time is more than a day ahead of the arrival", "$.time")
        corrected["time_ahead"] += 1
        return arrived
    if ahead < -OLD:
        corrected["time_old"] += 1
    return time


def count_records(event: AccessEvent, corrected: Counter[str]) -> int:
    """Shipment records the access returned.

    Raises:
        Refusal: when negative.
    """
    records = event.records
    if records is None:
        return len(event.parcels)
    if records < 0:
        raise Refusal("invalid_records", "the number of records is negative", "$.records")
    if records > MOST_RECORDS:
        corrected["records_capped"] += 1
        return MOST_RECORDS
    return max(records, len(event.parcels))
