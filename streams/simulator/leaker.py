"""A planned leak, and what a leaker's hands do: pick parcels, pick a time, open, export."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from streams.simulator.clock import MINUTE
from streams.simulator.records import PERSONAL, Planted
from streams.simulator.staff import Person
from streams.simulator.world import Parcel, World


@dataclass(eq=False, slots=True)
class Leak:
    """One planned leak.

    Attributes:
        person: who leaks.
        days: on which days, in order.
        size: parcels (or rows, for exports) over the whole leak.
        entry: its truth.
        rng: random numbers of its own.
    """

    person: Person
    days: list[int]
    size: int
    entry: Planted
    rng: random.Random


def magnitude(rng: random.Random, least: int, most: int) -> int:
    """A whole number in the range, every order of magnitude equally likely."""
    return round(math.exp(rng.uniform(math.log(least), math.log(most))))


def desk(person: Person) -> tuple[str, str]:
    """System and channel in which the person usually opens parcels."""
    if person.role == "courier":
        return "courier-app", "app"
    return ("call-centre-crm" if person.role == "call_centre" else "tms-web"), "ui"


def ids(parcels: Sequence[Parcel]) -> list[str]:
    """Their ids."""
    return [parcel.id for parcel in parcels]


def sample(world: World, leak: Leak, count: int) -> list[Parcel]:
    """Known parcels at random; all of them if there are fewer."""
    return leak.rng.sample(world.known, min(count, len(world.known)))


def unrelated(world: World, leak: Leak, count: int) -> list[Parcel]:
    """Known parcels off the person's site that nobody called about; fewer if there are fewer."""
    person = leak.person
    strange = [
        parcel
        for parcel in world.known
        if person.site not in parcel.sites and parcel.manager is not person and not parcel.asked
    ]
    return leak.rng.sample(strange, min(count, len(strange)))


def shift(world: World, leak: Leak, day: int) -> tuple[int, int]:
    """First and last ms of the person's shift, a margin taken off."""
    span = world.roster.hours(leak.person, day)
    assert span is not None, "the plan holds days at work only"
    return span[0] + 20 * MINUTE, span[1] - 20 * MINUTE


def begin(world: World, leak: Leak, day: int, length: int) -> int:
    """A start within the person's shift that leaves room for the length (ms)."""
    start, end = shift(world, leak, day)
    return leak.rng.randint(start, max(start, end - length))


def views(
    world: World,
    leak: Leak,
    parcels: Sequence[Parcel],
    times: Sequence[int],
    *,
    action: str = "view",
    device: str | None = None,
    site: str | None = None,
    ip: str | None = None,
) -> None:
    """Open one parcel after the other at the given times, in the person's usual place by default."""
    system, channel = desk(leak.person)
    for parcel, ms in zip(parcels, times, strict=True):
        world.recorder.access(
            ms,
            leak.person,
            action,
            (parcel.id,),
            system=system,
            channel=channel,
            fields=PERSONAL,
            device=device,
            site=site,
            ip=ip,
            planted=leak.entry,
        )


def export(world: World, leak: Leak, ms: int, rows: int, listed: Sequence[str] = ()) -> None:
    """One export of that many rows from the data warehouse."""
    world.recorder.access(
        ms,
        leak.person,
        "export",
        listed,
        records=rows,
        system="data-warehouse",
        fields=PERSONAL,
        planted=leak.entry,
    )


def new_device(rng: random.Random) -> str:
    """A device nobody used before."""
    return f"d{rng.getrandbits(40):010x}"
