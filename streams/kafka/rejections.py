"""What admit refused, read back from the `rejected` topic, and admitted again once it is mended."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.flow.events import Rejection
from streams.flow.sources import SOURCE_TOPICS
from streams.flow.topics import REJECTED
from streams.kafka.sender import Sender, SendError, Tally, producer, topic_partitions
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import Keyring
from streams.settings import Settings

#: Reason of the record that says that a rejection was dealt with: same place, nothing sealed.
READMITTED = "readmitted"
#: What is sent, in the source's order, before it is marked as readmitted: after a crash, so much comes twice.
CHUNK_RECORDS = 10_000
CHUNK_BYTES = 64 * 1024 * 1024

_decode = msgspec.json.Decoder(Rejection).decode


class Place(NamedTuple):
    """Where a rejected record stood: source topic, partition, offset. Written `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises ValueError for what is no place."""
        topic, _, rest = text.partition("/")
        partition, _, offset = rest.partition("/")
        if topic not in SOURCE_TOPICS or not (partition.isdecimal() and offset.isdecimal()):
            raise ValueError(f"{text!r} is no TOPIC/PARTITION/OFFSET such as access-events/2/991")
        return cls(topic, int(partition), int(offset))


def place(rejection: Rejection) -> Place:
    """Where the rejected record stood."""
    return Place(rejection.topic, rejection.partition, rejection.offset)


class Standing(NamedTuple):
    """The rejected topic as it stands.

    Attributes:
        open: what was rejected and not readmitted since, by place, without the sealed bytes; oldest first.
        readmitted: how many were readmitted.
        unreadable: records of the topic that are no rejections.
    """

    open: dict[Place, Rejection]
    readmitted: int
    unreadable: int


async def read_rejections(settings: Settings) -> AsyncGenerator[Rejection | None, None]:
    """Every record of the rejected topic up to its present end; None for one that is no rejection.

    A place may come twice: admit writes it again after a crash.

    Raises:
        SendError, TopicError: there is no such topic, or no broker answers.
    """
    partitions = [
        TopicPartition(REJECTED, n)
        for n in range(await asyncio.to_thread(topic_partitions, settings, REJECTED))
    ]
    # Not `seek_to_beginning`: the default policy's own jump to the end may come after it and win.
    consumer = AIOKafkaConsumer(
        **settings.kafka_client, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        while any([await consumer.position(at) < ends[at] for at in partitions]):
            for at, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.offset < ends[at]:
                        yield _rejection(record.value)
    except KafkaError as exc:
        raise SendError(
            f"cannot read topic {REJECTED} at {settings.broker}: {exc}; see `parcelwatch doctor`"
        ) from None
    finally:
        await consumer.stop()


def _rejection(value: bytes | None) -> Rejection | None:
    try:
        return _decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def standing(settings: Settings) -> Standing:
    """What is rejected and not readmitted. Raises SendError, TopicError."""
    found: dict[Place, Rejection] = {}
    done: set[Place] = set()
    unreadable = 0
    async with aclosing(read_rejections(settings)) as rejections:
        async for rejection in rejections:
            if rejection is None:
                unreadable += 1
            elif rejection.reason == READMITTED:
                done.add(place(rejection))
            else:
                found[place(rejection)] = msgspec.structs.replace(rejection, sealed="")
    still = sorted((r for at, r in found.items() if at not in done), key=lambda r: (r.rejected_at, place(r)))
    return Standing({place(r): r for r in still}, len(done), unreadable)


async def find(settings: Settings, at: Place) -> Rejection | None:
    """The rejection of one place with its sealed bytes, or None. Raises SendError, TopicError."""
    async with aclosing(read_rejections(settings)) as rejections:
        async for rejection in rejections:
            if rejection is not None and place(rejection) == at and rejection.reason != READMITTED:
                return rejection
    return None


class Readmission(NamedTuple):
    """What became of a readmission.

    Attributes:
        sent: records acknowledged by the broker, back in their source topics.
        kept: why the others stay rejected, by place.
    """

    sent: int
    kept: dict[Place, str]


async def readmit(settings: Settings, keyring: Keyring, wanted: Collection[Place]) -> Readmission:
    """Send rejected values back to the topics they came from, unaltered, and mark them as readmitted.

    A place is sent once, however often it was rejected; after a crash at most one chunk may be sent twice.

    Raises:
        SendError, TopicError: the broker does not answer, or took no more; what was sent before is marked.
    """
    left = set(wanted)
    kept: dict[Place, str] = {}
    chunk: list[tuple[Rejection, bytes]] = []
    sent = size = 0
    async with producer(settings) as client, aclosing(read_rejections(settings)) as rejections:
        partitions = {
            topic: await asyncio.to_thread(topic_partitions, settings, topic)
            for topic in sorted({at.topic for at in left})
        }
        async for rejection in rejections:
            if rejection is None or rejection.reason == READMITTED or place(rejection) not in left:
                continue
            left.discard(place(rejection))
            try:
                raw = keyring.unseal(rejection.raw())
            except (KeyringError, binascii.Error) as exc:
                kept[place(rejection)] = str(exc)
                continue
            if not raw:
                kept[place(rejection)] = "it had no value, so there is nothing to send"
                continue
            chunk.append((rejection, raw))
            size += len(raw)
            if len(chunk) == CHUNK_RECORDS or size >= CHUNK_BYTES:
                sent += await _send(client, partitions, chunk)
                chunk, size = [], 0
        sent += await _send(client, partitions, chunk)
    kept |= dict.fromkeys(left, f"it is no longer in topic {REJECTED}")
    return Readmission(sent, kept)


async def _send(
    client: AIOKafkaProducer, partitions: dict[str, int], chunk: list[tuple[Rejection, bytes]]
) -> int:
    tally = Tally()
    senders = {topic: Sender(client, topic, count, tally) for topic, count in partitions.items()}
    for rejection, raw in sorted(chunk, key=lambda pair: place(pair[0])):
        if senders[rejection.topic].add(raw):
            await senders[rejection.topic].push()
    for sender in senders.values():
        await sender.finish()
    now = datetime.now(UTC).isoformat()
    try:
        marks = [
            await client.send(REJECTED, key=str(place(rejection)).encode(), value=_mark(rejection, now))
            for rejection, _ in chunk
        ]
        await asyncio.gather(*marks)
    except KafkaError as exc:
        raise SendError(
            f"{tally.sent} records were sent but could not be marked as readmitted ({type(exc).__name__}); "
            "do not readmit them again"
        ) from None
    return tally.sent


def _mark(rejection: Rejection, now: str) -> bytes:
    return msgspec.structs.replace(
        rejection,
        reason=READMITTED,
        where="",
        detail=f"sent to {rejection.topic} again",
        remedy="",
        rejected_at=now,
        sealed="",
        size=0,
    ).encode()
