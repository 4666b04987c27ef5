"""Bytes from a carrier in, a typed record out, or a refusal that says what, where and how to mend it.

Nothing here repeats a value of the record: a refusal's text must be safe in a log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from detectors.base import ACTIONS
from streams.flow.control import ControlRecord
from streams.flow.events import CONTEXT_KINDS, AccessEvent, ContextEvent, StaffRecord

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
    "invalid_control": "send what docs/triage.md asks of this kind of record; the commands verdict, suppress, watch do",
    "invalid_records": "send the number of shipment records returned, 0 or more",
    "not_this_format": "send what the setting input_format names; `parcelwatch formats try` shows how a file is read",
    "batch": "send one CloudEvent a Kafka record; the Kafka binding has no batches",
}
REASONS = tuple(REMEDIES)

#: What is mended on the way in, and counted. docs/events.md says what each does.
CORRECTIONS = (
    "unknown_fields",
    "time_ahead",
    "time_old",
    "parcels_truncated",
    "records_capped",
    "actor_unknown",
)

LARGEST_RECORD = 1 << 20
MOST_PARCELS = 5_000
MOST_RECORDS = 10_000_000
MINUTE = 60_000
DAY = 86_400_000
AHEAD = 5 * MINUTE
OLD = 400 * DAY


class RefusalError(Exception):
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


T = TypeVar("T", AccessEvent, ContextEvent, StaffRecord, ControlRecord)

_TYPES: tuple[Any, ...] = (AccessEvent, ContextEvent, StaffRecord, ControlRecord)

_strict: dict[Any, Any] = {
    kind: msgspec.json.Decoder(
        msgspec.defstruct(f"Strict{kind.__name__}", [], bases=(kind,), forbid_unknown_fields=True)
    )
    for kind in _TYPES
}
_lenient: dict[Any, Any] = {kind: msgspec.json.Decoder(kind) for kind in _TYPES}
_datetime = msgspec.json.Decoder(datetime)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT = re.compile(r" - at `(\$[^`]*)`")
_BYTE = re.compile(r"\(byte (\d+)\)")


def decode_batch(kind: type[T], values: Sequence[bytes | None]) -> list[T] | None:
    """Decode a batch in one call; None when any of it needs a closer look (then decode one by one)."""
    try:
        joined = b"\n".join(values)  # type: ignore[arg-type]  # None among them raises TypeError
        # A line break inside a value could make two records of one: only then the lines do not tell the values apart.
        if joined.count(b"\n") != len(values) - 1 or max(map(len, values)) > LARGEST_RECORD:  # type: ignore[arg-type]  # no None
            return None
        records: list[T] = _strict[kind].decode_lines(joined)
    except (TypeError, msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return records if len(records) == len(values) else None


def decode(kind: type[T], raw: bytes | None, notes: list[str]) -> T:
    """Decode one record.

    Args:
        kind: what the topic holds.
        raw: the Kafka value.
        notes: corrections made so far; an unknown field, which is left out, is added.

    Raises:
        RefusalError: naming the fault.
    """
    if raw is None:
        raise RefusalError("null_value", "the value is null")
    if len(raw) > LARGEST_RECORD:
        raise RefusalError("too_large", f"the value has {len(raw)} bytes")
    try:
        return _strict[kind].decode(raw)  # type: ignore[no-any-return]  # decoders by kind
    except msgspec.ValidationError as exc:
        if "unknown field" not in str(exc):
            raise refusal_of(exc) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise refusal_of(exc) from None
    try:
        # Decoding twice costs only those carriers that send more than was agreed.
        record: T = _lenient[kind].decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise refusal_of(exc) from None
    notes.append("unknown_fields")
    return record


def refusal_of(exc: Exception) -> RefusalError:
    """The refusal that says what a decoder complained of: one of msgspec's, or of text, or of depth."""
    text = str(exc)
    at = _AT.search(text)
    where = at[1] if at else "$"
    if isinstance(exc, RecursionError):
        return RefusalError("too_deep", "nested too deep to read", "$")
    if not isinstance(exc, msgspec.ValidationError):
        byte = _BYTE.search(text)
        return RefusalError("not_json", "malformed JSON or UTF-8" + (f" at byte {byte[1]}" if byte else ""))
    if "missing required field" in text:
        field = text.split("`")[1]
        return RefusalError(
            "missing_field", f"the field {field} is missing", f"{where}.{field}".replace("$.$", "$")
        )
    if "length >=" in text:
        return RefusalError("empty", "the identifier is empty", where)
    if "length <=" in text:
        return RefusalError("too_long", "the value is too long", where)
    expected = re.match(r"Expected `([^`]+)`, got `([^`]+)`", text)
    detail = f"expected {expected[1]}, got {expected[2]}" if expected else "the value does not fit the field"
    return RefusalError("wrong_type", detail, where)


