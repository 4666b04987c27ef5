"""The people: roles, teams, managers, habits, days off, leave; and the roster that says who works when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from streams.simulator.clock import HOUR, MINUTE, Clock
from streams.simulator.config import SimulationConfig
from streams.simulator.network import OFFICE, Network

EARLY, LATE, NIGHT, OFFICE_HOURS = (6, 14), (14, 22), (22, 30), (8, 17)
Shift = tuple[int, int]

#: Share of the staff in each role; couriers take the rest.
_SHARES = {
    "hub_staff": 0.17,
    "depot_clerk": 0.12,
    "call_centre": 0.10,
    "claims_clerk": 0.03,
    "key_account_manager": 0.03,
    "cod_accountant": 0.03,
    "it_staff": 0.03,
}
SERVICES = ("svc-dispatch", "svc-sorter", "svc-tracking", "svc-warehouse")
MANAGER_TEAM = "management"


@dataclass(eq=False, slots=True)
class Person:
    """A staff member, service account or partner key, with habits.

    Attributes:
        actor: id in every record.
        badge: running number over all accounts.
        shifts: hours the directory lists, (from, to) in local hours; past 24 is the next morning.
        pace: how fast against the average; 1 is average.
        early: minutes by which the person usually starts before (negative) or after the shift's start.
        days_off: weekdays never worked, 0 for Monday.
        away: days on leave or sick.
        rota: whether shifts alternate by week instead of staying the first.
        dormant: active in the directory, yet never at work.
    """

    actor: str
    badge: int
    role: str
    team: str
    site: str
    device: str
    ip: str
    manager: str = ""
    status: str = "active"
    service: bool = False
    shifts: tuple[Shift, ...] = ()
    since: int = -400
    pace: float = 1.0
    early: int = 0
    days_off: frozenset[int] = frozenset()
    away: frozenset[int] = frozenset()
    rota: bool = False
    dormant: bool = False
    routes: list[str] = field(default_factory=list)

    def directory(self, clock: Clock, carrier: str) -> dict[str, object]:
        """The staff-directory record; `since` tells since when the status holds."""
        return {
            "carrier": carrier,
            "actor": self.actor,
            "role": self.role,
            "team": self.team,
            "site": self.site,
            "manager": self.manager,
            "status": self.status,
            "service": self.service,
            "shifts": [f"{start:02d}-{end % 24:02d}" for start, end in self.shifts],
            "since": clock.stamp(clock.midnight(self.since)),
        }


class Staff:
    """Everybody with an account.

    Attributes:
        people: rostered humans, managers included.
        services: service accounts by name.
        partners: partner API keys (shippers and marketplaces).
        trainees: new hires who only follow a colleague.
        idle: accounts nobody should use: leavers, people on long leave, dormant accounts.
    """

    def __init__(self, config: SimulationConfig, network: Network) -> None:
        self._config, self._network = config, network
        self._rng = config.rng("staff")
        self._badge = 0
        self.people: list[Person] = []
        self.trainees: list[Person] = []
        counts = {role: max(1, round(config.staff * share)) for role, share in _SHARES.items()}
        counts["manager"] = max(1, len(network.depots) // 2)
        counts["courier"] = max(len(network.depots), config.staff - sum(counts.values()))
        for role in ("manager", *_SHARES, "courier"):
            for n in range(counts[role]):
                self._hire(role, n)
        self.services = {name: self._account(name, "service") for name in SERVICES}
        self.partners = [
            self._account(f"api-shop{n + 1:02d}", "partner") for n in range(max(3, config.staff // 50))
        ]
        self.idle = [self._idle(n) for n in range(max(4, config.staff // 20))]

    @property
    def everybody(self) -> Iterator[Person]:
        """All accounts."""
        yield from self.people
        yield from self.services.values()
        yield from self.partners
        yield from self.idle
        yield from self.trainees

    def in_role(self, *roles: str) -> list[Person]:
        """Rostered people in any of the roles."""
        return [person for person in self.people if person.role in roles]

    def _person(self, role: str, site: str, team: str) -> Person:
        self._badge += 1
        rng = self._rng
        return Person(
            actor=f"nv{self._badge:04d}",
            badge=self._badge,
            role=role,
            team=team,
            site=site,
            device=self.new_device(),
            ip=self._network.address(site, self._badge),
            since=-rng.randint(40, 2_500),
            pace=min(1.5, max(0.65, rng.gauss(1, 0.16))),
            early=rng.randint(-8, 20),
        )

    def new_device(self) -> str:
        """An id no device had yet."""
        return f"d{self._rng.getrandbits(40):010x}"

    def _hire(self, role: str, n: int) -> None:
        rng, network, config = self._rng, self._network, self._config
        site = OFFICE
        if role in ("courier", "depot_clerk"):
            site = network.depots[n % len(network.depots)].code
        elif role == "hub_staff":
            site = list(network.hubs.values())[n % len(network.hubs)].code
        elif role == "manager" and n:
            site = [s.code for s in (*network.depots, *network.hubs.values())][n - 1]
        team = MANAGER_TEAM if role == "manager" else f"{site}-{role}"
        person = self._person(role, site, team)
        turn = n // max(1, len(network.hubs) if role == "hub_staff" else len(network.depots))
        if role == "hub_staff":
            first = (NIGHT, LATE, EARLY)[turn % 3]
            person.rota = rng.random() < 0.3
            person.shifts = (first, EARLY if first != EARLY else LATE) if person.rota else (first,)
        elif role == "depot_clerk":
            person.shifts = ((EARLY, LATE)[turn % 2],)
        elif role == "courier":
            person.shifts = (LATE if turn % 4 == 3 else EARLY,)
        elif role == "call_centre":
            person.shifts = (LATE if n % 5 > 2 else EARLY,)
        elif role == "cod_accountant":
            person.shifts = (LATE,)
        else:
            person.shifts = (OFFICE_HOURS,)
        if person.shifts == (OFFICE_HOURS,) or role == "cod_accountant":
            person.days_off = frozenset((5, 6))
        else:
            person.days_off = frozenset((rng.choice((6, 6, 6, rng.randrange(7))),))
        away: set[int] = set()
        for start in range(-3, config.days, 30):
            if rng.random() < 0.4:
                first_day = start + rng.randrange(30)
                away.update(range(first_day, first_day + rng.randint(1, 5)))
        away.update(day for day in range(-3, config.days) if rng.random() < 0.015)
        person.away = frozenset(away)
        managers = [one for one in self.people if one.role == "manager"]
        local = [one for one in managers if one.site == site]
        person.manager = (local or managers)[0].actor if managers else ""
        self.people.append(person)

    def _account(self, name: str, role: str) -> Person:
        account = self._person(role, "", role)
        account.actor, account.service, account.pace, account.early = name, True, 1.0, 0
        account.ip = self._network.address("", self._badge)
        return account

    def trainee(self, mentor: Person, since: int) -> Person:
        """A new hire who joins the mentor's team on a day, and does not yet work alone."""
        person = self._person(mentor.role, mentor.site, mentor.team)
        person.shifts, person.manager, person.since = mentor.shifts, mentor.manager, since
        self.trainees.append(person)
        return person

    def _idle(self, n: int) -> Person:
        rng, kind = self._rng, n % 4
        role = rng.choice(("depot_clerk", "courier", "call_centre"))
        site = OFFICE if role == "call_centre" else rng.choice(self._network.depots).code
        person = self._person(role, site, f"{site}-{role}")
        person.shifts = (EARLY,)
        person.manager = self.people[0].actor
        if kind in (0, 1):
            person.status, person.since = "left", -rng.randint(5, 200)
        elif kind == 2:
            person.status, person.since = "on_leave", -rng.randint(10, 90)
        else:
            person.dormant = True
        return person


