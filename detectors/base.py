"""What a detector may look at, what it says, and the contract every detector keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from math import log2
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

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

#: How a system was used, in the order of the codes; what is not listed is 0, as if not said.
CHANNELS = ("", "ui", "app", "api", "batch", "device")
CHANNEL_CODES = {name: code for code, name in enumerate(CHANNELS)}

#: Rows one access event may have, at most: an index that is a multiple of it is the first row of an access. A record in
#: a carrier's own format may hold several events.
EVENT_ROWS = 1 << 13

#: Explanations of a touch by code, strongest first; 0 is none.
EXPLANATIONS = ("", "scan", "assigned", "ticket", "call", "site", "team", "supervisor", "batch")
#: Explanations that tie this very person to this very parcel; the others explain whole sites and teams.
PERSONAL = frozenset(EXPLANATIONS.index(name) for name in ("scan", "assigned", "ticket", "call"))


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
        idle: on a first touch, seconds since any of those others last handled it; else 0.
        holiday: whether it was a public holiday where the carrier is.
        device: 32-bit keyed pseudonym of the device it was done from; 0 not said.
        place: 32-bit keyed pseudonym of the network (IPv4 /24, IPv6 /48) it came from; 0 not said.
        channel: code, see CHANNELS; 0 not said, or another.
        failed: whether nothing was shown (not found, denied); `parcel` is empty then and `records` 0.
        serial: where the parcel stands in the carrier's number order, modulo 1024 with a secret added, known of
            failed touches too; -1 when its id ends in no number.
        closed: event time (ms) at which the parcel was delivered, returned or cancelled; 0 open or not known.
        crowd: on a first look without a personal explanation, other people who took such a look at the parcel in
            the day before; 0 for fewer than 4, at most 16.
        ghost: name of the partner feed whose honeytoken this parcel is; empty for a real parcel.
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
    holiday: bool = False
    idle: int = 0
    device: int = 0
    place: int = 0
    channel: int = 0
    failed: bool = False
    serial: int = -1
    closed: int = 0
    crowd: int = 0
    ghost: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector says of one person at one touch.

    Attributes:
        severity: LOW to CRITICAL, by what is at stake.
        score: surprise, −log10 of the tail probability under the baseline; comparable between detectors.
        confidence: 1 low, 2 medium, 3 high: how much history the baseline rests on.
        evidence: size of the case so far, in the detector's own unit; an episode is updated when it doubles.
        window: seconds the evidence spans at the most.
        since: event time (ms) of the first touch that counts.
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
    since: int
    measures: dict[str, float]
    baseline: dict[str, float]
    parcels: tuple[str, ...] = ()
    en: str
    vi: str

    def __post_init__(self) -> None:
        # 7 and 7.0 are equal in Python but not on the wire: a finding must read the same before and after a restart.
        for numbers in (self.measures, self.baseline):
            numbers.update({name: float(number) for name, number in numbers.items()})
        msgspec.structs.force_setattr(self, "score", float(self.score))
        msgspec.structs.force_setattr(self, "evidence", float(self.evidence))


#: What a person's finished day teaches about ordinary life: (measure, bin).
Lesson = tuple[str, int]

#: Steps per doubling of `log_bin`.
STEPS = 4


def log_bin(value: float) -> int:
    """Bin of a count on a logarithmic scale, four to a doubling; 0 for nothing.

    >>> [log_bin(v) for v in (0, 1, 2, 4, 1000)]
    [0, 1, 5, 9, 40]
    """
    return int(STEPS * log2(value)) + 1 if value >= 1 else 0


def bin_top(number: int) -> float:
    """The largest value `log_bin` puts into a bin.

    >>> round(bin_top(log_bin(1000)))
    1024
    """
    return 2.0 ** (number / STEPS) if number else 0.0


class Norm(Protocol):
    """What is usual in a group of people, learnt from their finished days."""

    @property
    def days(self) -> int:
        """Person-days it rests on."""

    def quantile(self, measure: str, q: float) -> float:
        """The value that a share `q` of person-days did not exceed; 0 when nothing was learnt."""

    def share(self, measure: str, number: int) -> float:
        """Share of person-days that fell into a bin, 0 to 1."""

    def tail(self, measure: str, value: float) -> float:
        """Probability that a person-day reaches `value`; never 0, so that surprise stays finite."""


class Normal(NamedTuple):
    """The baselines beyond a person's own, and how strict to be.

    Attributes:
        peers: same carrier and role. company: the whole carrier.
        strictness: factor on every limit: 1 as shipped, more for fewer alerts; calibrated to the alert budget.
    """

    peers: Norm
    company: Norm
    strictness: float = 1.0

    def group(self, least: int) -> Norm | None:
        """Peers if they have `least` person-days, else the company if it has, else None: cold start."""
        if self.peers.days >= least:
            return self.peers
        return self.company if self.company.days >= least else None


class Late(NamedTuple):
    """The reason for an earlier touch has arrived: its (source, offset, index), event time and explanation."""

    touch: tuple[int, int, int]
    time: int
    explanation: int


S = TypeVar("S")


@dataclass(frozen=True)
class Detector(Generic[S]):
    """One way to recognise a leak. Parameters are fields; knowledge of a person is the state, never the detector.

    A detector is pure: what `step` does depends on its arguments and changes nothing but `state`. It is called for
    millions of touches, so it decides on counters and says only how large its case is; words are for `report`, called
    when an episode opens, doubles or may have become more severe.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    #: Type of the state: a msgspec Struct.
    state_type: ClassVar[type[Any]]
    #: Seconds without further evidence after which an episode is over.
    quiet: ClassVar[int] = 3600
    #: Whether only touches of marked parcels (closed, crowd, ghost) and of services matter; it sees no others.
    marked_only: ClassVar[bool] = False
    #: Measures among the lessons of which a high value speaks against a person; the risk score adds them up.
    hints: ClassVar[tuple[str, ...]] = ()

    @property
    def tag(self) -> str:
        """Name and a hash of the parameters: states of other parameters are never mistaken for these."""
        return f"{self.name}-{blake2b(repr(self).encode(), digest_size=4).hexdigest()}"

    def initial(self) -> S:
        """The state of a person never seen."""
        state: S = self.state_type()
        return state

    def step(self, state: S, touch: Touch, normal: Normal) -> float:
        """Take in a touch; return the size of the case it is part of, in the detector's unit, or 0."""
        raise NotImplementedError  # the one method every detector must have

    def report(self, state: S, touch: Touch | None, normal: Normal) -> Finding:
        """Put the present case into numbers and words. `touch` is None when time alone made it ripe."""
        raise NotImplementedError  # asked for only after `step` or `ripen` returned a case

    def explained(self, state: S, late: Late) -> None:
        """Take in the reason for an earlier touch."""

    def wake(self, state: S) -> int:
        """Event time (ms) at which `ripen` is to be called though the person does nothing; 0 for never."""
        return 0

    def ripen(self, state: S, now: int, normal: Normal) -> float:
        """Take in that it is `now`; return as `step` does."""
        return 0.0

    def close_day(self, state: S, day: int) -> Iterable[Lesson]:
        """The person's local day is over: learn from it, start the next, say what it teaches about others.

        Args:
            day: the finished day, counted from 1970-01-01.
        """
        return ()