def as_access_event(fields: dict[str, Any]) -> AccessEvent:
    """An access event from its fields by name, typed and measured as when it is read from JSON.

    Raises:
        RefusalError: naming the fault.
    """
    try:
        return msgspec.convert(fields, AccessEvent)
    except msgspec.ValidationError as exc:
        raise refusal_of(exc) from None


_SECONDS = {f"{n:02}": n * 1000 for n in range(60)}
_THOUSANDTHS = {f"{n:03}": n for n in range(1000)}
#: By length of an RFC 3339 time: where its offset begins. With three, six or no digits of a second; Z or ±HH:MM.
_ZONE_AT = {29: 23, 24: 23, 32: 26, 27: 26, 25: 19, 20: 19}


class Clock:
    """Reads RFC 3339 times. Nearly all share their minute and offset with one read before: those cost three
    look-ups.
    """

    MOST = 50_000

    def __init__(self) -> None:
        self._minutes: dict[str, tuple[int, int]] = {}

    def read(self, text: str) -> tuple[int, int]:
        """Milliseconds since the epoch, and the offset in minutes east of UTC.

        Raises:
            RefusalError: invalid_time, time_without_offset.
        """
        zone_at = _ZONE_AT.get(len(text))
        if zone_at is not None:
            minute = self._minutes.get(text[:17] + text[zone_at:])
            second = _SECONDS.get(text[17:19])
            if minute is not None and second is not None:
                if zone_at == 19:
                    return minute[0] + second, minute[1]
                fraction = _THOUSANDTHS.get(text[20:23])
                if (
                    fraction is not None
                    and text[19] == "."
                    and (zone_at == 23 or text[23:26] in _THOUSANDTHS)
                ):
                    return minute[0] + second + fraction, minute[1]
        return self._read(text, zone_at)

    def _read(self, text: str, zone_at: int | None) -> tuple[int, int]:
        try:
            time = _datetime.decode(f'"{text}"')
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError):
            raise RefusalError("invalid_time", "the time cannot be read", "$.time") from None
        offset = time.utcoffset()
        if offset is None:
            raise RefusalError("time_without_offset", "the time has no offset", "$.time")
        minutes = (offset.days * 86_400 + offset.seconds) // 60
        since = time - EPOCH
        ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
        if zone_at is not None:
            if len(self._minutes) >= self.MOST:
                self._minutes.clear()
            self._minutes[text[:17] + text[zone_at:]] = (ms - ms % 60_000, minutes)
        return ms, minutes


def event_time(time: int, arrived: int, notes: list[str]) -> int:
    """Event time, mended when it runs ahead of its arrival.

    Args:
        time: as the event says, ms since the epoch.
        arrived: when the broker received it, ms.
        notes: corrections made so far; a mended or very old time is added.

    Raises:
        RefusalError: before 1970, or more than a day ahead.
    """
    if time < 0:
        raise RefusalError("invalid_time", "the time lies before 1970", "$.time")
    ahead = time - arrived
    if ahead > AHEAD:
        if ahead > DAY:
            raise RefusalError("time_in_future", "the time is more than a day ahead of the arrival", "$.time")
        notes.append("time_ahead")
        return arrived
    if ahead < -OLD:
        notes.append("time_old")
    return time


def count_records(event: AccessEvent, notes: list[str]) -> int:
    """Shipment records the access returned.

    Raises:
        RefusalError: when negative.
    """
    records = event.records
    if records is None:
        return len(event.parcels)
    if records < 0:
        raise RefusalError("invalid_records", "the number of records is negative", "$.records")
    if records > MOST_RECORDS:
        notes.append("records_capped")
        return MOST_RECORDS
    return max(records, len(event.parcels))
