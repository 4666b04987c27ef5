"""Examples a rule carries: events, and whether it matches them. They are its tests and its documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from detectors.base import ACTION_CODES, CHANNEL_CODES, EXPLANATIONS, Person, Touch
from detectors.sigma import Engine, RuleSet, State
from detectors.touch_fields import FIELDS
from streams.rules.parse import OWN, Loaded
from streams.rules.source import Document, Fault, RuleError

#: When an example begins unless it says: a Monday morning.
BEGIN = "2026-03-02T09:00:00+07:00"
DAY = 86_400_000
#: Events an example may have, repeats counted.
MOST_EVENTS = 20_000
_SPAN = re.compile(r"(\d{1,6})(ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY}
_PERSON = ("role", "team", "status", "manager", "carrier")
_DERIVED = {
    "hour": "time",
    "weekday": "time",
    "on_shift": "time and shifts",
    "at_home_site": "site and home_site",
}
_KEYS = ("time", "after", "repeat", "shifts")


class Example(NamedTuple):
    """One example: its name, whether the rule is to match, and the events."""

    name: str
    match: bool
    events: list[Touch]


class Result(NamedTuple):
    """What became of an example: `got` says whether the rule matched, on how many touches."""

    rule: str
    example: Example
    got: bool
    touches: int

    @property
    def passed(self) -> bool:
        """Whether that is what was expected."""
        return self.got == self.example.match


def examples(one: Document) -> list[Example]:
    """The examples of a rule's document. Raises RuleError."""
    own = one.data.get(OWN, {})
    if not isinstance(own, dict) or not set(own) <= {"examples", "title_vi"}:
        raise RuleError(one.fault(f"{OWN} has examples and title_vi, and nothing else", OWN))
    listed = own.get("examples", [])
    if not isinstance(listed, list):
        raise RuleError(one.fault("examples is a list", "examples"))
    return [_example(one, number, each) for number, each in enumerate(listed, 1)]


def _example(one: Document, number: int, each: Any) -> Example:
    if not isinstance(each, dict) or each.get("expect") not in ("match", "no-match"):
        raise RuleError(one.fault(f"example {number}: expect is match or no-match", "expect", "examples"))
    name = str(each.get("name", f"example {number}"))
    events = each.get("events")
    if not isinstance(events, list) or not events:
        raise RuleError(
            one.fault(f"example {name!r}: events is a list of at least one", "events", "examples")
        )
    try:
        return Example(name, each["expect"] == "match", list(_touches(events)))
    except ValueError as exc:
        raise RuleError(one.fault(f"example {name!r}: {exc}", "events")) from None


def _touches(events: list[Any]) -> Iterator[Touch]:
    """The events as touches. Raises ValueError."""
    time, tz = _moment(BEGIN)
    number = 0
    for event in events:
        if not isinstance(event, dict):
            raise ValueError("an event is a mapping of fields to values")
        _check(event)
        repeat = event.get("repeat", 1)
        if not isinstance(repeat, int) or not 1 <= repeat <= MOST_EVENTS:
            raise ValueError(f"repeat is 1 to {MOST_EVENTS:,}")
        after = _span(event.get("after", "1s"))
        for again in range(repeat):
            if "time" in event and not again:
                time, tz = _moment(event["time"])
            elif number:
                time += after
            number += 1
            if number > MOST_EVENTS:
                raise ValueError(f"an example has at most {MOST_EVENTS:,} events")
            given = {k: v.replace("{n}", str(number)) if isinstance(v, str) else v for k, v in event.items()}
            yield _touch(given, number, time, tz)


