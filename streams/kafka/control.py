"""The control topic: decisions about detection are published to it, and read back from it.

The topic is the record of who decided what, until when and why. Nothing else is kept of a decision.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import msgspec
import structlog
from aiokafka.errors import KafkaError

from detectors.sigma import RuleSet
from streams.flow.control import DAY, LONGEST_WHY, ControlRecord, Kind, fault
from streams.flow.sources import source_key, source_partition
from streams.flow.topics import CONTROL
from streams.kafka.reading import read_topic
from streams.kafka.sender import producer, topic_partitions
from streams.settings import Settings

log = structlog.get_logger(__name__)


#: Years a time may be in.
EARLIEST, LATEST = 1970, 9998

_decode = msgspec.json.Decoder(ControlRecord).decode
_when = msgspec.json.Decoder(datetime)
_AT = re.compile(r" - at `(\$[^`]*)`")


class ControlError(Exception):
    """A decision that cannot be recorded: what, where, how to mend it; never a staff id."""


class Entry(NamedTuple):
    """A control record and where it stands.

    Attributes:
        record: what was decided.
        partition, offset: its place in the topic.
        timestamp: when the broker had it, ms since the epoch.
    """

    record: ControlRecord
    partition: int
    offset: int
    timestamp: int


class Unreadable(NamedTuple):
    """A record of the topic that is no control record, or decides nothing; `reason` says why, without its contents."""

    partition: int
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"{CONTROL}/{self.partition}/{self.offset} is no control record: {self.reason}"


def moment(text: str) -> datetime:
    """A time of a control record, RFC 3339 with offset. Raises ValueError."""
    try:
        at = _when.decode(msgspec.json.encode(text))
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise ValueError("no RFC 3339 time") from None
    if at.tzinfo is None:
        raise ValueError("a time without offset")
    # Within a day of its ends, the calendar cannot be turned into another zone's.
    if not EARLIEST <= at.year <= LATEST:
        raise ValueError(f"a time that is not from {EARLIEST} to {LATEST}")
    return at.astimezone(UTC)


def stamp(at: datetime) -> str:
    """A moment as control records have it: RFC 3339 in UTC, to the millisecond.

    >>> stamp(datetime.fromisoformat("2026-11-24T08:03:21.1209+07:00"))
    '2026-11-24T01:03:21.120Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_record(
    kind: Kind, carrier: str, now: datetime, rules: RuleSet | None = None, **fields: str
) -> ControlRecord:
    """A control record of this moment, with an id of its own, so that it counts once however often it is sent.

    Raises:
        ControlError: it is not a record that can take effect, see `check`.
    """
    record = ControlRecord(time=stamp(now), carrier=carrier, kind=kind, id=uuid4().hex, rules=rules, **fields)
    check(record)
    return record


def check(record: ControlRecord) -> None:
    """Refuse what admit would refuse, or what must not be decided.

    Raises:
        ControlError: the first fault, and how to mend it.
    """
    if len(record.why) > LONGEST_WHY:
        raise ControlError(
            f"{record.kind}: the reason has {len(record.why):,} characters; at most {LONGEST_WHY:,} are kept"
        )
    try:
        # A Struct is not checked when it is made, only when it is read.
        _decode(msgspec.json.encode(record))
        time = _ms(moment(record.time))
    except UnicodeEncodeError:
        raise ControlError(
            f"{record.kind}: a field holds bytes that are no text; write it in UTF-8"
        ) from None
    except (msgspec.DecodeError, ValueError) as exc:
        raise ControlError(f"{record.kind}: {_reason(exc)}; see `parcelwatch {record.kind} --help`") from None
    try:
        until = _ms(moment(record.until)) if record.until else 0
    except ValueError:
        until = 0  # as good as none
    if wrong := fault(record, time, until):
        raise ControlError(f"{record.kind}: {wrong[1]}")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def publish(settings: Settings, record: ControlRecord) -> tuple[int, int]:
    """Write a decision to the control topic, and wait until every in-sync replica has it.

    The key is the carrier, so that decisions about one carrier keep their order.

    Returns:
        Partition and offset.

    Raises:
        ControlError: not a record that can take effect, or the broker did not confirm it.
        SendError: there is no such topic.
        TopicError: no broker answers.
    """
    check(record)
    return asyncio.run(_publish(settings, record))


async def _publish(settings: Settings, record: ControlRecord) -> tuple[int, int]:
    partitions = await asyncio.to_thread(topic_partitions, settings, CONTROL)
    value = msgspec.json.encode(record)
    key = source_key(CONTROL, value)
    async with producer(settings) as client:
        try:
            sent = await client.send_and_wait(
                CONTROL, value, key=key, partition=source_partition(key, partitions)
            )
        except KafkaError as exc:
            raise ControlError(
                f"topic {CONTROL} at {settings.broker} did not confirm the {record.kind} ({type(exc).__name__}); "
                "see `parcelwatch doctor`, then give it again: a decision given twice does no harm"
            ) from None
    return sent.partition, sent.offset


def _warn(what: Unreadable) -> None:
    log.warning(
        "unreadable control record left out; mend its producer, it stays in the topic at this offset",
        topic=CONTROL,
        partition=what.partition,
        offset=what.offset,
        reason=what.reason,
    )


def read(settings: Settings, on_unreadable: Callable[[Unreadable], None] = _warn) -> Iterator[Entry]:
    """Every decision up to the topic's present end, a carrier's in the order in which they take effect.

    Args:
        on_unreadable: told of each record that is none; by default it is logged.

    Raises:
        SendError: there is no such topic, or the broker stops answering.
        TopicError: no broker answers.
    """
    return iter(asyncio.run(_read(settings, on_unreadable)))


async def _read(settings: Settings, on_unreadable: Callable[[Unreadable], None]) -> list[Entry]:
    found: list[Entry] = []
    async with aclosing(read_topic(settings, CONTROL)) as records:
        async for at in records:
            try:
                record = _decode(at.value or b"")
                reason = _refused(record, at.timestamp)
            except (msgspec.DecodeError, ValueError, RecursionError) as exc:
                reason = _reason(exc)
            if reason:
                on_unreadable(Unreadable(at.partition, at.offset, reason))
                continue
            found.append(Entry(record, at.partition, at.offset, at.timestamp))
    return sorted(found, key=lambda entry: (entry.partition, entry.offset))


def _refused(record: ControlRecord, arrived: int) -> str:
    """Why admit let it decide nothing, so that no listing says it is in force; empty when it did not. Raises
    ValueError for a time that is none.
    """
    time, until = (_ms(moment(text)) if text else 0 for text in (record.time, record.until))
    if time > arrived + DAY:
        return "its time is more than a day ahead of its arrival, at $.time"
    wrong = fault(record, time, until)
    return f"{wrong[1]}, at $.{wrong[0]}" if wrong else ""


def _reason(exc: Exception) -> str:
    """What is wrong, without any value: msgspec repeats the value of a word it does not know."""
    if isinstance(exc, msgspec.ValidationError):
        text, at = str(exc), _AT.search(str(exc))
        what = text.split(" - at ")[0] if text.startswith(("Expected", "Object")) else "not one of its values"
        return f"{what}, at {at[1]}" if at else what
    if isinstance(exc, msgspec.DecodeError | UnicodeDecodeError | RecursionError):
        return "not JSON in UTF-8"
    return f"{exc}"
