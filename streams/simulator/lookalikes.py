"""Benign look-alikes: work that resembles a leak and is none; each is labelled benign in the truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from streams.simulator.clock import HOUR, MINUTE
from streams.simulator.office import Office
from streams.simulator.records import PERSONAL, Planted
from streams.simulator.staff import EARLY, LATE, NIGHT, Person
from streams.simulator.world import World, spread

_TRAINING_DAYS = 10
_NIGHTS = 3


class LookAlikes:
    """Plans the look-alikes when a run begins, and adds the ones that are extra work on their day."""

    def __init__(self, world: World, office: Office) -> None:
        self._world, self._office = world, office
        self._daily: list[tuple[int, Callable[[int], None]]] = []
        plans: dict[str, Callable[[random.Random], str | None]] = {
            "peak_day": self._peak_day,
            "sick_cover": self._sick_cover,
            "month_end_export": self._month_end_export,
            "claims_campaign": self._claims_campaign,
            "new_hire": self._new_hire,
            "migration_batch": self._migration_batch,
            "hub_night_shift": self._hub_night_shift,
            "shared_terminal": self._shared_terminal,
        }
        for name in dict.fromkeys(world.config.lookalikes):
            why_not = plans[name](world.config.rng("lookalike", name))
            if why_not is not None:
                world.left_out[name] = why_not

    def run(self, day: int) -> None:
        """Add what is planned for the day; call it when the day's ordinary work is written."""
        for on, work in self._daily:
            if on == day:
                work(day)

    def _at_work(self, rng: random.Random, role: str) -> tuple[Person, int] | None:
        """A person in the role nothing is planted for, and a day they work that lies wholly in the run."""
        world = self._world
        people = [person for person in world.staff.in_role(role) if person.actor not in world.busy]
        days = list(range(world.config.days))
        rng.shuffle(people)
        rng.shuffle(days)
        for person in people:
            for day in days:
                span = world.roster.hours(person, day)
                if span is not None and span[1] < world.clock.end_ms:
                    return person, day
        return None

    def _peak_day(self, rng: random.Random) -> str | None:
        # Accepted on one day, delivered over the next two: a run of one day sees the deliveries.
        days, clock = self._world.config.days, self._world.clock
        day = rng.randint(days // 3, days - 2) if days > 2 else -1
        self._world.volume[day] = self._world.volume[day + 1] = 2.0
        entry = self._world.plant("peak_day", "*")
        entry.widen(max(clock.start_ms, clock.midnight(day)), min(clock.end_ms, clock.midnight(day + 4)) - 1)
        return None

    def _sick_cover(self, rng: random.Random) -> str | None:
        world = self._world
        for _ in range(200):
            found = self._at_work(rng, "courier")
            if found is None:
                break
            sick, day = found
            colleagues = [
                other
                for other, _, _ in world.on_day(day, ("courier",))
                if other.site == sick.site and other.shifts == sick.shifts and other is not sick
                if other.actor not in world.busy
            ]
            if colleagues:
                cover = rng.choice(colleagues)
                world.roster.force(sick, day, None)
                world.substitutes[sick.actor, day] = cover
                entry = world.plant("sick_cover", cover.actor)
                self._follow(entry, cover, day, day)
                return None
        return (
            "no two couriers of one depot and shift are at work on the same day; simulate more staff or days"
        )

    def _follow(self, entry: Planted, person: Person, first: int, last: int) -> None:
        """Count the shifts that begin on the days from first to last."""
        clock = self._world.clock
        over = 8 * HOUR if self._world.roster.hours(person, last) and person.shifts[-1] == NIGHT else 0
        self._world.recorder.follow(
            entry, person.actor, clock.midnight(first), clock.midnight(last + 1) + over
        )

    def _month_end_export(self, rng: random.Random) -> str | None:
        world = self._world
        days = [day for day in range(world.config.days) if world.clock.is_month_end(day)]
        if not days:
            return "no last working day of a month lies in the run; choose other dates"
        for day in days:
            for person, start, end in world.on_day(day, ("cod_accountant",)):
                entry = world.plant("month_end_export", person.actor)
                self._daily.append((day, partial(self._export_month, entry, person, (start, end))))
        return None

    def _export_month(self, entry: Planted, person: Person, span: tuple[int, int], day: int) -> None:
        world, (start, end) = self._world, span
        rng = world.config.rng("month end", person.badge, day)
        for ms in spread(rng, rng.randint(2, 4), (start + end) // 2, end - 10 * MINUTE):
            rows = round(len(world.known) * rng.uniform(0.8, 1.5))
            world.recorder.access(
                ms,
                person,
                "export",
                records=rows,
                system="data-warehouse",
                fields=("name", "cod"),
                planted=entry,
            )

    def _claims_campaign(self, rng: random.Random) -> str | None:
        found = self._at_work(rng, "claims_clerk")
        if found is None:
            return "no claims clerk without another part is at work; simulate more staff or days"
        person, day = found
        entry = self._world.plant("claims_campaign", person.actor)
        self._follow(entry, person, day, day)
        self._daily.append((day, partial(self._settle_campaign, person)))
        return None

    def _settle_campaign(self, person: Person, day: int) -> None:
        world = self._world
        rng = world.config.rng("campaign", day)
        span = world.roster.hours(person, day)
        assert span is not None
        fresh = [parcel for parcel in world.known if parcel.ticket is None]
        pile = rng.sample(fresh, min(len(fresh), rng.randint(150, 300)))
        for parcel in pile:
            parcel.ticket, parcel.asked = world.ticket(), True
            world.recorder.context(
                span[0] + rng.randint(10_000, 300_000),
                parcel.id,
                "ticket_opened",
                ticket=parcel.ticket,
            )
        self._office.settle(rng, person, pile, span[0] + 10 * MINUTE, span[1] - 10 * MINUTE)

    def _new_hire(self, rng: random.Random) -> str | None:
        found = self._at_work(rng, "depot_clerk") or self._at_work(rng, "courier")
        if found is None:
            return "no mentor without another part is at work; simulate more staff or days"
        mentor, day = found
        trainee = self._world.staff.trainee(mentor, day)
        entry = self._world.plant("new_hire", trainee.actor)
        for on in range(day, day + _TRAINING_DAYS):
            self._daily.append((on, partial(self._shadow, entry, trainee, mentor)))
        return None

    def _shadow(self, entry: Planted, trainee: Person, mentor: Person, day: int) -> None:
        world = self._world
        span = world.roster.hours(mentor, day)
        if span is None:
            return
        rng = world.config.rng("shadow", trainee.badge, day)
        for ms, event in world.recorder.of_actor(day, mentor.actor):
            later = ms + rng.randint(45, 150) * 1_000
            if event["action"] == "view" and later < span[1] and rng.random() < 0.7:
                world.recorder.access(
                    later,
                    trainee,
                    "view",
                    event["parcels"],
                    system=event["system"],
                    channel=event["channel"],
                    fields=PERSONAL,
                    planted=entry,
                )

    def _migration_batch(self, rng: random.Random) -> str | None:
        entry = self._world.plant("migration_batch", "svc-warehouse")
        self._daily.append((rng.randrange(self._world.config.days), partial(self._migrate, entry)))
        return None

    def _migrate(self, entry: Planted, day: int) -> None:
        world = self._world
        rng, night = world.config.rng("migration", day), world.clock.midnight(day)
        account = world.staff.services[entry.actor]
        for ms in spread(rng, rng.randint(10, 25), night + HOUR, night + 4 * HOUR):
            world.recorder.access(
                ms,
                account,
                "export",
                records=rng.randint(2_000, 10_000),
                system="data-warehouse",
                channel="batch",
                fields=PERSONAL,
                planted=entry,
            )

    def _hub_night_shift(self, rng: random.Random) -> str | None:
        world = self._world
        sorters = [
            person
            for person in world.staff.in_role("hub_staff")
            if person.shifts in ((EARLY,), (LATE,)) and person.actor not in world.busy
        ]
        if not sorters:
            return "no sorter works days only; simulate more staff"
        sorter = rng.choice(sorters)
        sorter.shifts = (*sorter.shifts, NIGHT)
        first = rng.randrange(max(1, world.config.days - _NIGHTS))
        entry = world.plant("hub_night_shift", sorter.actor)
        # From the night before, so that a run of one day shows the end of one night and the start of another.
        for day in range(first - 1, first + _NIGHTS):
            world.roster.force(sorter, day, NIGHT)
        self._follow(entry, sorter, first, first + _NIGHTS - 1)
        return None

    def _shared_terminal(self, rng: random.Random) -> str | None:
        world = self._world
        depots = list(world.network.depots)
        rng.shuffle(depots)
        for depot in depots:
            clerks = [
                person
                for person in world.staff.in_role("depot_clerk")
                if person.site == depot.code and person.actor not in world.busy
            ]
            if len(clerks) > 1:
                for clerk in clerks:
                    clerk.device, clerk.ip = clerks[0].device, clerks[0].ip
                    entry = world.plant("shared_terminal", clerk.actor)
                    self._follow(entry, clerk, 0, world.config.days - 1)
                return None
        return "no depot has two clerks without another part; simulate more staff"
