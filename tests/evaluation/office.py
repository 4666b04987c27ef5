"""A small benign log in memory, and detectors of known worth to run over it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import msgspec
import orjson

from detectors.base import MEDIUM, Detector, Finding, Normal, Touch
from streams.admit.local_time import Zones
from streams.evaluation.background import CHUNK, Chunk
from streams.evaluation.log import AccessLog, read_log
from streams.evaluation.scene import Scene
from streams.flow.topics import ACCESS_EVENTS

NO_ZONES = Zones({})
#: A Monday, in a carrier's local time.
START = datetime(2026, 3, 2, tzinfo=timezone(timedelta(hours=7)))


class Office:
    """People who open their own and some common parcels from nine to five on working days, and do nothing else.

    Args:
        people, days, views: how many people, calendar days, and parcels opened a person and day.
        known: fields every event has besides.
    """

    def __init__(self, people: int = 30, days: int = 35, views: int = 12, **known: Any) -> None:
        self.name = "an office"
        self.directory: list[bytes] = []
        rng = random.Random(7)
        rows: list[tuple[datetime, int, int]] = []
        for day in range(days):
            if day % 7 >= 5:
                continue
            for person in range(people):
                for _ in range(views):
                    at = START + timedelta(days=day, hours=9, milliseconds=rng.randrange(8 * 3_600_000))
                    # People sit in groups of five; a group's parcels are numbered apart, forty a day.
                    rows.append((at, person, 100_000 * (person // 5 + 1) + 40 * day + rng.randrange(40)))
        rows.sort()
        self.values = [
            orjson.dumps(
                {
                    "id": f"e{n}",
                    "time": at.isoformat(timespec="milliseconds"),
                    "carrier": "vnx",
                    "actor": f"nv{person:03d}",
                    "action": "view",
                    "parcels": [f"VN{parcel}"],
                    **known,
                }
            )
            for n, (at, person, parcel) in enumerate(rows)
        ]

    def chunks(self) -> Iterator[Chunk]:
        """See `Background`."""
        for start in range(0, len(self.values), CHUNK):
            yield ACCESS_EVENTS, self.values[start : start + CHUNK]


def scene_of(office: Office, warm_up: float = 0.6) -> Scene:
    """The office's log as shapes see it."""
    return Scene(log_of(office, warm_up))


def log_of(office: Office, warm_up: float = 0.6) -> AccessLog:
    """The office's log."""
    return read_log(office, NO_ZONES, warm_up)


class Nothing(msgspec.Struct, array_like=True):
    """The state of a detector that needs none."""

    seen: int = 0


@dataclass(frozen=True)
class Says(Detector[Nothing]):
    """Alerts wherever a function says so, each time anew."""

    name: ClassVar[str] = "says"
    summary: ClassVar[str] = "Says what it is told."
    state_type: ClassVar[type[Any]] = Nothing
    quiet: ClassVar[int] = 0
    when: Callable[[Touch], bool] = lambda _: True

    def step(self, state: Nothing, touch: Touch, normal: Normal) -> float:
        return float(self.when(touch))

    def report(self, state: Nothing, touch: Touch | None, normal: Normal) -> Finding:
        assert touch is not None
        return Finding(
            severity=MEDIUM,
            score=1.0,
            confidence=1,
            evidence=1.0,
            window=1,
            since=touch.time,
            measures={},
            baseline={},
            en="It says so.",
            vi="Nó nói vậy.",
        )


def ms(day: int, hour: float = 0) -> int:
    """Event time (ms) at a local hour of a day of the office."""
    return int((START + timedelta(days=day, hours=hour)).astimezone(UTC).timestamp() * 1_000)
