"""What parcelwatch knows of one parcel, and the reason it finds there for a person to have read it.

Most accesses to records can be explained by a documented relation (Fabbri and LeFevre, Explanation-Based Auditing, VLDB
2011); what cannot is what an auditor should look at. The relations here are a carrier's: scans, assignments, tickets,
calls, the sites a parcel passes, the team and the supervisor of those so tied to it, declared batch jobs.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from detectors.base import ACTION_CODES, EXPLANATIONS, PERSONAL, Person, Touch
from detectors.crowd import OPENING
from streams.flow.events import CONTEXT_KINDS, START, Context, Position

SCAN, ASSIGNED, TICKET, CALL, SITE, TEAM, SUPERVISOR, BATCH = range(1, len(EXPLANATIONS))

HOUR = 3_600_000
DAY = 24 * HOUR
#: How long before it is recorded, and after the parcel is closed, a relation explains a touch.
BEFORE = 12 * HOUR
AFTER = 7 * DAY
#: A touch up to this long before or after a call with the customer belongs to the call.
CALL_SPAN = HOUR
#: How long after a parcel left a site the people there may still have work with it.
SITE_SPAN = DAY
#: An unexplained touch waits this long for its reason.
PATIENCE = 3 * DAY

_ACTION_SCAN, _ACTION_CALL = ACTION_CODES["scan"], ACTION_CODES["call"]
_KIND = {name: code for code, name in enumerate(CONTEXT_KINDS)}
HONEYTOKEN = _KIND["honeytoken"]
_CLOSING = {_KIND["delivered"], _KIND["returned"], _KIND["cancelled"]}
_ARRIVING = {_KIND["accepted"], _KIND["arrived"], _KIND["assigned"], _KIND["out_for_delivery"]}
_TIES = {
    _KIND["assigned"]: ASSIGNED,
    _KIND["out_for_delivery"]: ASSIGNED,
    _KIND["delivered"]: ASSIGNED,
    _KIND["returned"]: ASSIGNED,
    _KIND["accepted"]: SCAN,
    _KIND["arrived"]: SCAN,
    _KIND["departed"]: SCAN,
    _KIND["ticket_opened"]: TICKET,
    _KIND["ticket_closed"]: TICKET,
    _KIND["call"]: CALL,
}
#: Handlers a touch carries along; onlookers within a day from which on they are told.
MOST_OTHERS, CROWD = 6, 4
MAX_TIES, MAX_VISITS, MAX_TICKETS, MAX_CALLS, MAX_HANDLERS, MAX_WAITS, MAX_ONLOOKERS = 16, 8, 8, 4, 16, 16, 16


class Tie(msgspec.Struct, array_like=True, gc=False):
    """A person the carrier's own records tie to the parcel, and how (an explanation code)."""

    token: str
    team: str
    manager: str
    how: int
    time: int


class Visit(msgspec.Struct, array_like=True, gc=False):
    """A site the parcel was at, from `since` to `until` (ms; 0 while it is still there)."""

    site: str
    since: int
    until: int = 0


class Ticket(msgspec.Struct, array_like=True, gc=False):
    """A customer's ticket about the parcel; `closed` is 0 while it is open."""

    id: str
    opened: int
    closed: int = 0


class Wait(msgspec.Struct, array_like=True, gc=False):
    """A touch no relation explains yet; should the reason come late, its actor is told."""

    touch: tuple[int, int, int]
    time: int
    who: Person
    site: str
    reason: str


class Parcel(msgspec.Struct, array_like=True):
    """One parcel. Every list is bounded: the oldest entry goes first.

    `onlookers` opened it within the last day without a reason of their own: hash of a person → when (ms).
    """

    pos: Position = START
    closed: int = 0
    ties: list[Tie] = []
    visits: list[Visit] = []
    tickets: list[Ticket] = []
    calls: list[int] = []
    handlers: dict[int, int] = {}
    waits: list[Wait] = []
    ghost: str = ""
    onlookers: dict[int, int] = {}


def person_hash(token: str) -> int:
    """32 bits for a person, to compare handlers by."""
    return crc32(token.encode())


def explain(parcel: Parcel, who: Person, time: int, site: str, reason: str) -> int:
    """The strongest explanation the parcel's history gives for this person's touch, 0 for none.

    Args:
        parcel: the parcel as known now.
        who: the person, with team and site as the directory knew them.
        time: event time of the touch, ms.
        site: where it was done from; empty when not said.
        reason: `kind:id` the person gave; believed only when the parcel has that ticket or call.
    """
    # Long after a parcel is closed only what was recorded lately still explains: a claim's ticket, a customer's call.
    lapsed = bool(parcel.closed) and time > parcel.closed + AFTER
    best = BATCH if who.service else len(EXPLANATIONS)
    team, token = who.team, who.token
    for tie in parcel.ties:
        if time < tie.time - BEFORE or (lapsed and time > tie.time + AFTER):
            continue
        if tie.token == token:
            best = min(best, tie.how)
        elif team and tie.team == team:
            best = min(best, TEAM)
        elif tie.manager == token:
            best = min(best, SUPERVISOR)
    if best > TICKET and reason:
        kind, _, ref = reason.partition(":")
        if kind == "ticket" and any(_ticket_open(t, ref, time) for t in parcel.tickets):
            best = TICKET
        elif kind == "call" and best > CALL and any(abs(time - call) <= CALL_SPAN for call in parcel.calls):
            best = CALL
    if best > SITE and not lapsed:
        here = site or who.site
        if here and any(v.site == here and _present(v, time) for v in parcel.visits):
            best = SITE
    return best if best < len(EXPLANATIONS) else 0


