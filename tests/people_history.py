"""A history of a dozen people who work on their parcels, one of whom exports at times."""

from __future__ import annotations

import random
from pathlib import Path

from detectors.base import ACTION_CODES, Person, Touch
from streams.history.archive import Archive
from tests.archives import block, touch
from tests.senders import DAY, HOUR, MINUTE, MONDAY

PEOPLE = [Person(f"k1.staff.{n:02d}", "vnx", "clerk") for n in range(12)]
DAYS = 26


def leak_days() -> list[tuple[int, int]]:
    """(person, day) on which somebody exports thousands of rows: most before the last fifth of the days."""
    return [(day % len(PEOPLE), day) for day in range(1, DAYS, 2)] + [
        (day % 5 + 6, day) for day in range(1, DAYS, 3)
    ]


def write_history(root: Path, days: int = DAYS, *, leaks: bool = False) -> None:
    """Archive what they do; a day is its own block."""
    rng = random.Random(5)
    archive, number = Archive(root), 0
    leaky = set(leak_days()) if leaks else set()
    for day in range(days):
        rows: list[Touch] = []
        for person in range(len(PEOPLE)):
            for _ in range(6 + rng.randrange(8)):
                time = MONDAY + day * DAY + 2 * HOUR + rng.randrange(4 * HOUR)
                rows.append(touch(0, who=person, time=time, seen=rng.choice((0, MONDAY - DAY))))
            if (person, day) in leaky:
                time = MONDAY + day * DAY + 3 * HOUR + rng.randrange(30) * MINUTE
                rows.append(
                    touch(0, who=person, time=time, action=ACTION_CODES["export"], parcel="", records=9_000)
                )
        rows.sort(key=lambda row: row.time)
        for row in rows:
            number += 1
            row.st, row.off = row.time, number
        archive.add(0, day, block(*rows, people=PEOPLE))
    archive.flush()
