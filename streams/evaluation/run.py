"""The pipeline over the benign log with accesses added: what it says about whom, and when."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson

from detectors.base import Detector
from streams.admit.local_time import Zones
from streams.admit.validate import DAY, MINUTE
from streams.evaluation.background import Background
from streams.evaluation.log import AccessLog
from streams.evaluation.scene import Act
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.history.detection import detect
from streams.history.touches import Labelling, Spool
from streams.privacy.keyfile import Key, Keys, RingFile, write_ring
from streams.privacy.tokens import SEAL_KEY_SIZE, SIV_KEY_SIZE, Keyring


class Message(NamedTuple):
    """One thing a method says about a person.

    Attributes:
        person: number in the log.
        alert: the alert it belongs to.
        detector: who says so.
        time: event time, ms.
        day: local day of the message, counted from 1970-01-01.
        first, last: window of the evidence: event times of the first and last access that counts, ms.
        score: surprise; comparable within a method.
    """

    person: int
    alert: str
    detector: str
    time: int
    day: int
    first: int
    last: int
    score: float


class _Uid(msgspec.Struct, gc=False):
    uid: str


class _User(msgspec.Struct, gc=False):
    user: _Uid


class _Analytic(msgspec.Struct, gc=False):
    name: str


class _Info(msgspec.Struct, gc=False):
    uid: str
    analytic: _Analytic


class _Data(msgspec.Struct, gc=False):
    score: float | None = None


class _Evidence(msgspec.Struct, gc=False):
    data: _Data


class _Alert(msgspec.Struct, gc=False):
    activity_id: int
    time: int
    start_time: int
    end_time: int
    timezone_offset: int
    actor: _User
    finding_info: _Info
    evidences: list[_Evidence]


_alert = msgspec.json.Decoder(_Alert).decode
#: Of a score that is no finite number: nothing is more surprising.
_ENDLESS = 1e9
_CLOSE = 3


def fixed_keys(carriers: Sequence[str]) -> Keyring:
    """Keys that are the same in every evaluation, so that the same log and seed give the same report.

    They protect nothing: no token made with them leaves the evaluation.
    """
    made = datetime(2026, 1, 1, tzinfo=UTC)

    def keys(name: str, carrier: str, size: int) -> Keys:
        secret = blake2b(carrier.encode(), digest_size=SIV_KEY_SIZE, person=b"evaluate").digest()
        return Keys(name, {name: Key(made, secret[:size])})

    ring = RingFile(
        1, keys("s1", "", SEAL_KEY_SIZE), {carrier: keys("k1", carrier, SIV_KEY_SIZE) for carrier in carriers}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.toml"
        write_ring(path, ring, None)
        return Keyring.load(path)


def written(log: AccessLog, act: Act, number: int) -> bytes:
    """The access as the log would have it: with the fields the log has.

    Args:
        log: the benign log.
        act: the access.
        number: different for each that is added.
    """
    carrier, actor = log.people[act.person]
    at = datetime.fromtimestamp(0, timezone(timedelta(minutes=act.offset))) + timedelta(milliseconds=act.time)
    event: dict[str, Any] = {
        "time": at.isoformat(timespec="milliseconds"),
        "carrier": carrier,
        "actor": actor,
        "action": act.action,
        "records": act.records,
    }
    if log.has_ids:
        event["id"] = f"added-{number}"
    if act.parcels:
        event["parcels"] = act.parcels
    if not act.found:
        event["outcome"] = "not_found"
    event.update({name: value for name, value in act.style._asdict().items() if value})
    return orjson.dumps(event)


def merged(background: Background, log: AccessLog, added: Sequence[Act]) -> Iterator[tuple[str, list[bytes]]]:
    """The background's chunks with accesses added where their time comes; `added` is in order of time."""
    places = np.searchsorted(log.reached, [act.time for act in added], side="right").tolist()
    begin = number = 0
    for topic, values in background.chunks():
        if topic != ACCESS_EVENTS:
            yield topic, values
            continue
        end, mixed, at = begin + len(values), [], begin
        while number < len(added) and places[number] < end:
            mixed += values[at - begin : places[number] - begin]
            mixed.append(written(log, added[number], number))
            at = places[number]
            number += 1
        yield topic, mixed + values[at - begin :] if mixed else values
        begin = end
    if number < len(added):
        yield ACCESS_EVENTS, [written(log, act, n) for n, act in enumerate(added[number:], number)]


def label(
    background: Background,
    log: AccessLog,
    added: Sequence[Act],
    spool: Spool,
    *,
    zones: Zones,
    progress: Callable[[int], None],
) -> dict[str, int]:
    """Run the merged log, warm-up and test, through admit and relate.

    Args:
        added: accesses in order of time.
        spool: gets the labelled touches.
        progress: called with the records done since the last call.

    Returns:
        People's numbers by token.
    """
    keys = fixed_keys(sorted({carrier for carrier, _ in log.people}))
    last = int(max(log.time[-1], added[-1].time if added else 0))
    pipeline = Labelling(keys, keep=spool.add, arrived=lambda: last + MINUTE, zones=zones)
    pipeline.feed(STAFF_DIRECTORY, background.directory)
    pipeline.finish((STAFF_DIRECTORY,) if log.has_context else (STAFF_DIRECTORY, PARCEL_CONTEXT))
    for topic, values in merged(background, log, added):
        pipeline.feed(topic, values)
        pipeline.rejected.clear()
        progress(len(values))
    pipeline.finish()
    return {
        pipeline.directory.person(carrier, actor).token: number
        for number, (carrier, actor) in enumerate(log.people)
    }


def said(
    touches: Spool, numbers: dict[str, int], detectors: tuple[Detector[Any], ...], strictness: float = 1.0
) -> list[Message]:
    """What the detectors say over labelled touches.

    Args:
        numbers: people's, by token.
        detectors: the catalogue.
        strictness: factor on every limit.
    """
    alerts = detect(touches, strictness=strictness, detectors=detectors)
    return [message for value in alerts if (message := _message(value, numbers)) is not None]


def _message(value: bytes, numbers: dict[str, int]) -> Message | None:
    alert = _alert(value)
    if alert.activity_id == _CLOSE:
        return None
    score = alert.evidences[0].data.score
    return Message(
        numbers[alert.actor.user.uid],
        alert.finding_info.uid,
        alert.finding_info.analytic.name,
        alert.time,
        (alert.time + alert.timezone_offset * MINUTE) // DAY,
        alert.start_time,
        alert.end_time,
        _ENDLESS if score is None else score,
    )
