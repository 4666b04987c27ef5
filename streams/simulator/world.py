"""What all parts of a simulation share: the carrier, its parcels and where its records go."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import dataclass

from streams.simulator.clock import Clock
from streams.simulator.config import LEAKS, LOOKALIKES, SimulationConfig
from streams.simulator.network import Network, Site
from streams.simulator.records import Planted, Recorder
from streams.simulator.staff import Person, Roster, Staff

#: Days for which parcels stay of interest to customers, claims and key accounts.
_REMEMBERED = 8


@dataclass(eq=False, slots=True)
class Parcel:
    """One parcel.

    Attributes:
        id: `VN`, three digits for the accepting site, eight that count up there.
        shipper: index of the partner key of the shipper, or None for a walk-in customer.
        manager: key-account manager of the shipper.
        sites: codes of the sites on its way, origin first.
        route: delivery route at the last of them.
        ready: epoch ms at which it lies at the delivering depot.
        cod: whether the courier collects money.
        attempts: deliveries tried in vain.
        ticket: open ticket, if any.
        asked: whether a call or ticket ever gave somebody a reason to look.
    """

    id: str
    shipper: int | None
    manager: Person | None
    sites: tuple[str, ...]
    route: str
    ready: int
    cod: bool
    attempts: int = 0
    ticket: str | None = None
    asked: bool = False


class World:
    """The state of one run.

    Attributes:
        waiting: parcels due at each depot (by code), not yet with a courier.
        known: parcels accepted on the last days before today, which office work and curiosity draw from.
        at_depot: those of the known parcels by the depot that delivers them.
        issued, issued_before: last number given to a parcel by site code, now and when the day began.
        substitutes: colleague who takes all of an absent courier's parcels, by (absent courier, day).
        volume: factor on the parcels accepted on a day.
        busy: actors something is planted for already.
        planted: leaks and look-alikes.
        left_out: what was asked for and could not be planted, with the reason.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.clock = Clock(config)
        couriers = max(2, round(config.staff * 0.45))
        self.network = Network(config, couriers)
        self.staff = Staff(config, self.network)
        self.roster = Roster(config, self.clock, self.staff)
        self.recorder = Recorder(self.clock, config.carrier)
        self.waiting: defaultdict[str, list[Parcel]] = defaultdict(list)
        self.known: list[Parcel] = []
        self.at_depot: dict[str, list[Parcel]] = {}
        self.issued = {site.code: 10_000_000 + 1_000 * site.number for site in self.network.depots}
        self.substitutes: dict[tuple[str, int], Person] = {}
        self.volume: defaultdict[int, float] = defaultdict(lambda: 1.0)
        self.busy: set[str] = set()
        self.planted: list[Planted] = []
        self.left_out: dict[str, str] = {}
        self.issued_before = dict(self.issued)
        self._accepted: deque[list[Parcel]] = deque(maxlen=_REMEMBERED)
        self._tickets = 0

    def plant(self, shape: str, actor: str) -> Planted:
        """Open the truth entry of a leak or look-alike."""
        label = "leak" if shape in LEAKS else "benign"
        assert shape in LEAKS or shape in LOOKALIKES
        entry = Planted(label, shape, self.config.carrier, actor)
        self.planted.append(entry)
        self.busy.add(actor)
        return entry

    def remember(self, parcels: list[Parcel]) -> None:
        """Add a finished day's parcels to the known ones; the oldest day drops out."""
        self._accepted.append(parcels)
        self.issued_before = dict(self.issued)
        self.known = [parcel for day in self._accepted for parcel in day]
        self.at_depot = {depot.code: [] for depot in self.network.depots}
        for parcel in self.known:
            self.at_depot[parcel.sites[-1]].append(parcel)

    def number(self, site: Site) -> str:
        """The next parcel id of a site."""
        self.issued[site.code] += 1
        return self.parcel_id(site, self.issued[site.code])

    @staticmethod
    def parcel_id(site: Site, number: int) -> str:
        """The id that a site gives, or would give, to its parcel of that number."""
        return f"VN{site.number:03d}{number:08d}"

    def ticket(self) -> str:
        """A new ticket id."""
        self._tickets += 1
        return f"T{100_000 + self._tickets}"

    def on_day(self, day: int, roles: tuple[str, ...]) -> list[tuple[Person, int, int]]:
        """People in the roles at work on the shift that begins that day, with its first and last ms."""
        return [
            (person, *span)
            for person in self.staff.in_role(*roles)
            for span in (self.roster.hours(person, day),)
            if span is not None
        ]


def spread(rng: random.Random, count: int, start: int, end: int) -> list[int]:
    """Instants in rising order, scattered evenly between start and end (ms)."""
    width = max(1, end - start)
    return sorted(start + int(rng.random() * width) for _ in range(count))