class Roster:
    """Who works when."""

    def __init__(self, config: SimulationConfig, clock: Clock, staff: Staff) -> None:
        self._config, self._clock = config, clock
        self._sites: dict[str, list[Person]] = {}
        for person in staff.people:
            self._sites.setdefault(person.site, []).append(person)
        self._on_duty: dict[tuple[str, str, int], list[Person]] = {}
        self._hours: dict[tuple[int, int], tuple[int, int] | None] = {}
        self._forced: dict[tuple[str, int], Shift | None] = {}

    def force(self, person: Person, day: int, shift: Shift | None) -> None:
        """Give a person a shift (or None: absent) on a day, whatever their habit says."""
        self._forced[person.actor, day] = shift
        self._hours.pop((person.badge, day), None)
        self._on_duty.clear()

    def hours(self, person: Person, day: int) -> tuple[int, int] | None:
        """Epoch ms at which the person starts and stops on the shift that begins that day, or None."""
        key = person.badge, day
        if key not in self._hours:
            self._hours[key] = self._draw(person, day)
        return self._hours[key]

    def _draw(self, person: Person, day: int) -> tuple[int, int] | None:
        rng = self._config.rng("roster", person.badge, day)
        midnight = self._clock.midnight(day)
        if (person.actor, day) in self._forced:
            shift = self._forced[person.actor, day]
            if shift is None:
                return None
        else:
            week = self._clock.date(day).isocalendar().week
            shift = person.shifts[week % len(person.shifts) if person.rota else 0]
            at_work = self._clock.weekday(day) not in person.days_off and day not in person.away
            if self._clock.is_holiday(day):
                at_work = at_work and rng.random() < 0.06
            if not at_work or day < person.since:
                return None
        start = midnight + shift[0] * HOUR + (person.early + rng.randint(-5, 6)) * MINUTE
        return start, midnight + shift[1] * HOUR + rng.randint(-15, 12) * MINUTE

    def on_duty(self, site: str, role: str, ms: int) -> list[Person]:
        """People in the role at work at the site for the whole quarter of an hour around the instant."""
        quarter = ms // (15 * MINUTE)
        key = site, role, quarter
        known = self._on_duty.get(key)
        if known is None:
            first, last = quarter * 15 * MINUTE, (quarter + 1) * 15 * MINUTE
            day = self._clock.day_of(first)
            known = self._on_duty[key] = [
                person
                for person in self._sites.get(site, ())
                if person.role == role
                for span in (self.hours(person, day), self.hours(person, day - 1))
                if span is not None and span[0] <= first and last <= span[1]
            ]
        return known

    def forget(self, day: int) -> None:
        """Drop what was worked out for days before this one."""
        self._hours = {key: span for key, span in self._hours.items() if key[1] >= day - 2}
        first = self._clock.midnight(day) // (15 * MINUTE)
        self._on_duty = {key: people for key, people in self._on_duty.items() if key[2] >= first}
