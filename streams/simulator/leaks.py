"""Plans the leaks of a run: who leaks, on which days, how much."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from streams.simulator import shapes
from streams.simulator.leaker import Leak, magnitude
from streams.simulator.staff import NIGHT, Person
from streams.simulator.world import World

_DESKS = ("depot_clerk", "call_centre", "claims_clerk")
_BACK_OFFICE = ("key_account_manager", "it_staff", "claims_clerk", "cod_accountant")


@dataclass(frozen=True)
class Shape:
    """How a shape is planted.

    Attributes:
        act: writes one day of it.
        size: least and most parcels (rows, for exports) of the whole leak; for low_and_slow, of a day.
        roles: who does it; empty for accounts that are not rostered people.
        at_work: whether it needs a day at work, or just not a time at work.
        days: most days it goes on.
    """

    act: Callable[[World, Leak, int], None]
    size: tuple[int, int]
    roles: tuple[str, ...] = _DESKS
    at_work: bool = True
    days: int = 1


SHAPES: dict[str, Shape] = {
    "bulk_read": Shape(shapes.bulk_read, (100, 2_000)),
    "bulk_export": Shape(shapes.bulk_export, (500, 50_000), _BACK_OFFICE),
    "off_hours": Shape(shapes.off_hours, (20, 5_000), (*_BACK_OFFICE, "depot_clerk"), at_work=False),
    "unrelated_parcel": Shape(shapes.unrelated_parcel, (5, 30), (*_DESKS, "courier"), days=6),
    "low_and_slow": Shape(shapes.low_and_slow, (15, 40), (*_DESKS, "courier"), days=28),
    "enumeration": Shape(shapes.enumeration, (150, 600), (*_DESKS, "it_staff")),
    "sequence": Shape(shapes.sequence, (10, 40)),
    "borrowed_login": Shape(shapes.borrowed_login, (50, 200)),
    "service_account": Shape(shapes.service_account, (40, 150), (), at_work=False),
    "leaver": Shape(shapes.leaver, (30, 300), (), at_work=False),
    "label_unsealing": Shape(shapes.label_unsealing, (8, 40), ("depot_clerk", "hub_staff")),
}


class Leaks:
    """All leaks of a run. They only add events: what everybody else does stays the same without them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plans: list[tuple[Shape, Leak]] = []
        for name, count in world.config.leak_counts.items():
            planted = sum(self._plan(name, world.config.rng("leak", name, n)) for n in range(count))
            if planted < count:
                world.left_out[name] = (
                    f"{count - planted} of {count} not planted: nobody suitable without another part is "
                    "at the right place on any day; simulate more staff or days"
                )

    def run(self, day: int) -> None:
        """Write the leaks of a day; call it last of all the day's work."""
        for shape, leak in self._plans:
            if day in leak.days:
                shape.act(self._world, leak, day)

    def _plan(self, name: str, rng: random.Random) -> bool:
        shape, world = SHAPES[name], self._world
        people = [person for person in self._candidates(name, shape) if person.actor not in world.busy]
        rng.shuffle(people)
        last = world.config.days - 1
        # Where the run is long enough, ordinary days come first: detectors need to have seen the person.
        first = min(last, max(1, world.config.days // 3))
        if world.config.leak_days is not None:
            first, last = world.config.leak_days
        elif shape.days > 1:
            # Working days only: a leak of so many takes about seven fifths as many calendar days.
            latest = max(0, world.config.days - shape.days * 7 // 5)
            first = latest if latest < first else rng.randint(first, latest)
        days = list(range(first, last + 1))
        for person in people:
            if shape.days == 1:
                rng.shuffle(days)
            fitting = [day for day in days if self._fits(shape, person, day)]
            # What goes on for days takes somebody who is there on at least half of them.
            if len(fitting) >= (min(shape.days, len(days)) + 1) // 2:
                entry = world.plant(name, person.actor)
                size = magnitude(rng, *shape.size)
                # No day without a parcel, however few there are to spread.
                chosen = fitting[: min(shape.days, size)]
                self._plans.append((shape, Leak(person, chosen, size, entry, rng)))
                return True
        return False

    def _candidates(self, name: str, shape: Shape) -> list[Person]:
        staff = self._world.staff
        if name == "service_account":
            return list(staff.services.values())
        if name == "leaver":
            return list(staff.idle)
        return staff.in_role(*shape.roles)

    def _fits(self, shape: Shape, person: Person, day: int) -> bool:
        if not shape.roles:
            return True
        span = self._world.roster.hours(person, day)
        if not shape.at_work:
            return NIGHT not in person.shifts
        clock = self._world.clock
        return span is not None and clock.midnight(day) < span[0] and span[1] <= clock.end_ms