def _check(event: dict[Any, Any]) -> None:
    for key in event:
        if key in _DERIVED:
            raise ValueError(f"{key} follows from {_DERIVED[key]}; set that")
        if key not in FIELDS and key not in _KEYS:
            raise ValueError(f"there is no field {str(key)[:64]!r}; see the table in docs/rules.md")
    for key, names in (("action", ACTION_CODES), ("channel", CHANNEL_CODES), ("explanation", EXPLANATIONS)):
        if key in event and event[key] not in names:
            raise ValueError(f"{key} is one of {', '.join(filter(None, names))}")
    for key, value in event.items():
        kind = FIELDS[key].kind if key in FIELDS else ""
        if kind == "number" and (not isinstance(value, int | float) or not abs(value) < 1e9):
            raise ValueError(f"{key} is a number")
        if kind == "true or false" and not isinstance(value, bool):
            raise ValueError(f"{key} is true or false")
        if kind in ("text", "token", "pseudonym") and not isinstance(value, str):
            raise ValueError(f"{key} is text; put it in quotes")


def _moment(text: Any) -> tuple[int, int]:
    """Event time (ms) and minutes east of UTC."""
    try:
        at = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
        offset = at.utcoffset()
        if offset is None or not 1970 < at.year < 9998:
            raise ValueError
    except ValueError:
        raise ValueError(f"time is RFC 3339 with offset in quotes, e.g. '{BEGIN}'") from None
    return int(at.timestamp() * 1000), int(offset.total_seconds() // 60)


def _span(text: Any) -> int:
    if not isinstance(text, str) or not (span := _SPAN.fullmatch(text)):
        raise ValueError("after is a span such as 500ms, 30s, 5m, 2h or 1d")
    return int(span[1]) * _UNITS[span[2]]


def _touch(given: dict[str, Any], number: int, time: int, tz: int) -> Touch:
    shifts = given.get("shifts", [])
    if not isinstance(shifts, list):
        raise ValueError("shifts is a list of rostered hours such as 06-14")
    who = Person(
        given.get("actor", "k1.example"), site=given.get("home_site", ""), service=given.get("service", False),
        shifts=tuple(map(str, shifts)), **{"carrier": "example"} | {n: given[n] for n in _PERSON if n in given},
    )  # fmt: skip
    parcel = given.get("parcel", "")
    seen = time - int(given["seen_days"] * DAY) if "seen_days" in given else 0
    if given.get("first") is False and not seen:
        seen = time - DAY
    reason = given.get("reason", "")
    return Touch(
        time, 0, number, 0, who, time, tz, ACTION_CODES[given.get("action", "view")], parcel,
        int(given.get("records", 1 if parcel else 0)), time, given.get("site", ""), reason and f"{reason}:",
        EXPLANATIONS.index(given.get("explanation", "")), seen, given.get("context", False),
        tuple(range(1, int(given.get("handlers", 0)) + 1)), given.get("holiday", False), 0,
        _pseudonym(given.get("device")), _pseudonym(given.get("network")), CHANNEL_CODES[given.get("channel", "")],
        given.get("outcome", "success") != "success", -1,
        time - int(given["closed_days"] * DAY) if "closed_days" in given else 0, int(given.get("crowd", 0)),
        given.get("honeytoken", ""),
    )  # fmt: skip


def _pseudonym(text: str | None) -> int:
    return crc32(text.encode()) if text else 0


def run(loaded: Loaded) -> list[Result]:
    """Hold every rule against its own examples, also those that only feed correlations.

    Raises:
        RuleError: examples that cannot be read.
    """
    results, faults = [], list[Fault]()
    for rule in loaded.rules.rules:
        try:
            mine = examples(loaded.documents[rule.name])
        except RuleError as exc:
            faults += exc.faults
            continue
        told = RuleSet(
            tuple(msgspec.structs.replace(one, output=one.name == rule.name) for one in loaded.rules.rules)
        )
        engine = Engine(told)
        for example in mine:
            state = State()
            touches = sum(bool(engine.step(state, touch)) for touch in example.events)
            results.append(Result(rule.name, example, touches > 0, touches))
    if faults:
        raise RuleError(*faults)
    return results
