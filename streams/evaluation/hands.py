"""What a leaker's hands do: pick a time, open parcel after parcel, export."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from streams.evaluation.log import Style
from streams.evaluation.scene import Act, Scene
from streams.simulator.leaker import new_device
from streams.simulator.world import spread


class Task(NamedTuple):
    """One episode to be made.

    Attributes:
        person: number in the log.
        days: local days to do it on; the first `Shape.days` at the most.
        size: parcels, or rows of exports; for low_and_slow, parcels a day.
        rng: random numbers of its own.
        others: who else takes part.
    """

    person: int
    days: list[int]
    size: int
    rng: random.Random
    others: tuple[int, ...] = ()


def begin(scene: Scene, task: Task, length: int) -> int:
    """A start within the person's day that leaves room for the length where there is room."""
    start, end = scene.shifts(task.person)[task.days[0]]
    return task.rng.randint(start, max(start, end - length))


def act(
    scene: Scene,
    task: Task,
    ms: int,
    action: str,
    parcels: tuple[str, ...],
    style: Style,
    *,
    records: int | None = None,
    found: bool = True,
) -> Act:
    """One access of the person; it returns as many records as it names parcels where nothing else is said."""
    count = len(parcels) if records is None else records
    return Act(
        ms, scene.offset(task.person, ms), task.person, action, parcels, count if found else 0, style, found
    )


def views(
    scene: Scene,
    task: Task,
    parcels: Sequence[int] | None,
    start: int,
    length: int,
    *,
    action: str = "view",
    style: Style | None = None,
) -> list[Act] | None:
    """One parcel after the other, scattered over the time; None where there were too few parcels."""
    if parcels is None:
        return None
    times = spread(task.rng, len(parcels), start, start + length)
    ids = scene.ids(list(parcels))
    look = style or scene.style(task.person, start, action)
    return [act(scene, task, ms, action, (i,), look) for i, ms in zip(ids, times, strict=True)]


def exports(scene: Scene, task: Task, start: int, length: int, calls: int) -> list[Act]:
    """The rows in so many calls, none of them named."""
    calls = max(1, min(calls, task.size))
    style = scene.style(task.person, start, "export")
    times = spread(task.rng, calls, start, start + length)
    rows = [task.size * (n + 1) // calls - task.size * n // calls for n in range(calls)]
    return [act(scene, task, ms, "export", (), style, records=n) for ms, n in zip(times, rows, strict=True)]


def elsewhere(rng: random.Random, style: Style) -> Style:
    """The same from a device and, where the log says, an address never seen."""
    address = f"10.250.{rng.randrange(250)}.{rng.randrange(2, 250)}" if style.ip else ""
    return style._replace(device=new_device(rng), ip=address)
