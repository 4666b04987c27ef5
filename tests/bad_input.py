"""Every kind of bad access event that was thought of, and what becomes of it; docs/events.md shows the table."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

#: In every value that must not come back in a log, an alert or a rejection.
SECRET = "Nguyen0901234567"
NOW = datetime(2026, 11, 18, 3, 0, tzinfo=UTC)


class Case(NamedTuple):
    """What is sent, how, and what it gets: `admitted`, `admitted, CORRECTION`, `duplicate` or `rejected, REASON`."""

    name: str
    value: bytes | None
    outcome: str


def event(now: datetime = NOW, **changes: Any) -> bytes:
    """A good event with other fields; `...` takes a field out."""
    body: dict[str, Any] = {
        "time": stamp(now),
        "carrier": "vnx",
        "actor": "nv1",
        "action": "view",
        "parcels": [SECRET],
    }
    body |= changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def stamp(at: datetime) -> str:
    """RFC 3339, in Vietnam."""
    return (at + timedelta(hours=7)).strftime("%Y-%m-%dT%H:%M:%S+07:00")


def cases(now: datetime = NOW) -> list[Case]:
    """All of them, for records that arrive at `now`; one that only repeats another follows it."""

    def e(**changes: Any) -> bytes:
        return event(now, **changes)

    good = e()
    deep = b"[" * 100_000 + b"]" * 100_000
    return [
        Case("a good event", good, "admitted"),
        Case("text that is not JSON", SECRET.encode(), "rejected, not_json"),
        Case("nothing (no bytes)", b"", "rejected, not_json"),
        Case("JSON cut short", good[:-1], "rejected, not_json"),
        Case("two JSON objects in one value", good + good, "rejected, not_json"),
        Case("a JSON array", b"[" + good + b"]", "rejected, wrong_type"),
        Case("JSON `null`", b"null", "rejected, wrong_type"),
        Case("a null value", None, "rejected, null_value"),
        Case("bad UTF-8 in a field that is read", good.replace(b"nv1", b"nv\xff"), "rejected, not_json"),
        Case("half a surrogate pair", good.replace(b"nv1", b"nv\\ud800"), "rejected, not_json"),
        Case("200,000 brackets", deep, "rejected, wrong_type"),
        Case("an unknown field 100,000 deep", good[:-1] + b',"x":' + deep + b"}", "rejected, too_deep"),
        Case("10 MB of text", b"x" * 10_000_000, "rejected, too_large"),
        Case("10 MB of parcels", e(parcels=[f"{n:0>96}" for n in range(100_000)]), "rejected, too_large"),
        Case("`actor` a number", e(actor=7), "rejected, wrong_type"),
        Case("`parcels` a string", e(parcels=SECRET), "rejected, wrong_type"),
        Case("`records` a string", e(records=SECRET), "rejected, wrong_type"),
        Case("`time` a number", e(time=1_795_000_000), "rejected, wrong_type"),
        Case("no `time`", e(time=...), "rejected, missing_field"),
        Case("no `carrier`", e(carrier=...), "rejected, missing_field"),
        Case("no `actor`", e(actor=...), "rejected, missing_field"),
        Case("no `action`", e(action=...), "rejected, missing_field"),
        Case("unknown fields", e(customer=SECRET, phone=SECRET), "admitted, unknown_fields"),
        Case("an unknown `action`", e(action=SECRET), "rejected, unknown_action"),
        Case("`time` without offset", e(time=stamp(now)[:-6]), "rejected, time_without_offset"),
        Case("`time` that is none", e(time=SECRET), "rejected, invalid_time"),
        Case("`time` on 30 February", e(time="2026-02-30T08:00:00Z"), "rejected, invalid_time"),
        Case("`time` before 1970", e(time="1969-12-31T23:59:59Z"), "rejected, invalid_time"),
        Case("`time` an hour ahead", e(time=stamp(now + timedelta(hours=1))), "admitted, time_ahead"),
        Case("`time` a week ahead", e(time=stamp(now + timedelta(days=7))), "rejected, time_in_future"),
        Case("`time` years ago", e(time=stamp(now - timedelta(days=2_000))), "admitted, time_old"),
        Case("`records` negative", e(records=-1), "rejected, invalid_records"),
        Case("`records` 10^12", e(records=10**12), "admitted, records_capped"),
        Case("`records` 10^30", e(records=10**30), "admitted, records_capped"),
        Case(
            "100,000 parcels below 1 MiB",
            e(parcels=[f"{n}" for n in range(100_000)]),
            "admitted, parcels_truncated",
        ),
        Case("`actor` empty", e(actor=""), "rejected, empty"),
        Case("a parcel id empty", e(parcels=[""]), "rejected, empty"),
        Case("`actor` of 100,000 characters", e(actor="n" * 100_000), "rejected, too_long"),
        Case("a parcel id of 100,000 characters", e(parcels=["p" * 100_000]), "rejected, too_long"),
        Case("`id` of 100,000 characters", e(id="i" * 100_000), "rejected, too_long"),
        Case("`id` empty (as if absent)", e(id=""), "admitted"),
        Case("an `id`", e(id="e1"), "admitted"),
        Case("the same `id` again", e(id="e1"), "duplicate"),
        Case("a carrier without a key", e(carrier=SECRET), "rejected, unknown_carrier"),
        Case("an actor the directory does not know", e(actor=SECRET), "admitted, actor_unknown"),
    ]
