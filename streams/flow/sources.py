"""Where a carrier's record belongs: its Kafka key, and the partition that key goes to.

One person's (or one parcel's) records share a key and so a partition, where their order is kept. `replay`,
`backtest` and re-admission place records by these functions alone, so all three give the same partitions.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec
from aiokafka.partitioner import murmur2

from streams.flow.topics import ACCESS_EVENTS, CONTROL, PARCEL_CONTEXT, STAFF_DIRECTORY

#: Topics that are written to from outside: by carriers, and by those who watch (control).
SOURCE_TOPICS = (ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY, CONTROL)


class _Actor(msgspec.Struct, gc=False):
    actor: Any


class _Parcel(msgspec.Struct, gc=False):
    parcel: Any


class _Carrier(msgspec.Struct, gc=False):
    carrier: Any


class _Staff(msgspec.Struct, gc=False):
    carrier: Any
    actor: Any


_actor = msgspec.json.Decoder(_Actor).decode
_parcel = msgspec.json.Decoder(_Parcel).decode
_carrier = msgspec.json.Decoder(_Carrier).decode
_staff = msgspec.json.Decoder(_Staff).decode


def source_key(topic: str, value: bytes) -> bytes | None:
    """Kafka key of a record: actor (access-events), parcel (parcel-context), carrier + "/" + actor
    (staff-directory), carrier (control: its records are applied in the order they were sent).

    None when the value has no such field or is not JSON: it will be rejected, and where it waits for that is
    no matter. The staff directory is compacted, and Kafka takes no keyless record there, so such a value's
    key is its digest.

    Raises:
        ValueError: not one of SOURCE_TOPICS.
    """
    try:
        if topic == ACCESS_EVENTS:
            return _text(_actor(value).actor)
        if topic == PARCEL_CONTEXT:
            return _text(_parcel(value).parcel)
        if topic == CONTROL:
            return _text(_carrier(value).carrier)
        if topic == STAFF_DIRECTORY:
            staff = _staff(value)
            return _text(staff.carrier) + b"/" + _text(staff.actor)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"unreadable:" + sha256(value).hexdigest()[:16].encode() if topic == STAFF_DIRECTORY else None
    raise ValueError(f"{topic} is not written to from outside; those are {', '.join(SOURCE_TOPICS)}")


def _text(field: object) -> bytes:
    return field.encode() if type(field) is str else msgspec.json.encode(field)


@lru_cache(1 << 16)
def source_partition(key: bytes | None, partitions: int) -> int:
    """Partition of a key among `partitions`, as Kafka's default partitioner has it (murmur2); 0 for no key.

    Kafka scatters keyless records at random; parcelwatch does not, so that a replay always gives the same
    log.
    """
    hashed: int = murmur2(key) if key is not None else 0
    return (hashed & 0x7FFF_FFFF) % partitions
