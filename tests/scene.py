"""A simulated carrier's days for trials with faults, what must come of them, and holding a trial to that."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from detectors import DETECTORS
from streams.admit.progress import Progress
from streams.flow.topics import ACCESS_EVENTS, CONTROL, PARCEL_CONTEXT
from streams.simulator import SimulationConfig, simulate
from tests.law_harness import Run
from tests.senders import BAD, Sent

PARTITIONS = 4


UNREAD = f"\x00progress/{CONTROL}".encode()


@dataclass(frozen=True)
class Scene:
    """What a carrier sends, and what must come of it: the same stages in one process, nothing failing.

    Attributes:
        people: the staff directory.
        sent: everything else, in order of arrival.
        wanted: a finished run.
    """

    people: list[bytes]
    sent: list[Sent]
    wanted: Run

    @classmethod
    def of(cls, seed: int, staff: int, days: int) -> Scene:
        """A simulated carrier's days: leaks planted, some of it sent twice, some of it unreadable."""
        rng = random.Random(seed)
        simulation = simulate(SimulationConfig(staff=staff, days=days, seed=seed))
        now = int(time.time() * 1000)
        sent: list[Sent] = []
        for topic, record in simulation.events():
            sent.append(Sent(topic, msgspec.json.encode(record), now))
            if rng.random() < 0.002:
                sent.append(rng.choice(sent[-200:]))
            if rng.random() < 0.001:
                sent.append(Sent(rng.choice((ACCESS_EVENTS, PARCEL_CONTEXT)), rng.choice(BAD), now))
        people = [msgspec.json.encode(line) for line in simulation.directory]
        return cls(people, sent, Run(sent, PARTITIONS, people, DETECTORS).finish())

    def actors(self) -> set[str]:
        """Clear staff ids."""
        return {msgspec.json.decode(line)["actor"] for line in self.people}


def check(outcome: Run, scene: Scene, trial: str = "") -> None:
    """Hold what came of a trial to what must: alerts, states, and every offset accounted for exactly once."""
    wanted = scene.wanted
    assert outcome.alerts == wanted.alerts, f"{trial}: {_unlike(outcome.alerts, wanted.alerts)}"
    found, states = outcome.stored(), wanted.states()
    for key, value in wanted.stored().items():
        if key[2] == UNREAD and key not in found:
            del states[
                key
            ]  # nobody decides anything here, and a partition nothing was read from writes no progress
            assert msgspec.msgpack.decode(value, type=Progress) == Progress()
    assert found == states, f"{trial}: {_unlike(found, states)}"
    for where in wanted.logs:
        if where[0] in (ACCESS_EVENTS, PARCEL_CONTEXT):
            assert [r.value for r in outcome.logs[where]] == [r.value for r in wanted.logs[where]], trial
            assert outcome.admitted(where) == wanted.admitted(where), trial
            assert outcome.rejected(where) == wanted.rejected(where), trial


def _unlike(found: dict[Any, bytes], wanted: dict[Any, bytes]) -> str:
    keys = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
    lines = [
        f"{key}\n  found  {found.get(key, b'')!r}\n  wanted {wanted.get(key, b'')!r}" for key in keys[:3]
    ]
    return f"{len(keys)} differ, " + "\n".join(["first of them:", *lines])
