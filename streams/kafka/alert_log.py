"""Reading the alerts topic back: one episode each, found by the uid an analyst has in front of him."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, NamedTuple

import msgspec

from streams.flow.topics import ALERTS
from streams.kafka.reading import read_topic
from streams.settings import Settings

#: Fewest characters of a uid that may stand for the whole.
SHORTEST = 8
#: Of episodes that share a beginning, so many are named.
NAMED = 5
_UID = re.compile(r"([A-Za-z0-9_:]+)(?:-[0-9]+)?")


class AlertLogError(Exception):
    """No alert, or several, could be meant; says which there are and what to give."""


class Episode(NamedTuple):
    """What the alerts topic says of one episode, as of its latest message.

    Attributes:
        uid: the finding's uid.
        carrier, actor, detector: carrier code, token of the person, name of the detector.
        severity: OCSF name of the severity.
        status_id: OCSF status: 1 New, 3 Suppressed, 4 Resolved.
        start, end: event times of the first and the last contributing touch, ms.
        utc_offset: minutes east of UTC of the person's local time.
        message: what happened, one sentence.
        sequence: number of the latest message.
    """

    uid: str
    carrier: str
    actor: str
    detector: str
    severity: str
    status_id: int
    start: int
    end: int
    utc_offset: int
    message: str
    sequence: int


#: Up to the year 9998: within a day of its end, the calendar cannot be turned into another zone's.
_Ms = Annotated[int, msgspec.Meta(ge=0, lt=253_370_764_800_000)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class _User(msgspec.Struct):
    uid: _Name


class _Actor(msgspec.Struct):
    user: _User


class _Analytic(msgspec.Struct):
    name: _Name


class _Info(msgspec.Struct):
    uid: _Name
    analytic: _Analytic


class _Metadata(msgspec.Struct):
    tenant_uid: _Name
    sequence: int = 0


class _Alert(msgspec.Struct):
    actor: _Actor
    finding_info: _Info
    metadata: _Metadata
    start_time: _Ms
    end_time: _Ms
    severity: str = ""
    status_id: int = 0
    timezone_offset: Annotated[int, msgspec.Meta(ge=-1_439, le=1_439)] = 0
    message: str = ""

    def episode(self) -> Episode:
        return Episode(
            self.finding_info.uid,
            self.metadata.tenant_uid,
            self.actor.user.uid,
            self.finding_info.analytic.name,
            self.severity,
            self.status_id,
            self.start_time,
            self.end_time,
            self.timezone_offset,
            self.message,
            self.metadata.sequence,
        )


_decode = msgspec.json.Decoder(_Alert).decode


class AlertLog(NamedTuple):
    """The alerts topic as it stands.

    Attributes:
        episodes: by uid, in no particular order.
        unreadable: records of the topic that are no alerts.
    """

    episodes: dict[str, Episode]
    unreadable: int


def uid_prefix(text: str) -> str:
    """The part of an episode's uid that was given; a message's id (`ce_id`, `webhook-id`) stands for its episode.

    >>> uid_prefix("0900774f3df9b94d11258228dd752040-3")
    '0900774f3df9b94d11258228dd752040'

    Raises:
        AlertLogError: too short, or nothing that an alert is called.
    """
    match = _UID.fullmatch(text)
    if match is None or len(match[1]) < SHORTEST:
        raise AlertLogError(
            f"that is no alert's uid; give finding_info.uid of the alert, or its first {SHORTEST} characters or more"
        )
    return match[1]


def read_episodes(settings: Settings, wanted: Callable[[str], bool] = lambda uid: True) -> AlertLog:
    """Every episode in the alerts topic whose uid is wanted.

    Raises:
        SendError: there is no such topic, or the broker stops answering.
        TopicError: no broker answers.
    """
    return asyncio.run(_read(settings, wanted))


def find_episode(settings: Settings, text: str) -> Episode:
    """The one episode whose uid begins like that.

    Raises:
        AlertLogError: none does, or several do.
        SendError, TopicError: as `read_episodes`.
    """
    prefix = uid_prefix(text)
    found, unreadable = read_episodes(settings, lambda uid: uid.startswith(prefix))
    if len(found) == 1 or prefix in found:
        return found.get(prefix) or next(iter(found.values()))
    if not found:
        others = f" ({unreadable:,} records there are no alerts)" if unreadable else ""
        raise AlertLogError(
            f"no alert in topic {ALERTS} at {settings.broker} has a uid that begins with {prefix}{others}; copy "
            "finding_info.uid from the alert. Alerts are kept for a year"
        )
    names = sorted(found)
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    raise AlertLogError(
        f"{len(names):,} alerts have a uid that begins with {prefix}: {', '.join(names[:NAMED])}{more}; give more of it"
    )


async def _read(settings: Settings, wanted: Callable[[str], bool]) -> AlertLog:
    found: dict[str, Episode] = {}
    unreadable = 0
    async with aclosing(read_topic(settings, ALERTS)) as records:
        async for record in records:
            try:
                new = _decode(record.value or b"").episode()
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                unreadable += 1
                continue
            if not wanted(new.uid):
                continue
            old = found.get(new.uid)
            if old is not None:
                # Messages may come twice after a crash, and then not in order.
                last = new if new.sequence >= old.sequence else old
                new = last._replace(start=min(new.start, old.start), end=max(new.end, old.end))
            found[new.uid] = new
    return AlertLog(found, unreadable)
