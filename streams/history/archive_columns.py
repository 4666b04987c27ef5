"""The history's columns: touches, late reasons and decisions as Arrow tables, and back. docs/history.md lists them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import pyarrow as pa

from detectors.base import ACTION_CODES, ACTIONS, CHANNEL_CODES, CHANNELS, EXPLANATIONS, Person, Touch
from detectors.sigma import RuleSet
from streams.flow.control import CONTROL_KINDS
from streams.flow.events import Control, Explained

_TIME = pa.timestamp("ms", tz="UTC")
_TEXTS = pa.list_(pa.string())
_KIND_CODES = {name: code for code, name in enumerate(CONTROL_KINDS)}
_EXPLANATION_CODES = {name: code for code, name in enumerate(EXPLANATIONS)}

#: Where a touch stands in the one order of its partition; the last three are its key.
ORDER = ("order_time", "source", "source_offset", "source_index")
KEY = ORDER[1:]
#: The same of the touch a late reason is for.
TOUCH_KEY = ("touch_source", "touch_offset", "touch_index")

_POSITION = [
    (ORDER[0], _TIME),
    (ORDER[1], pa.int32()),
    (ORDER[2], pa.int64()),
    (ORDER[3], pa.int64()),
]
TOUCH_SCHEMA = pa.schema(
    [
        ("time", _TIME),
        ("utc_offset", pa.int16()),
        ("staff", pa.string()),
        ("role", pa.string()),
        ("team", pa.string()),
        ("home_site", pa.string()),
        ("manager", pa.string()),
        ("status", pa.string()),
        ("service", pa.bool_()),
        ("shifts", _TEXTS),
        ("action", pa.string()),
        ("parcel", pa.string()),
        ("records", pa.int64()),
        ("site", pa.string()),
        ("device", pa.uint32()),
        ("place", pa.uint32()),
        ("channel", pa.string()),
        ("reason", pa.string()),
        ("failed", pa.bool_()),
        ("explanation", pa.string()),
        ("first", pa.bool_()),
        ("previous", _TIME),
        ("context", pa.bool_()),
        ("holiday", pa.bool_()),
        ("others", pa.list_(pa.uint32())),
        ("others_idle", pa.int64()),
        ("crowd", pa.int32()),
        ("closed", _TIME),
        ("serial", pa.int32()),
        ("honeytoken", pa.string()),
        ("received", _TIME),
        *_POSITION,
    ]
)
LATE_SCHEMA = pa.schema(
    [
        ("staff", pa.string()),
        ("time", _TIME),
        ("explanation", pa.string()),
        (TOUCH_KEY[0], pa.int32()),
        (TOUCH_KEY[1], pa.int64()),
        (TOUCH_KEY[2], pa.int64()),
        *_POSITION,
    ]
)
DECISION_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("staff", pa.string()),
        ("detector", pa.string()),
        ("alert", pa.string()),
        ("value", pa.string()),
        ("until", _TIME),
        ("decided", _TIME),
        ("partition", pa.int32()),
        *_POSITION,
        ("rules", pa.string()),
    ]
)


class Decision(NamedTuple):
    """A decision as one partition of the actor log has it: each partition reaches it at an order time of its own."""

    partition: int
    row: Control


def touch_table(rows: Sequence[Touch]) -> pa.Table:
    """Touches as the history holds them; `who` of each is a `Person`. What was not said is null, or empty text."""
    people: list[Person] = [row.who for row in rows]
    columns = [
        [row.time for row in rows],
        [row.tz for row in rows],
        [who.token for who in people],
        [who.role for who in people],
        [who.team for who in people],
        [who.site for who in people],
        [who.manager for who in people],
        [who.status for who in people],
        [who.service for who in people],
        [who.shifts for who in people],
        [ACTIONS[row.action] for row in rows],
        [row.parcel for row in rows],
        [row.records for row in rows],
        [row.site for row in rows],
        [row.device or None for row in rows],
        [row.place or None for row in rows],
        [CHANNELS[row.channel] for row in rows],
        [row.reason for row in rows],
        [row.failed for row in rows],
        [EXPLANATIONS[row.explanation] for row in rows],
        [bool(row.parcel) and not row.seen for row in rows],
        [row.seen or None for row in rows],
        [row.context for row in rows],
        [row.holiday for row in rows],
        [row.others for row in rows],
        [row.idle for row in rows],
        [row.crowd for row in rows],
        [row.closed or None for row in rows],
        [None if row.serial < 0 else row.serial for row in rows],
        [row.ghost for row in rows],
        [row.ts for row in rows],
        *_position(rows),
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, TOUCH_SCHEMA, strict=True)], TOUCH_SCHEMA)


def late_table(rows: Sequence[Explained]) -> pa.Table:
    """Late reasons as the history holds them; `who` of each is a `Person`."""
    columns = [
        [row.who.token for row in rows],
        [row.time for row in rows],
        [EXPLANATIONS[row.explanation] for row in rows],
        *([row.touch[n] for row in rows] for n in range(3)),
        *_position(rows),
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, LATE_SCHEMA, strict=True)], LATE_SCHEMA)


def decision_table(partition: int, rows: Sequence[Control]) -> pa.Table:
    """Decisions of one partition of the actor log as the history holds them."""
    columns = [
        [CONTROL_KINDS[row.kind] for row in rows],
        [row.actor for row in rows],
        [row.detector for row in rows],
        [row.alert for row in rows],
        [row.value for row in rows],
        [row.until or None for row in rows],
        [row.time for row in rows],
        [partition] * len(rows),
        *_position(rows),
        [None if row.rules is None else msgspec.json.encode(row.rules).decode() for row in rows],
    ]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, DECISION_SCHEMA, strict=True)], DECISION_SCHEMA
    )


def _position(rows: Sequence[Touch] | Sequence[Explained] | Sequence[Control]) -> list[list[int]]:
    return [
        [row.st for row in rows],
        [row.src for row in rows],
        [row.off for row in rows],
        [row.idx for row in rows],
    ]


def touches(table: pa.Table) -> Iterator[Touch]:
    """The touches of a table that `archive_reader` gave, with their `Person`, as they went to the detectors.

    Their explanation is the table's: with late reasons applied (`read`, `scan`) or without (`scan_apart`).
    """
    for batch in table.to_batches(max_chunksize=10_000):
        millis = {
            name: batch.column(name).cast(pa.int64()).to_pylist()
            for name in ("time", "previous", "closed", "received", "order_time")
        }
        rest = [name for name in batch.schema.names if name not in millis]
        for number, row in enumerate(batch.select(rest).to_pylist()):
            at = {name: values[number] or 0 for name, values in millis.items()}
            who = Person(
                row["staff"], row["carrier"], row["role"], row["team"], row["home_site"], row["manager"], row["status"],
                row["service"], tuple(row["shifts"]),
            )  # fmt: skip
            yield Touch(
                at["order_time"], row["source"], row["source_offset"], row["source_index"], who, at["time"],
                row["utc_offset"], ACTION_CODES[row["action"]], row["parcel"], row["records"], at["received"],
                row["site"], row["reason"], _EXPLANATION_CODES[row["explanation"]], at["previous"], row["context"],
                tuple(row["others"]), row["holiday"], row["others_idle"], row["device"] or 0, row["place"] or 0,
                CHANNEL_CODES[row["channel"]], row["failed"], -1 if row["serial"] is None else row["serial"],
                at["closed"], row["crowd"], row["honeytoken"],
            )  # fmt: skip


def late_reasons(table: pa.Table) -> Iterator[Explained]:
    """The late reasons of a table that `archive_reader.scan_apart` gave; their `Person` is a token and a carrier."""
    times = {name: table.column(name).cast(pa.int64()).to_pylist() for name in ("time", "order_time")}
    for number, row in enumerate(table.to_pylist()):
        who = Person(row["staff"], row["carrier"])
        yield Explained(
            times["order_time"][number], row["source"], row["source_offset"], row["source_index"], who,
            (row[TOUCH_KEY[0]], row[TOUCH_KEY[1]], row[TOUCH_KEY[2]]), times["time"][number],
            _EXPLANATION_CODES[row["explanation"]],
        )  # fmt: skip


def decisions(table: pa.Table) -> Iterator[Decision]:
    """The decisions of a table that `archive_reader.read_decisions` gave."""
    millis = {
        name: table.column(name).cast(pa.int64()).to_pylist() for name in ("until", "decided", "order_time")
    }
    for number, row in enumerate(table.to_pylist()):
        yield Decision(row["partition"], Control(
            millis["order_time"][number], row["source"], row["source_offset"], row["source_index"],
            millis["decided"][number], _KIND_CODES[row["kind"]], row["carrier"], row["staff"], row["detector"],
            row["alert"], row["value"], millis["until"][number] or 0,
            msgspec.json.decode(row["rules"], type=RuleSet) if row["rules"] else None,
        ))  # fmt: skip
