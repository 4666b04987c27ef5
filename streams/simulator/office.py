"""Desks and machines at work: counters, calls, claims, key accounts, cash, IT, services, partners."""

from __future__ import annotations

import random

from streams.simulator.clock import DAY, HOUR, MINUTE
from streams.simulator.delivery import Delivery
from streams.simulator.records import PERSONAL
from streams.simulator.staff import Person
from streams.simulator.world import Parcel, World, spread

Work = tuple[Person, int, int]
_CALLS_A_DAY = 60
_UI_ROLES = (
    "courier",
    "depot_clerk",
    "call_centre",
    "claims_clerk",
    "key_account_manager",
    "it_staff",
    "manager",
)


class Office:
    """The day's work at desks. Claims clerks settle the tickets of earlier days."""

    def __init__(self, world: World, delivery: Delivery) -> None:
        self._world, self._delivery = world, delivery
        self._calls = 0
        self._tickets: list[Parcel] = []
        self._opened_today: list[Parcel] = []

    def run(self, day: int) -> None:
        """One day of every desk. Nothing happens before the first parcels are known."""
        world = self._world
        if not world.known:
            return
        for role, work in (
            ("depot_clerk", self._counter),
            ("call_centre", self._calls_taken),
            ("claims_clerk", self._claims),
            ("key_account_manager", self._accounts),
            ("cod_accountant", self._cash),
            ("it_staff", self._support),
            ("manager", self._supervision),
        ):
            rng = world.config.rng("office", role, day)
            for person, start, end in world.on_day(day, (role,)):
                if role not in ("cod_accountant", "manager"):
                    world.recorder.access(start + 20_000, person, "login", system="tms-web")
                work(rng, person, start, end)
        self._machines(world.config.rng("machines", day), world.clock.midnight(day))
        rng = world.config.rng("curiosity", day)
        for person, start, end in world.on_day(day, _UI_ROLES):
            self._slips(rng, person, start, end)
        self._tickets += self._opened_today
        self._opened_today = []

    def _counter(self, rng: random.Random, clerk: Person, start: int, end: int) -> None:
        """Customers at the counter ask for parcels that lie at this depot or are due here."""
        here = self._lying(clerk.site, start) or self._world.at_depot[clerk.site]
        if not here:
            return
        for ms in spread(rng, round(25 * clerk.pace), start + 5 * MINUTE, end - 5 * MINUTE):
            parcel = rng.choice(here)
            if rng.random() < 0.4:
                self._world.recorder.access(ms, clerk, "search", (parcel.id,), system="tms-web")
            self._world.recorder.access(
                ms + 8_000, clerk, "view", (parcel.id,), system="tms-web", fields=PERSONAL
            )

    def _lying(self, site: str, before: int) -> list[Parcel]:
        """Parcels that came to the depot since the run began and had not left it by the given instant."""
        begin = self._world.clock.start_ms
        return [parcel for parcel in self._world.waiting[site] if begin <= parcel.ready < before]

    def _calls_taken(self, rng: random.Random, agent: Person, start: int, end: int) -> None:
        world, recorder = self._world, self._world.recorder
        count = round(_CALLS_A_DAY * agent.pace * rng.uniform(0.85, 1.15))
        for ms in spread(rng, count, start + 3 * MINUTE, end - 8 * MINUTE):
            parcel = rng.choice(world.known)
            self._calls += 1
            reason = ("call", f"C{500_000 + self._calls}")
            # Half of the call records are written when the call ends: context that comes late.
            parcel.asked = True
            logged = ms - 2_000 if rng.random() < 0.5 else ms + rng.randint(60, 300) * 1_000
            recorder.context(logged, parcel.id, "call", staff=(agent.actor,))
            recorder.access(
                ms, agent, "search", (parcel.id,), system="call-centre-crm", fields=("phone",), reason=reason
            )
            recorder.access(
                ms + 9_000,
                agent,
                "view",
                (parcel.id,),
                system="call-centre-crm",
                fields=PERSONAL,
                reason=reason,
            )
            if parcel.ticket is None and rng.random() < 0.07:
                self._open_ticket(ms + 90_000, parcel, agent)

    def _open_ticket(self, ms: int, parcel: Parcel, opener: Person) -> str:
        ticket = parcel.ticket = self._world.ticket()
        parcel.asked = True
        self._world.recorder.context(ms, parcel.id, "ticket_opened", staff=(opener.actor,), ticket=ticket)
        self._opened_today.append(parcel)
        return ticket

    def _claims(self, rng: random.Random, clerk: Person, start: int, end: int) -> None:
        count = round(30 * clerk.pace)
        mine, self._tickets = self._tickets[:count], self._tickets[count:]
        for _ in range(12 - len(mine)):  # claims also come by mail, outside the call centre
            parcel = rng.choice(self._world.known)
            if parcel.ticket is None:
                self._open_ticket(start + 10_000, parcel, clerk)
                mine.append(self._opened_today.pop())
        self.settle(rng, clerk, mine, start + 15 * MINUTE, end - 15 * MINUTE)

    def settle(self, rng: random.Random, clerk: Person, parcels: list[Parcel], start: int, end: int) -> None:
        """Look at each parcel of a pile of tickets; most get closed, the others stay open for tomorrow."""
        recorder = self._world.recorder
        for parcel, ms in zip(parcels, spread(rng, len(parcels), start, end), strict=True):
            ticket = parcel.ticket or self._world.ticket()
            recorder.access(
                ms,
                clerk,
                "view",
                (parcel.id,),
                system="tms-web",
                fields=(*PERSONAL, "contents", "cod"),
                reason=("ticket", ticket),
            )
            if rng.random() < 0.75:
                recorder.context(
                    ms + 120_000, parcel.id, "ticket_closed", staff=(clerk.actor,), ticket=ticket
                )
                parcel.ticket = None
            else:
                self._opened_today.append(parcel)

    def _accounts(self, rng: random.Random, manager: Person, start: int, end: int) -> None:
        """A key-account manager goes through the parcels of his shippers and sends them a report."""
        mine = [parcel for parcel in self._world.known if parcel.manager is manager]
        if not mine:
            return
        mine = [parcel for parcel in mine if start - DAY < parcel.ready < start] or mine
        first, second, report = spread(rng, 3, start + 20 * MINUTE, end - 20 * MINUTE)
        page = [parcel.id for parcel in mine[-50:]]
        self._world.recorder.access(
            first, manager, "list", page, system="tms-web", fields=("name", "address")
        )
        for n, parcel in enumerate(rng.sample(mine, min(len(mine), rng.randint(5, 15)))):
            self._world.recorder.access(
                second + n * 40_000, manager, "view", (parcel.id,), system="tms-web", fields=PERSONAL
            )
        rows = round(len(mine) * rng.uniform(0.9, 1.1))
        self._world.recorder.access(
            report, manager, "export", records=rows, system="data-warehouse", fields=("name", "cod")
        )

    def _cash(self, rng: random.Random, accountant: Person, start: int, end: int) -> None:
        """The evening's cash reconciliation: one export a depot, rows counted, parcels not listed."""
        depots = self._world.network.depots
        accountants = self._world.staff.in_role("cod_accountant")
        share = depots[accountants.index(accountant) :: len(accountants)]
        self._world.recorder.access(start + 40_000, accountant, "login", system="data-warehouse")
        evening = max(start, end - 4 * HOUR)
        for depot, ms in zip(share, spread(rng, len(share), evening, end - 10 * MINUTE), strict=True):
            rows = sum(parcel.cod for parcel in self._delivery.delivered.get(depot.code, ()))
            self._world.recorder.access(
                ms, accountant, "export", records=rows, system="data-warehouse", fields=("name", "cod")
            )

    def _support(self, rng: random.Random, engineer: Person, start: int, end: int) -> None:
        """A few tickets of colleagues, and reports without personal data."""
        for ms in spread(rng, rng.randint(2, 6), start + 10 * MINUTE, end - 10 * MINUTE):
            parcel = rng.choice(self._world.known)
            if parcel.ticket is not None:
                continue
            ticket = self._open_ticket(ms - 60_000, parcel, engineer)
            self._world.recorder.access(
                ms, engineer, "view", (parcel.id,), system="tms-web", reason=("ticket", ticket)
            )
        self._world.recorder.access(
            start + 2 * HOUR, engineer, "list", records=rng.randint(5, 60), system="data-warehouse"
        )

    def _supervision(self, rng: random.Random, manager: Person, start: int, end: int) -> None:
        here = self._world.at_depot.get(manager.site)
        self._world.recorder.access(
            start + 30 * MINUTE, manager, "list", records=rng.randint(10, 80), system="tms-web"
        )
        waiting = self._lying(manager.site, start)
        for ms in spread(rng, rng.randint(4, 12) if here else 0, start + HOUR, end - HOUR):
            parcel = rng.choice(waiting or here or self._world.known)
            self._world.recorder.access(ms, manager, "view", (parcel.id,), system="tms-web", fields=("name",))

    def _machines(self, rng: random.Random, midnight: int) -> None:
        """Partners track what they shipped; the tracking service answers customers."""
        world = self._world
        by_shipper: list[list[str]] = [[] for _ in world.staff.partners]
        for parcel in world.known:
            if parcel.shipper is not None:
                by_shipper[parcel.shipper].append(parcel.id)
        for partner, ids in zip(world.staff.partners, by_shipper, strict=True):
            for ms in spread(rng, 24 if ids else 0, midnight, midnight + 24 * HOUR):
                first = rng.randrange(len(ids))
                world.recorder.access(
                    ms,
                    partner,
                    "view",
                    ids[first : first + 40],
                    system="partner-api",
                    channel="api",
                    fields=("cod",),
                )
        tracking = world.staff.services["svc-tracking"]
        for ms in spread(rng, max(24, len(world.known) // 100), midnight + 6 * HOUR, midnight + 23 * HOUR):
            page = [parcel.id for parcel in rng.sample(world.known, min(10, len(world.known)))]
            world.recorder.access(ms, tracking, "view", page, system="tms-web", channel="api")

    def _slips(self, rng: random.Random, person: Person, start: int, end: int) -> None:
        """What honest people do without a reason on record: a mistyped id, a curious look."""
        app = person.role == "courier"
        system, channel = ("courier-app", "app") if app else ("tms-web", "ui")
        if rng.random() < 0.15:
            ms = rng.randint(start + 10 * MINUTE, end - 10 * MINUTE)
            mistyped = f"VN{rng.randrange(10**11):011d}"
            self._world.recorder.access(
                ms,
                person,
                "search",
                (mistyped,),
                records=0,
                system=system,
                channel=channel,
                outcome="not_found",
            )
        if rng.random() < 0.7:
            ms = rng.randint(start + 10 * MINUTE, end - 10 * MINUTE)
            for n in range(rng.choice((1, 1, 1, 2, 3))):
                parcel = rng.choice(self._world.known)
                self._world.recorder.access(
                    ms + n * 25_000,
                    person,
                    "view",
                    (parcel.id,),
                    system=system,
                    channel=channel,
                    fields=PERSONAL,
                )
