"""Episodes: one alert is one stretch of one person's doing as one detector sees it, however many touches it has."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

import msgspec

from detectors.base import Finding, Person, Touch

CREATE, UPDATE, CLOSE = 1, 2, 3
MOST_SAMPLES = 20
#: A case is put into words again when it has grown by this factor; it is told when it has doubled or is more severe.
GROWTH = 1.25


class Source(Protocol):
    """Who makes a case: a detector, or a rule. `tag` changes with its parameters."""

    @property
    def name(self) -> str: ...

    @property
    def tag(self) -> str: ...

    @property
    def summary(self) -> str: ...


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One message about one episode: it opened (activity 1), grew (2) or closed (3).

    Attributes:
        uid: hash of carrier, person, detector and the episode's first event; the same on every replay.
        activity: 1 Create, 2 Update, 3 Close.
        sequence: 1 for Create, then counting up within the episode.
        detector, version: who says so; the version changes with the detector's parameters.
        summary: the detector's one-line description.
        person: whom it is about.
        finding: what was found, as of this message.
        opened, first, last: event times in ms: the touch that opened the episode, first and last contributing touch.
        at: event time of this message in ms (of the touch, or of the quiet's end for Close).
        utc_offset: minutes east of UTC of the person's local time.
        records: shipment records read in the episode so far.
        samples: at most 20 parcels of the episode (pseudonyms).
        suppressed: kept, but told to nobody: a suppression is in force.
        risk: points against the person, all findings together. reasons: by weight.
        rule: id of the Sigma rule that says so; empty for a detector.
        related: (uid, detector) of the person's other open episodes: often the same leak, seen otherwise.
    """

    uid: str
    activity: int
    sequence: int
    detector: str
    version: str
    summary: str
    person: Person
    finding: Finding
    opened: int
    first: int
    last: int
    at: int
    utc_offset: int
    records: int
    samples: tuple[str, ...]
    suppressed: bool = False
    risk: float = 0.0
    reasons: tuple[str, ...] = ()
    related: tuple[tuple[str, str], ...] = ()
    rule: str = ""


class Episode(msgspec.Struct, array_like=True):
    """An open episode.

    Attributes:
        uid: hash of carrier, person, detector and the moment it opened, in event and in order time.
        opened, first, last: event time (ms) of the opening, the first and the latest contributing touch.
        sequence: messages sent so far.
        told: evidence when last told. look: evidence at which it is put into words again.
        records: shipment records read in contributing touches since it opened, and before, as the finding measured
            them.
        samples: parcels, latest last.
        finding: as last told.
        utc_offset: minutes, of the latest touch.
        silent: whether all its messages so far were suppressed.
    """

    uid: str
    opened: int
    first: int
    last: int
    sequence: int
    told: float
    look: float
    records: int
    samples: list[str]
    finding: Finding
    utc_offset: int
    silent: bool = True


def episode_uid(person: Person, detector: str, opened: int, order: int) -> str:
    """The identity of an episode: the same on every replay of the log.

    Args:
        opened: event time of the opening, ms. Alone it would not do: late events may open, one after another, several
            episodes at one event time.
        order: order time of the opening, ms.

    >>> episode_uid(Person("k1.x", "vnx"), "bulk_read", 0, 0)
    'e91a4b5b151d77e48840a8f7ba464fbe'
    """
    return blake2b(
        f"{person.carrier}|{person.token}|{detector}|{opened}|{order}".encode(), digest_size=16
    ).hexdigest()


def take_case(
    episode: Episode | None,
    detector: Source,
    person: Person,
    evidence: float,
    time: int,
    order: int,
    touch: Touch | None,
    utc_offset: int,
    report: Callable[[], Finding],
) -> tuple[Episode, Alert | None]:
    """Let a touch, or time alone, add to a case.

    Args:
        episode: the open one of this person and detector, if any.
        evidence: size of the case now.
        time: event time, ms.
        order: order time, ms: where in the log's order this happens.
        report: asks the detector for words; called only when they may be needed.

    Returns:
        The episode, and what is to be told now, if anything.
    """
    if episode is None:
        finding = report()
        records = int(finding.measures.get("records", touch.records if touch else 0))
        episode = Episode(
            episode_uid(person, detector.name, time, order), time, min(time, finding.since), time,
            1, evidence, evidence * GROWTH, records, list(finding.parcels)[-MOST_SAMPLES:], finding, utc_offset,
        )  # fmt: skip
        return episode, _alert(episode, detector, person, CREATE, time)
    episode.last = max(episode.last, time)
    episode.utc_offset = utc_offset
    if touch is not None:
        episode.records += touch.records
        if touch.parcel and not touch.seen:
            episode.samples = [*episode.samples, touch.parcel][-MOST_SAMPLES:]
    if evidence < episode.look:
        return episode, None
    finding = report()
    episode.look = evidence * GROWTH
    if evidence < 2 * episode.told and finding.severity <= episode.finding.severity:
        return episode, None
    episode.told, episode.finding, episode.sequence = evidence, finding, episode.sequence + 1
    return episode, _alert(episode, detector, person, UPDATE, time)


def close(episode: Episode, detector: Source, person: Person, now: int) -> Alert:
    """The episode is over: nothing was added for the detector's quiet time."""
    episode.sequence += 1
    return _alert(episode, detector, person, CLOSE, now)


def _alert(episode: Episode, detector: Source, person: Person, activity: int, at: int) -> Alert:
    return Alert(
        uid=episode.uid,
        activity=activity,
        sequence=episode.sequence,
        detector=detector.name,
        version=detector.tag,
        summary=detector.summary,
        person=person,
        finding=episode.finding,
        opened=episode.opened,
        first=episode.first,
        last=episode.last,
        at=at,
        utc_offset=episode.utc_offset,
        records=episode.records,
        samples=tuple(episode.samples),
    )