def _ticket_open(ticket: Ticket, ref: str, time: int) -> bool:
    if ref and ticket.id != ref:
        return False
    return ticket.opened - CALL_SPAN <= time and (not ticket.closed or time <= ticket.closed + DAY)


def _present(visit: Visit, time: int) -> bool:
    return visit.since - BEFORE <= time and (not visit.until or time <= visit.until + SITE_SPAN)


def apply_context(parcel: Parcel, row: Context) -> None:
    """Take a context record into the parcel's history."""
    kind, time = row.kind, row.time
    how = _TIES.get(kind)
    if how is not None:
        for person in row.staff:
            _tie(parcel, person, how, time)
    if row.site:
        _visit(parcel, row.site, time, arriving=kind in _ARRIVING, leaving=kind == _KIND["departed"])
    if kind == HONEYTOKEN:
        parcel.ghost = row.feed or "unnamed"
    elif kind in _CLOSING:
        parcel.closed = max(parcel.closed, time)
    elif kind == _KIND["ticket_opened"]:
        parcel.tickets = [*parcel.tickets, Ticket(row.ticket, time)][-MAX_TICKETS:]
    elif kind == _KIND["ticket_closed"]:
        for ticket in parcel.tickets:
            if ticket.id == row.ticket:
                ticket.closed = time
    elif kind == _KIND["call"]:
        parcel.calls = [*parcel.calls, time][-MAX_CALLS:]


def apply_touch(parcel: Parcel, row: Touch, me: int, *, context: bool) -> None:
    """Label a touch with what the parcel knows, and remember it.

    Args:
        me: the person's `person_hash`.
        context: whether the carrier sends parcel context at all.
    """
    who: Person = row.who
    time = row.time
    action = row.action
    if action == _ACTION_SCAN:
        _tie(parcel, who, SCAN, time)
    elif action == _ACTION_CALL:
        _tie(parcel, who, CALL, time)
        parcel.calls = [*parcel.calls, time][-MAX_CALLS:]
    row.context = context
    if action == _ACTION_SCAN and not parcel.closed:
        row.explanation = SCAN
    elif context or parcel.ties or who.service:
        row.explanation = explain(parcel, who, time, row.site, row.reason)
    handlers = parcel.handlers
    # Popped and put back: insertion order is the order of last touch, oldest first.
    row.seen = handlers.pop(me, 0)
    row.others = others = tuple(handlers)[: -MOST_OTHERS - 1 : -1]
    if others and not row.seen:
        row.idle = max(0, (time - handlers[others[0]]) // 1000)
    row.closed, row.ghost = parcel.closed, parcel.ghost
    if not row.seen and action in OPENING and row.explanation not in PERSONAL and not who.service:
        row.crowd = _join(parcel, me, time)
    handlers[me] = max(time, row.seen)
    if len(handlers) > MAX_HANDLERS:
        del handlers[next(iter(handlers))]
    if context and not row.explanation:
        trimmed = Person(who.token, who.carrier, who.role, who.team, who.site, service=who.service)
        wait = Wait((row.src, row.off, row.idx), time, trimmed, row.site, row.reason)
        parcel.waits = [*parcel.waits, wait][-MAX_WAITS:]


def _join(parcel: Parcel, me: int, time: int) -> int:
    """Be an onlooker; how many others are within a day, 0 when too few to be a crowd."""
    if len(parcel.onlookers) < CROWD:
        # Nearly always: whoever looked longer ago is let go only once it matters.
        parcel.onlookers[me] = time
        return 0
    since = time - DAY
    lately = {other: last for other, last in parcel.onlookers.items() if last >= since and other != me}
    parcel.onlookers = lately
    count = len(lately)
    if count >= MAX_ONLOOKERS:
        del lately[next(iter(lately))]
    lately[me] = time
    return count if count >= CROWD else 0


def explain_late(parcel: Parcel, now: int) -> list[tuple[Wait, int]]:
    """Waiting touches the parcel can explain by now, with the explanation; they and the outworn cease to wait."""
    found: list[tuple[Wait, int]] = []
    still: list[Wait] = []
    for wait in parcel.waits:
        code = explain(parcel, wait.who, wait.time, wait.site, wait.reason)
        if code:
            found.append((wait, code))
            if code in PERSONAL:
                parcel.onlookers.pop(person_hash(wait.who.token), None)
        elif now - wait.time <= PATIENCE:
            still.append(wait)
    parcel.waits = still
    return found


def _tie(parcel: Parcel, who: Person, how: int, time: int) -> None:
    for tie in parcel.ties:
        if tie.token == who.token and tie.how == how:
            # A later record of the same relation must not take back what an earlier one explains.
            tie.time = min(tie.time, time)
            return
    parcel.ties = [*parcel.ties, Tie(who.token, who.team, who.manager, how, time)][-MAX_TIES:]


def _visit(parcel: Parcel, site: str, time: int, *, arriving: bool, leaving: bool) -> None:
    for visit in parcel.visits:
        if visit.site == site:
            visit.since = min(visit.since, time)
            if leaving:
                visit.until = max(visit.until, time)
            elif arriving:
                visit.until = 0
            return
    parcel.visits = [*parcel.visits, Visit(site, time, time if leaving else 0)][-MAX_VISITS:]
