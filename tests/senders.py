"""What carriers send, for the laws' tests: short logs that shrink, long ones from a seed, in and out of order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any, NamedTuple

from hypothesis import strategies as st

from streams.flow.events import CONTEXT_KINDS
from streams.flow.sources import source_partition
from streams.flow.topics import ACCESS_EVENTS, CONTROL, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.history.pipeline import INBOUND
from tests.rule_sets import CHANGED, RULES, loaded

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
DAY = 24 * HOUR
#: A Monday, midnight UTC.
MONDAY = 1_772_409_600_000
CARRIER = "vnx"
PEOPLE = 5


class Sent(NamedTuple):
    """One record a carrier sends: where to, what, and when the broker takes it (ms)."""

    topic: str
    value: bytes | None
    arrived: int


STEPS = (0, 0, 1, SECOND, 10 * SECOND, MINUTE, 20 * MINUTE, 3 * HOUR, 7 * HOUR)
GAPS = (26 * HOUR, 3 * DAY)
LATE = (0, 0, 0, SECOND, 10 * MINUTE, 3 * HOUR, 30 * HOUR)
BAD: tuple[bytes | None, ...] = (
    None, b"", b"{", b"\xff\xfe", b"[" * 5_000, b'{"time":1}', b'{"actor":7}', b"null",
    b'{"time":"2026-03-02T08:00:00","carrier":"vnx","actor":"p1","action":"view"}',
    b'{"time":"2026-03-02T08:00:00Z","carrier":"other","actor":"p1","action":"view"}',
    b'{"time":"2026-03-02T08:00:00Z","carrier":"vnx","actor":"p1","action":"steal"}',
    b'{"time":"2026-03-02T08:00:00Z","carrier":"vnx","parcel":"P1","kind":"burnt"}',
    b'{"time":"2999-03-02T08:00:00Z","carrier":"vnx","parcel":"P1","kind":"arrived","actor":"p1","action":"view"}',
    b'{"time":"2026-03-02T08:00:00Z","carrier":"vnx","actor":"p1","action":"view","records":-1}',
)  # fmt: skip


def stamp(ms: int) -> str:
    """RFC 3339 at the carrier, UTC+7."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(timezone(timedelta(hours=7))).isoformat()


def access(ms: int, actor: str, action: str = "view", parcels: Iterable[str] = (), **more: Any) -> bytes:
    """An access event."""
    body = {"time": stamp(ms), "carrier": CARRIER, "actor": actor, "action": action, "parcels": [*parcels]}
    return json.dumps(body | more).encode()


def context(ms: int, parcel: str, kind: str, **more: Any) -> bytes:
    """A parcel context record."""
    return json.dumps({"time": stamp(ms), "carrier": CARRIER, "parcel": parcel, "kind": kind} | more).encode()


def staff(actor: str, **more: Any) -> bytes:
    """A record of the staff directory."""
    return json.dumps({"carrier": CARRIER, "actor": actor} | more).encode()


def decision(ms: int, kind: str, **more: Any) -> bytes:
    """A control record."""
    return json.dumps({"time": stamp(ms), "carrier": CARRIER, "kind": kind, "why": "a test"} | more).encode()


def event_id(raw: bytes | None) -> str | None:
    """The id a carrier gave a record, if any."""
    found: str | None = json.loads(raw or b"{}").get("id")
    return found


def directory() -> list[bytes]:
    """Most of the people; the last one is unknown to it, one is a service account, one on leave."""
    people = [
        staff("p0", role="clerk", team="A", site="S0"),
        staff("p1", role="clerk", team="A", site="S1", manager="p0"),
        staff("p2", role="courier", team="B", site="S2", status="on_leave"),
        staff("p3", role="courier", site="S0", shifts=["08-17"]),
        staff("p5", role="batch", service=True),
    ]
    return [*people, b"{not json"]


_step = st.sampled_from(STEPS)
_action = st.tuples(
    st.sampled_from(["view", "view", "view", "export", "scan", "call", "login"]),
    st.integers(0, PEOPLE - 1),
    st.integers(0, 9),  # first parcel
    st.integers(0, 6),  # how many
    st.sampled_from([0, 0, 0, 3, 40]),  # records beyond the parcels
    st.sampled_from(["", "", "ticket:T1", "ticket:T9", "call:1"]),
)
_fact = st.tuples(
    st.sampled_from(CONTEXT_KINDS), st.integers(0, PEOPLE - 1), st.integers(0, 9), st.integers(0, 2)
)


