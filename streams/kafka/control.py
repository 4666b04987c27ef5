"""The control topic: decisions about detection are published to it, and read back from it.

The topic is the record of who decided what, until when and why. Nothing else is kept of a decision.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from uuid import uuid4

import msgspec
import structlog
from aiokafka.errors import KafkaError

from detectors import DETECTORS
from streams.flow.control import LOOSEST, STRICTEST, SWITCH, VERDICTS, ControlRecord, suppressible
from streams.flow.sources import source_key, source_partition
from streams.flow.topics import CONTROL
from streams.kafka.reading import read_topic
from streams.kafka.sender import producer, topic_partitions
from streams.settings import Settings

log = structlog.get_logger(__name__)

Kind = Literal["verdict", "suppress", "watch", "strictness", "model"]

#: The longest time a suppression or a watch may be given at once: both end by themselves.
LONGEST = timedelta(days=90)
LONGEST_WHY = 2_000
#: Years a time may be in.
EARLIEST, LATEST = 1970, 9998
#: What tells of people besides the detectors of the catalogue: the score over all of them, and the models.
WEIGHING = ("risk", "model")
MODEL = re.compile(r"(?:shadow|active):[0-9a-f]{64}|off")

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
    """A record of the topic that is no control record; `reason` says why, without its contents."""

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


def new_record(kind: Kind, carrier: str, now: datetime, **fields: str) -> ControlRecord:
    """A control record of this moment, with an id of its own, so that it counts once however often it is sent.

    Raises:
        ControlError: it is not a record that can take effect, see `check`.
    """
    record = ControlRecord(time=stamp(now), carrier=carrier, kind=kind, id=uuid4().hex, **fields)
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
        time = moment(record.time)
    except UnicodeEncodeError:
        raise ControlError(
            f"{record.kind}: a field holds bytes that are no text; write it in UTF-8"
        ) from None
    except (msgspec.DecodeError, ValueError) as exc:
        raise ControlError(f"{record.kind}: {_reason(exc)}; see `parcelwatch {record.kind} --help`") from None
    fault = _fault(record, time)
    if fault:
        raise ControlError(f"{record.kind}: {fault}")


def known_detectors() -> tuple[str, ...]:
    """Names alerts are told under: the detectors of the catalogue, and what weighs them up."""
    return (*(detector.name for detector in DETECTORS), *WEIGHING)


def _fault(record: ControlRecord, time: datetime) -> str:
    if record.kind == "verdict":
        if record.value not in VERDICTS:
            return f"a verdict is one of {', '.join(VERDICTS)}"
        whole = record.alert and record.actor and record.detector
        return "" if whole else "an alert (its uid), its detector and its person are needed"
    if record.kind == "strictness":
        return _strictness_fault(record.value)
    if record.kind == "model":
        return "" if MODEL.fullmatch(record.value) else "value is shadow:SHA256, active:SHA256 or off"
    return _switch_fault(record, time)


def _strictness_fault(value: str) -> str:
    try:
        if LOOSEST <= float(value) <= STRICTEST:
            return ""
    except ValueError:
        pass
    return f"the factor on the detectors' limits is a number from {LOOSEST:g} to {STRICTEST:g}"


def _switch_fault(record: ControlRecord, time: datetime) -> str:
    if record.value not in SWITCH:
        return f"value is one of {', '.join(SWITCH)}"
    if not record.why.strip():
        return "say why; an empty reason is not one (a case number will do)"
    if not record.actor and (record.kind == "watch" or not record.detector):
        return "say whom" if record.kind == "watch" else "say whom, which detector, or both"
    if record.value == "off":
        return ""
    if record.kind == "suppress" and record.detector:
        if not suppressible(record.detector):
            return "a honeytoken cannot be suppressed: no work leads to one, so whoever opens one is always told of"
        if record.detector not in known_detectors():
            return f"no detector has that name; there are: {', '.join(known_detectors())}"
    try:
        until = moment(record.until)
    except ValueError:
        return "say until when, as RFC 3339 with offset, e.g. 2026-12-01T00:00:00+07:00"
    if until <= time:
        return "its end is not in the future"
    if until - time > LONGEST:
        return (
            f"at most {LONGEST.days} days ahead, so that everything ends by itself; "
            "give it anew when that time has come"
        )
    return ""


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
    async with producer(settings.broker) as client:
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
                for time in filter(None, (record.time, record.until)):
                    moment(time)
            except (msgspec.DecodeError, ValueError, RecursionError) as exc:
                on_unreadable(Unreadable(at.partition, at.offset, _reason(exc)))
                continue
            found.append(Entry(record, at.partition, at.offset, at.timestamp))
    return sorted(found, key=lambda entry: (entry.partition, entry.offset))


def _reason(exc: Exception) -> str:
    """What is wrong, without any value: msgspec repeats the value of a word it does not know."""
    if isinstance(exc, msgspec.ValidationError):
        text, at = str(exc), _AT.search(str(exc))
        what = text.split(" - at ")[0] if text.startswith(("Expected", "Object")) else "not one of its values"
        return f"{what}, at {at[1]}" if at else what
    if isinstance(exc, msgspec.DecodeError | UnicodeDecodeError | RecursionError):
        return "not JSON in UTF-8"
    return f"{exc}"
