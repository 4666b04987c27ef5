"""Simulations read to their end, for the tests."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import orjson

from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.simulator import (
    LEAKS,
    SimulationConfig,
    simulate,
)

Record = dict[str, Any]
ACTIONS = {
    "search",
    "view",
    "list",
    "export",
    "print",
    "download",
    "reveal",
    "update",
    "scan",
    "call",
    "login",
}
FIELDS = {"name", "phone", "address", "cod", "contents"}
SMALL = SimulationConfig(staff=30, days=1, parcels_per_courier=10)
#: Thursday to Wednesday, a weekend and the end of a month among them.
WEEK = SimulationConfig(
    staff=120,
    days=7,
    start=date(2026, 3, 26),
    seed=5,
    leaks=tuple((name, 2) for name in LEAKS),
    parcels_per_courier=20,
)


class Run:
    """A simulation read to its end, taken apart for the tests."""

    def __init__(self, config: SimulationConfig) -> None:
        self.simulation = simulate(config)
        self.records = list(self.simulation.events())
        self.access = [record for topic, record in self.records if topic == ACCESS_EVENTS]
        self.context = [record for topic, record in self.records if topic == PARCEL_CONTEXT]
        self.by_id = {event["id"]: event for event in self.access}
        self.people = {person["actor"]: person for person in self.simulation.directory}
        self.truth = self.simulation.truth
        self.leaked = {uid for line in self.truth if line["label"] == "leak" for uid in line["event_ids"]}

    def planted(self, shape: str) -> list[tuple[Record, list[Record]]]:
        return [
            (line, [self.by_id[uid] for uid in line["event_ids"]])
            for line in self.truth
            if line["shape"] == shape
        ]


def dump(config: SimulationConfig) -> bytes:
    simulation = simulate(config)
    lines = [orjson.dumps(item) for item in simulation.events()]
    return b"\n".join(
        [*lines, *map(orjson.dumps, simulation.directory), *map(orjson.dumps, simulation.truth)]
    )


def minutes(line: Record) -> float:
    span = datetime.fromisoformat(line["end"]) - datetime.fromisoformat(line["start"])
    return span.total_seconds() / 60


def in_shift(event: Record, person: Record, slack: timedelta = timedelta(minutes=40)) -> bool:
    at = datetime.fromisoformat(event["time"])
    for shift in person["shifts"]:
        first, last = (int(hour) for hour in shift.split("-"))
        for day in (at.date() - timedelta(days=1), at.date()):
            start = datetime.combine(day, time(first), at.tzinfo)
            if start - slack <= at <= start + timedelta(hours=(last - first) % 24) + slack:
                return True
    return False