@st.composite
def carriers(draw: st.DrawFn, *, most: int = 60, disorder: bool = True) -> list[Sent]:
    """What several carriers' systems send, in order of arrival.

    Args:
        most: how many events at the most; an event may list several parcels.
        disorder: also late events, gaps of days, duplicates and what cannot be read.
    """
    steps = st.sampled_from(STEPS + GAPS) if disorder else _step
    late = st.sampled_from(LATE) if disorder else st.just(0)
    kinds = st.sampled_from("aaaaaacccdb" if disorder else "aac")
    plan = draw(st.lists(st.tuples(kinds, steps, late, _action, _fact), min_size=1, max_size=most))
    now = MONDAY + 8 * HOUR
    sent: list[Sent] = []
    for number, (kind, step, back, action, fact) in enumerate(plan):
        # Equal times are wanted where order is the log's alone; across partitions they are not ordered.
        now += step if disorder else step + 1
        if kind == "a":
            name, who, first, many, records, reason = action
            parcels = [f"P{(first + i) % 12}" for i in range(0 if name == "login" else many)]
            more: dict[str, Any] = {"id": f"a{number}"} if number % 3 else {}
            if records:
                more["records"] = records
            if reason:
                more["reason"] = dict(zip(("kind", "id"), reason.split(":"), strict=True))
            sent.append(Sent(ACCESS_EVENTS, access(now - back, f"p{who}", name, parcels, **more), now + 5))
        elif kind == "c":
            name, who, parcel, site = fact
            more = {"site": f"S{site}", "staff": [f"p{who}"], "ticket": "T1", "id": f"c{number}"}
            sent.append(Sent(PARCEL_CONTEXT, context(now - back, f"P{parcel}", name, **more), now + 5))
        elif kind == "d" and sent:
            sent.append(sent[(action[2] * 7 + action[3]) % len(sent)]._replace(arrived=now + 5))
        else:
            topic = (ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY)[fact[3]]
            sent.append(Sent(topic, BAD[(action[2] + action[3]) % len(BAD)], now + 5))
    return sent


def seeded(seed: int, events: int) -> list[Sent]:
    """A longer carrier's log from a seed: what one example of `carriers` is too short for."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    now = MONDAY + 8 * HOUR
    for number in range(events):
        now += rng.choice(STEPS) if rng.random() < 0.98 else rng.choice(GAPS)
        back = rng.choice(LATE) if rng.random() < 0.3 else 0
        parcels = [f"P{rng.randrange(40)}" for _ in range(rng.choice((0, 1, 1, 1, 2, 5)))]
        pick = rng.random()
        if pick < 0.7:
            action = rng.choice(("view", "view", "view", "export", "scan", "call"))
            value = access(
                now - back,
                f"p{rng.randrange(12)}",
                action,
                parcels,
                id=f"a{number}",
                records=rng.choice((0, 0, 9)),
            )
            sent.append(Sent(ACCESS_EVENTS, value, now + 5))
        elif pick < 0.9:
            more = {"site": f"S{rng.randrange(3)}", "staff": [f"p{rng.randrange(12)}"], "id": f"c{number}"}
            value = context(now - back, f"P{rng.randrange(40)}", rng.choice(CONTEXT_KINDS), **more)
            sent.append(Sent(PARCEL_CONTEXT, value, now + 5))
        elif pick < 0.97 and sent:
            sent.append(rng.choice(sent[-30:])._replace(arrived=now + 5))
        else:
            sent.append(Sent(rng.choice(INBOUND), rng.choice(BAD), now + 5))
    return sent


def with_decisions(sent: list[Sent], seed: int) -> list[Sent]:
    """The same log with people's decisions in between: what is suppressed, watched, judged, and how strict to be."""
    rng = random.Random(seed)
    made: list[Sent] = []
    for one in sent:
        made.append(one)
        if rng.random() < 0.1:
            now, actor = one.arrived, f"p{rng.randrange(PEOPLE)}"
            until = {"value": "on", "until": stamp(now + rng.choice((HOUR, DAY)))}
            detector = rng.choice(("off_hours", "bulk_read", ""))
            value = rng.choice((
                decision(now, "strictness", value=rng.choice(("0.5", "2"))),
                decision(now, "watch", actor=actor, **until),
                decision(now, "watch", actor=actor, value="off"),
                decision(now, "suppress", actor=actor, detector=detector, **until),
                decision(now, "suppress", detector="bulk_read", **until),
                decision(now, "verdict", actor=actor, detector="bulk_read", alert="0" * 32, value="false_positive"),
                decision(now, "model", value="shadow:" + "0" * 64),
                decision(now, "suppress", detector="honeytoken", **until),
                decision(now, "suppress", detector="rule.often", **until),
                decision(now, "rules", **loaded(rng.choice((RULES, CHANGED)))),
                decision(now, "rules", value="off") if rng.random() < 0.3 else decision(now, "rules", **loaded(RULES)),
            ))  # fmt: skip
            made.append(Sent(CONTROL, value, now))
    return made


def ordered(most: int = 25) -> st.SearchStrategy[list[Sent]]:
    """Carriers' logs in which every partition, however many there are, hears something at least twice a day.

    All events have a time of their own and arrive in order, as they must for the order to be one and the same
    however keys fall into partitions.
    """
    return carriers(most=most, disorder=False).map(_with_rounds)


def _with_rounds(sent: list[Sent]) -> list[Sent]:
    begin, end = MONDAY, sent[-1].arrived + 1
    rounds: list[Sent] = []
    for hour in range(0, (end - begin) // HOUR + 12, 12):
        for number, name in enumerate(_EVERYWHERE):
            at = begin + hour * HOUR + number * 100
            rounds.append(Sent(ACCESS_EVENTS, access(at, name, "login"), at + 5))
            rounds.append(Sent(PARCEL_CONTEXT, context(at + 50, name, "arrived"), at + 55))
    return sorted([*sent, *rounds], key=lambda one: one.arrived)


def _cover(counts: tuple[int, ...]) -> list[str]:
    """Names that fall into every partition of every one of these numbers of partitions."""
    missing = {(n, p) for n in counts for p in range(n)}
    names: list[str] = []
    for number in count():
        name = f"guard{number}"
        found = {(n, source_partition(name.encode(), n)) for n in counts} & missing
        if found:
            names.append(name)
            missing -= found
        if not missing:
            break
    return names


_EVERYWHERE = _cover((2, 4, 7))
