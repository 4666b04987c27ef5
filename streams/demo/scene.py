"""What the demo is played with: a folder with records, the truth about them, keys and settings."""

from __future__ import annotations

import heapq
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import orjson

from streams.demo.plan import Plan, Seen
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.history.files import read_values
from streams.privacy.tokens import Keyring
from streams.simulator import Simulation
from streams.simulator.clock import DAY

PARTITIONS = 4
#: Files of the demo's folder; simulated ones are called as `parcelwatch simulate` calls them.
FILES = {
    ACCESS_EVENTS: "access.ndjson",
    PARCEL_CONTEXT: "context.ndjson",
    STAFF_DIRECTORY: "directory.ndjson",
}
TRUTH, CONFIG, KEYS = "truth.ndjson", "parcelwatch.toml", "keys.toml"


class Screen(Protocol):
    """Who is told how the demo goes."""

    def step(self, text: str) -> None:
        """Something new begins."""

    def progress(self, done: float, total: float, note: str) -> None:
        """How far what has begun has come."""

    def alert(self, seen: Seen) -> None:
        """An alert came by."""


class Scene(NamedTuple):
    """What is prepared.

    Attributes:
        folder: holds everything.
        keys: the carrier's.
        truth: what was planted.
        records: how many there are, by topic.
    """

    folder: Path
    keys: Keyring
    truth: list[dict[str, Any]]
    records: Counter[str]

    @property
    def tokens(self) -> dict[str, str]:
        """Token by staff id, of everybody in the truth."""
        return {
            line["actor"]: self.keys.cipher(line["carrier"]).staff(line["actor"])
            for line in self.truth
            if line["actor"] != "*"
        }


def prepare(folder: Path, plan: Plan, screen: Screen) -> Scene:
    """Wipe the folder, simulate the carrier into it, make its keys.

    Raises:
        OSError: it cannot be written to.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keys = Keyring()
    keys.add_carrier(plan.config.carrier)
    keys.save(folder / KEYS)
    simulation = Simulation(plan.config)
    days = plan.config.days
    counts: Counter[str] = Counter()
    with (
        (folder / FILES[ACCESS_EVENTS]).open("wb") as access,
        (folder / FILES[PARCEL_CONTEXT]).open("wb") as context,
    ):
        files = {ACCESS_EVENTS: access, PARCEL_CONTEXT: context}
        for topic, record in simulation.events():
            files[topic].write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            counts[topic] += 1
            if not counts.total() % 10_000:
                done = datetime.fromisoformat(record["time"]).timestamp() * 1000 - plan.midnight(0)
                screen.progress(done / DAY, days, f"{counts.total():,} records")
    screen.progress(days, days, f"{counts.total():,} records")
    for name, lines in ((FILES[STAFF_DIRECTORY], simulation.directory), (TRUTH, simulation.truth)):
        (folder / name).write_bytes(
            b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        )
    counts[STAFF_DIRECTORY] = len(simulation.directory)
    return Scene(folder, keys, simulation.truth, counts)


def write_config(folder: Path, bootstrap: str, plan: Plan, hook: str, secret: str) -> None:
    """Write the settings that all of the demo's processes share, readable by their owner alone."""
    config = plan.config
    lines = (
        "# The demo's settings; PARCELWATCH_CONFIG names this file to every command.",
        f"broker = {json.dumps(bootstrap)}",
        f"data_dir = {json.dumps(str(folder))}",
        f"partitions = {PARTITIONS}",
        f"[carriers.{json.dumps(config.carrier)}]",
        f"time_zone = {json.dumps(config.time_zone)}",
        f"country = {json.dumps(config.country)}",
        "[receivers.demo]",
        f"url = {json.dumps(hook)}",
        f"secret = {json.dumps(secret)}",
        'allow = ["127.0.0.0/8", "::1"]',
        "",
    )
    path = folder / CONFIG
    path.touch(mode=0o600)
    path.write_text("\n".join(lines), encoding="utf-8")


class _Timed(msgspec.Struct, gc=False):
    time: datetime


_timed = msgspec.json.Decoder(_Timed).decode


def timeline(folder: Path) -> Iterator[tuple[int, str, bytes]]:
    """Event time (ms), topic and value of all records, in order of time."""

    def values(topic: str) -> Iterator[tuple[int, str, bytes]]:
        for value in read_values(folder / FILES[topic]):
            yield round(_timed(value).time.timestamp() * 1000), topic, value

    # By time alone: the order within a file is the simulator's.
    return heapq.merge(values(PARCEL_CONTEXT), values(ACCESS_EVENTS), key=lambda entry: entry[0])
