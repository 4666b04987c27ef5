"""What a detector may look at, what it says, and the contract every detector keeps."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import msgspec

#: Severities, as OCSF numbers them. Low: worth a look this week. Medium: today. High: now, a person's whole day of
#: data may be gone. Critical: data of thousands is leaving.
LOW, MEDIUM, HIGH, CRITICAL = 2, 3, 4, 5


class Person(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Whom a touch belongs to, as the staff directory knew them when it was admitted.

    Attributes:
        token: pseudonym of the staff member, the key of the actor log.
        carrier: carrier code.
        role, team, site: as in the directory; empty when it says nothing.
        manager: pseudonym of the supervisor, or empty.
        status: active, on_leave, left, or empty when the directory does not know the person.
        service: whether this is a declared service account.
        shifts: rostered hours, each `HH-HH` or `HH:MM-HH:MM` in the carrier's local time; may pass midnight.
    """

    token: str
    carrier: str
    role: str = ""
    team: str = ""
    site: str = ""
    manager: str = ""
    status: str = ""
    service: bool = False
    shifts: tuple[str, ...] = ()


#: Actions, in the order of their codes. The wire has names, rows have codes.
ACTIONS = (
    "search", "view", "list", "export", "print", "download", "reveal", "update", "scan", "call", "login",
)  # fmt: skip
ACTION_CODES = {name: code for code, name in enumerate(ACTIONS)}
#: Actions that carry data out of the system in one go.
EXPORTS = frozenset(ACTION_CODES[name] for name in ("export", "print", "download"))

#: Explanations of a touch by code, strongest first; 0 is none.
EXPLANATIONS = ("", "scan", "assigned", "ticket", "call", "site", "team", "supervisor", "batch")


class Touch(msgspec.Struct, array_like=True, gc=False):
    """One person reading one parcel, or one parcel-less access (search, export).

    Attributes:
        st, src, off, idx: position in the order rows are applied in.
        who: the `Person`; on the wire an index into the block's people.
        time: event time, ms since the epoch, UTC.
        tz: minutes the person's local time is east of UTC.
        action: code, see ACTIONS.
        parcel: pseudonym of the parcel, or empty.
        records: shipment records the access returned; on the first row of an access only, else 0.
        ts: ms at which the broker received the event; for delay measurement only, never for a decision.
        site: where it was done from, or empty.
        reason: `kind:id` the person gave, or empty.
        explanation: code of the strongest explanation known so far, see EXPLANATIONS; 0 none.
        seen: event time of this person's previous touch of this parcel; 0 never.
        context: whether the carrier sends parcel context at all.
        others: up to six others who handled the parcel before, as 32-bit hashes, latest first.
    """

    st: int
    src: int
    off: int
    idx: int
    who: Any
    time: int
    tz: int
    action: int
    parcel: str
    records: int
    ts: int
    site: str = ""
    reason: str = ""
    explanation: int = 0
    seen: int = 0
    context: bool = False
    others: tuple[int, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector says of one person at one touch.

    Attributes:
        severity: LOW to CRITICAL, by what is at stake.
        score: surprise, −log10 of the tail probability under the baseline; comparable between detectors.
        confidence: 1 low, 2 medium, 3 high: how much history the baseline rests on.
        evidence: size of the case so far, in the detector's own unit; an episode is updated when it doubles.
        window: seconds the evidence spans at the most.
        measures: what was observed, by name.
        baseline: what it was held against, by name.
        parcels: parcels this touch adds to the case (pseudonyms); empty for parcel-less exports.
        en, vi: one sentence: what happened, against which baseline, how much, in which window, why it matters.
    """

    severity: int
    score: float
    confidence: int
    evidence: float
    window: int
    measures: dict[str, float]
    baseline: dict[str, float]
    parcels: tuple[str, ...] = ()
    en: str
    vi: str


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
