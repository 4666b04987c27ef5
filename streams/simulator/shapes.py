"""The shapes a leak takes: for each, the access events a leaker makes on one day."""

from __future__ import annotations

from streams.simulator.clock import HOUR, MINUTE
from streams.simulator.leaker import (
    Leak,
    begin,
    desk,
    export,
    ids,
    new_device,
    sample,
    shift,
    unrelated,
    views,
)
from streams.simulator.network import OFFICE
from streams.simulator.records import PERSONAL
from streams.simulator.world import World, spread


def bulk_read(world: World, leak: Leak, day: int) -> None:
    """Parcel after parcel, within the hour; large ones leaf through result pages of 20."""
    minutes = leak.rng.randint(max(10, leak.size // 60), 60)
    start = begin(world, leak, day, minutes * MINUTE)
    parcels = sample(world, leak, leak.size)
    end = start + minutes * MINUTE
    if leak.size <= 400:
        views(world, leak, parcels, spread(leak.rng, len(parcels), start, end))
        return
    system, channel = desk(leak.person)
    pages = [parcels[n : n + 20] for n in range(0, len(parcels), 20)]
    for page, ms in zip(pages, spread(leak.rng, len(pages), start, end), strict=True):
        world.recorder.access(
            ms,
            leak.person,
            "list",
            ids(page),
            system=system,
            channel=channel,
            fields=PERSONAL,
            planted=leak.entry,
        )


def bulk_export(world: World, leak: Leak, day: int) -> None:
    """One to four calls; the rows are the volume, at most five parcels are named."""
    calls = leak.rng.randint(1, 4)
    start = begin(world, leak, day, HOUR)
    listed = ids(sample(world, leak, leak.rng.choice((0, 0, 3, 5))))
    left = leak.size
    for n, ms in enumerate(spread(leak.rng, calls, start, start + HOUR)):
        rows = left if n == calls - 1 else leak.size // calls
        left -= rows
        export(world, leak, ms, rows, listed if n == 0 else ())


def off_hours(world: World, leak: Leak, day: int) -> None:
    """At night, or in daytime on a day off or on leave."""
    midnight = world.clock.midnight(day)
    if world.roster.hours(leak.person, day) is None and leak.rng.random() < 0.5:
        start = midnight + leak.rng.randint(9, 19) * HOUR
    else:
        start = midnight + leak.rng.randint(30, 240) * MINUTE
    calls = min(leak.rng.randint(1, 3), leak.size // 10)
    left = leak.size
    world.recorder.access(start, leak.person, "login", system="data-warehouse", planted=leak.entry)
    for n, ms in enumerate(spread(leak.rng, calls, start + MINUTE, start + 30 * MINUTE)):
        rows = left if n == calls - 1 else leak.size // calls
        left -= rows
        export(world, leak, ms, rows)


def unrelated_parcel(world: World, leak: Leak, day: int) -> None:
    """A few parcels a day, far from the person's site, among the ordinary work."""
    share = _share(leak, day)
    parcels = unrelated(world, leak, share)
    views(world, leak, parcels, spread(leak.rng, len(parcels), *shift(world, leak, day)))


def low_and_slow(world: World, leak: Leak, day: int) -> None:
    """A steady surplus every working day."""
    parcels = unrelated(world, leak, leak.rng.randint(15, 40))
    views(world, leak, parcels, spread(leak.rng, len(parcels), *shift(world, leak, day)))


def _share(leak: Leak, day: int) -> int:
    """The part of the leak's size that falls on one of its days."""
    n = leak.days.index(day)
    return leak.size * (n + 1) // len(leak.days) - leak.size * n // len(leak.days)


def enumeration(world: World, leak: Leak, day: int) -> None:
    """Ids counted up across a depot's very first, or guessed around it; the misses never come to exist."""
    rng, depot = leak.rng, leak.rng.choice(world.network.depots)
    base = 10_000_000 + 1_000 * depot.number
    last = world.issued_before[depot.code]
    misses = round(leak.size * rng.uniform(0.3, 0.5))
    numbers: list[int] = []
    if rng.random() < 0.7:
        number = base - 2 * misses
        while len(numbers) < leak.size and number < last:
            number += rng.randint(1, 3) if number < base else rng.choice((1, 1, 2))
            numbers.append(number)
    else:
        numbers = [rng.randint(base - 5_000, base) for _ in range(misses)]
        numbers += [rng.randint(base + 1, last) for _ in range(leak.size - misses)]
        rng.shuffle(numbers)
    length = rng.randint(20, 90) * MINUTE
    start = begin(world, leak, day, length)
    system, channel = desk(leak.person)
    for number, ms in zip(numbers, spread(rng, len(numbers), start, start + length), strict=True):
        found = base < number <= last
        world.recorder.access(
            ms,
            leak.person,
            "view" if found else "search",
            (world.parcel_id(depot, number),),
            records=int(found),
            fields=PERSONAL if found else (),
            system=system,
            channel=channel,
            outcome="success" if found else "not_found",
            planted=leak.entry,
        )


def sequence(world: World, leak: Leak, day: int) -> None:
    """Search, reveal, take away, and look again from a device never seen: each step small."""
    rng, start = leak.rng, begin(world, leak, day, 2 * HOUR)
    parcels = unrelated(world, leak, leak.size)
    half = start + 40 * MINUTE
    views(
        world, leak, parcels[:12], spread(rng, len(parcels[:12]), start, start + 15 * MINUTE), action="search"
    )
    views(world, leak, parcels, spread(rng, len(parcels), start + 16 * MINUTE, half), action="reveal")
    if rng.random() < 0.5:
        export(world, leak, half + 5 * MINUTE, len(parcels) * rng.randint(2, 6))
    else:
        printed = spread(rng, len(parcels), half + 5 * MINUTE, half + 20 * MINUTE)
        views(world, leak, parcels, printed, action="print")
    device, away = new_device(rng), f"10.250.{rng.randrange(250)}.{rng.randrange(2, 250)}"
    later = half + 30 * MINUTE
    world.recorder.access(
        later, leak.person, "login", system=desk(leak.person)[0], device=device, ip=away, planted=leak.entry
    )
    again = parcels[: rng.randint(5, 10)]
    views(world, leak, again, spread(rng, len(again), later + MINUTE, half + HOUR), device=device, ip=away)


def borrowed_login(world: World, leak: Leak, day: int) -> None:
    """A second device at another site, while the owner of the account is at work at his own."""
    rng = leak.rng
    length = rng.randint(20, 60) * MINUTE
    start = begin(world, leak, day, length)
    sites = [depot.code for depot in world.network.depots if depot.code != leak.person.site]
    site, device = rng.choice(sites), new_device(rng)
    ip = world.network.address(site, rng.randrange(250))
    world.recorder.access(
        start, leak.person, "login", system="tms-web", device=device, site=site, ip=ip, planted=leak.entry
    )
    parcels = sample(world, leak, leak.size)
    times = spread(rng, len(parcels), start + MINUTE, start + length)
    views(world, leak, parcels, times, device=device, site=site, ip=ip)


def service_account(world: World, leak: Leak, day: int) -> None:
    """A machine's account in human hands: office hours, pauses for reading, one parcel at a time."""
    rng = leak.rng
    ms = world.clock.midnight(day) + rng.randint(9 * 60, 14 * 60) * MINUTE
    times = []
    for _ in range(leak.size):
        ms += rng.randint(30_000, 120_000)
        times.append(ms)
    parcels = sample(world, leak, leak.size)
    ip = world.network.address(OFFICE, rng.randrange(250))
    views(world, leak, parcels, times[: len(parcels)], device=new_device(rng), site=OFFICE, ip=ip)


def leaver(world: World, leak: Leak, day: int) -> None:
    """An account that should be silent logs in and reads for an hour or two."""
    rng = leak.rng
    start = world.clock.midnight(day) + rng.randint(8 * 60, 21 * 60) * MINUTE
    world.recorder.access(start, leak.person, "login", system=desk(leak.person)[0], planted=leak.entry)
    parcels = sample(world, leak, leak.size)
    views(
        world, leak, parcels, spread(rng, len(parcels), start + MINUTE, start + rng.randint(40, 120) * MINUTE)
    )


def label_unsealing(world: World, leak: Leak, day: int) -> None:
    """Hidden label data revealed or printed where the parcel never passes."""
    rng, start = leak.rng, begin(world, leak, day, 90 * MINUTE)
    parcels = unrelated(world, leak, leak.size)
    for parcel, ms in zip(parcels, spread(rng, len(parcels), start, start + 90 * MINUTE), strict=True):
        world.recorder.access(
            ms,
            leak.person,
            rng.choice(("reveal", "reveal", "print")),
            (parcel.id,),
            system="label-printing",
            fields=PERSONAL,
            planted=leak.entry,
        )
