"""Rules decide as SQL does: random rules over random events, held against pysigma-backend-sqlite.

Only where Sigma leaves it open do the two differ, and there no example is made: a negation of what the log does not say
(here true, in SQL unknown), and touches at one moment.
"""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

from detectors.base import Touch
from detectors.sigma import Engine, State
from detectors.testing import at, touch
from detectors.touch_fields import FIELDS
from streams.rules.parse import from_documents
from streams.rules.source import parse_documents

LOG = {"product": "parcelwatch", "category": "access"}
COLUMNS = [name for name in FIELDS if name != "time"]
START = at(hour=8)
oracle = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ACTIONS = ("view", "search", "export", "reveal")
SITES = ("HN-03", "HN-13", "SG-3", "a*b", "[x]", "50%", "u_v")


@st.composite
def events(draw: st.DrawFn, *, whole: bool = False, most: int = 25) -> list[Touch]:
    """Touches of one person in order, no two at one moment; `whole` says every field that rules below use."""
    found, time = [], START
    for _ in range(draw(st.integers(1, most))):
        time += 1_000 * draw(st.sampled_from((1, 1, 5, 30, 59, 60, 61, 200)))
        said = whole or draw(st.booleans())
        one = touch(
            time, draw(st.sampled_from(ACTIONS)), draw(st.sampled_from(("P1", "P2", "p1", "P4"))),
            records=draw(st.integers(0, 9)), explanation=draw(st.sampled_from(("site", "ticket"))) if said else "",
            site=draw(st.sampled_from(SITES)) if said else "", device=draw(st.integers(1, 4)),
        )  # fmt: skip
        found.append(one)
    return found


TESTS: list[tuple[str, Any]] = [
    ("action", "EXPORT"), ("action", ["view", "reveal"]), ("action|startswith", "re"), ("action|endswith", "W"),
    ("action|contains", "e"), ("action|contains|all", ["e", "r"]), ("action|cased", "view"), ("action|cased", "View"),
    ("site", "HN-?3"), ("site", "*-3"), ("site", "a\\*b"), ("site", "[x]"), ("site|contains", "%"),
    ("site|contains", "_"), ("site|startswith|cased", "hn"), ("site|re", "^HN-[0-9]+3$"), ("site|re", "hn"),
    ("site|re|i", "hn"), ("records", 3), ("records", [1, 2, 3]), ("records|gt", 4), ("records|gte", 4),
    ("records|lt", 2), ("records|lte", 2), ("service", False), ("service", True), ("hour", 8), ("weekday", "monday"),
    ("role", "depot*"), ("outcome", "success"), ("at_home_site", False), ("first", True),
]  # fmt: skip
NULLS: list[tuple[str, Any]] = [("explanation", None), ("site|exists", False), ("explanation|exists", True)]
NEGATED: list[tuple[str, Any]] = [("action|neq", "view"), ("records|neq", 3), ("site|contains|neq", "3")]
POSITIVE = ("a and b", "a or b", "1 of sel*", "all of sel*", "a and 1 of sel*", "(a or b) and sel1")
NEGATIVE = ("a and not b", "not (a and b)", "not a or b", "not 1 of sel*")


@st.composite
def detections(draw: st.DrawFn, *, negative: bool) -> dict[str, Any]:
    """A detection of four selections."""
    pool = TESTS + (NEGATED if negative else NULLS)
    named = {
        name: dict(
            draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique_by=lambda pair: pair[0]))
        )
        for name in ("a", "b", "sel1", "sel2")
    }
    return named | {"condition": draw(st.sampled_from(NEGATIVE if negative else POSITIVE))}


def rule(number: int, **more: Any) -> dict[str, Any]:
    """A rule of that number."""
    uid = f"00000000-0000-4000-8000-{number:012d}"
    return {"title": f"r{number}", "id": uid, "name": f"r{number}", "level": "low", "status": "test"} | more


def plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class Table:
    """The touches as a table of SQLite."""

    def __init__(self, touches: list[Touch]) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.create_function("REGEXP", 2, lambda p, v: v is not None and re.search(p, v) is not None)
        self.db.execute(
            f"CREATE TABLE logs (id INTEGER, at INTEGER, {', '.join(f'`{name}`' for name in COLUMNS)})"
        )
        for number, one in enumerate(touches):
            row = [number, (one.time - START) // 1_000, *(plain(FIELDS[name].get(one)) for name in COLUMNS)]
            self.db.execute(f"INSERT INTO logs VALUES ({', '.join('?' * len(row))})", row)

    def ask(self, documents: list[dict[str, Any]]) -> list[Any]:
        """Rows of the query the last document becomes."""
        backend = sqliteBackend(
            timestamp_field="at", timestamp_format="unix", event_id_field="id", collate_nocase=True
        )
        [query] = backend.convert(SigmaCollection.from_dicts(documents))
        cursor = self.db.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def decided(documents: list[dict[str, Any]], touches: list[Touch]) -> list[int]:
    """Seconds after the start of the touches the last document matched, by parcelwatch."""
    text = "\n---\n".join(map(json.dumps, documents)).encode()
    engine, state = Engine(from_documents(parse_documents(text, "t.yml")).rules), State()
    name = documents[-1]["name"]
    return [
        (one.time - START) // 1_000
        for one in touches
        if any(match.live.rule.name == name for match in engine.step(state, one))
    ]


@pytest.mark.parametrize("negative", [False, True])
@oracle
@given(st.data())
def test_a_detection_matches_what_sql_selects(negative: bool, data: st.DataObject) -> None:
    touches = data.draw(events(whole=negative))
    one = rule(1, logsource=LOG, detection=data.draw(detections(negative=negative)))
    assert decided([one], touches) == [row["at"] for row in Table(touches).ask([one])]


BASES = [
    rule(1, logsource=LOG, detection={"s": {"action": ["view", "reveal"]}, "condition": "s"}),
    rule(2, logsource=LOG, detection={"s": {"action": "export"}, "condition": "s"}),
    rule(3, logsource=LOG, detection={"s": {"records|gte": 4}, "condition": "s"}),
]
OPS = ("gte", "gt", "lte", "lt", "eq", "neq")


@st.composite
def correlations(draw: st.DrawFn, number: int = 4) -> dict[str, Any]:
    """A correlation of the bases."""
    kind = draw(st.sampled_from(("event_count", "value_count", "value_sum", "value_avg", "value_percentile",
                                 "value_median", "temporal", "temporal_ordered")))  # fmt: skip
    least = 2 if kind.startswith("temporal") else 1
    names = draw(st.lists(st.sampled_from(("r1", "r2", "r3")), min_size=least, max_size=3, unique=True))
    about: dict[str, Any] = {
        "type": kind, "rules": names, "timespan": draw(st.sampled_from(("1m", "90s", "10m"))),
        "group-by": draw(st.sampled_from((["actor"], ["actor", "site"]))),
    }  # fmt: skip
    if kind == "temporal" and draw(st.booleans()):
        about["condition"] = " or ".join(names) if draw(st.booleans()) else " and ".join(names)
    elif not kind.startswith("temporal"):
        condition: dict[str, Any] = {draw(st.sampled_from(OPS)): draw(st.integers(1, 6))}
        if kind != "event_count":
            condition["field"] = "parcel" if kind == "value_count" else "records"
        if kind == "value_percentile":
            condition["percentile"] = draw(st.sampled_from((0, 10, 50, 95, 100)))
        about["condition"] = condition
    return rule(number, correlation=about)


@oracle
@given(correlations(), events(whole=True))
def test_a_correlation_fires_where_sql_finds_its_window(one: dict[str, Any], touches: list[Touch]) -> None:
    used = [base for base in BASES if base["name"] in one["correlation"]["rules"]]
    asked = Table(touches).ask([*used, one])
    assert decided([*used, one], touches) == sorted({round(row["occurrence_time"]) for row in asked})


@oracle
@given(st.sampled_from(("event_count", "value_count")), st.integers(1, 4), events(whole=True))
def test_a_correlation_of_a_correlation_fires_where_sql_finds_it(
    kind: str, count: int, touches: list[Touch]
) -> None:
    field = {"field": "device"} if kind == "value_count" else {}
    child = rule(4, correlation={"type": kind, "rules": ["r1"], "timespan": "90s", "group-by": ["actor"],
                                 "condition": {"gte": count} | field})  # fmt: skip
    parent = rule(5, correlation={"type": "event_count", "rules": ["r4"], "timespan": "5m", "group-by": ["actor"],
                                  "condition": {"gte": 3}})  # fmt: skip
    documents = [BASES[0], child, parent]
    asked = Table(touches).ask(documents)
    assert decided(documents, touches) == sorted({round(row["occurrence_time"]) for row in asked})


@oracle
@given(events(whole=True))
def test_an_alias_groups_as_sql_does(touches: list[Touch]) -> None:
    one = rule(4, correlation={"type": "temporal", "rules": ["r1", "r2"], "timespan": "10m",
                               "group-by": ["actor", "where"],
                               "aliases": {"where": {"r1": "site", "r2": "explanation"}}})  # fmt: skip
    other = rule(5, correlation={"type": "event_count", "rules": ["r1", "r2"], "timespan": "2m",
                                 "group-by": ["actor", "where"], "condition": {"gte": 2},
                                 "aliases": {"where": {"r1": "site", "r2": "site"}}})  # fmt: skip
    for last in (one, other):
        asked = Table(touches).ask([*BASES[:2], last])
        assert decided([*BASES[:2], last], touches) == sorted(
            {round(row["occurrence_time"]) for row in asked}
        )
