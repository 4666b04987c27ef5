"""Parcels on their way: accepted at a depot, through the hubs by night, into the depot that delivers them."""

from __future__ import annotations

import random
from collections import defaultdict

from streams.simulator.clock import HOUR, MINUTE
from streams.simulator.network import Site
from streams.simulator.records import LABEL
from streams.simulator.world import Parcel, World, spread

#: Share of couriers at work on an ordinary day; volume is sized so that those get their usual load.
_AT_WORK = 0.8
_BAG = 25
_FROM_PARTNER = 0.6
_CASH_ON_DELIVERY = 0.55


class Flow:
    """Takes parcels in and moves them; writes their context and the scans at counters and hubs."""

    def __init__(self, world: World) -> None:
        self._world = world
        network = world.network
        self._targets = network.depots
        self._weights = [len(depot.routes) for depot in network.depots]
        managers = world.staff.in_role("key_account_manager")
        self._managers = [managers[n % len(managers)] for n in range(len(world.staff.partners))]
        self._couriers = len(world.staff.in_role("courier"))

    def accept(self, day: int) -> list[Parcel]:
        """All parcels accepted on a day, with their journeys written up to the delivering depot."""
        world, config = self._world, self._world.config
        rng = config.rng("parcels", day)
        mean = (
            self._couriers
            * _AT_WORK
            * config.parcels_per_courier
            * world.clock.volume(day)
            * world.volume[day]
        )
        midnight = world.clock.midnight(day)
        accepted: list[Parcel] = []
        for depot in world.network.depots:
            count = round(mean / len(world.network.depots) * rng.uniform(0.9, 1.1))
            today = [
                self._accept(rng, depot, ms)
                for ms in spread(rng, count, midnight + 8 * HOUR, midnight + 20 * HOUR)
            ]
            self._send(rng, depot, today, midnight)
            accepted += today
        return accepted

    def _accept(self, rng: random.Random, depot: Site, ms: int) -> Parcel:
        world = self._world
        target = rng.choices(self._targets, self._weights)[0]
        shipper = rng.randrange(len(self._managers)) if rng.random() < _FROM_PARTNER else None
        manager = None if shipper is None else self._managers[shipper]
        hubs = world.network.hubs_between(depot, target)
        parcel = Parcel(
            world.number(depot),
            shipper,
            manager,
            (depot.code, *(hub.code for hub in hubs), target.code),
            rng.choice(target.routes),
            0,
            rng.random() < _CASH_ON_DELIVERY,
        )
        clerks = world.roster.on_duty(depot.code, "depot_clerk", ms) if shipper is None else ()
        staff = [manager.actor] if manager is not None else []
        if clerks:
            clerk = rng.choice(clerks)
            staff = [clerk.actor]
            world.recorder.access(
                ms + 4_000, clerk, "print", (parcel.id,), system="label-printing", fields=LABEL
            )
        world.recorder.context(ms, parcel.id, "accepted", site=depot.code, staff=staff)
        return parcel

    def _send(self, rng: random.Random, depot: Site, parcels: list[Parcel], midnight: int) -> None:
        """Send a depot's day to its hub on the evening truck, and on from there."""
        recorder = self._world.recorder
        by_target: defaultdict[str, list[Parcel]] = defaultdict(list)
        for parcel in parcels:
            by_target[parcel.sites[-1]].append(parcel)
        for together in by_target.values():
            for n in range(0, len(together), _BAG):
                bag = together[n : n + _BAG]
                leaves = midnight + 20 * HOUR + rng.randint(5, 75) * MINUTE
                self._scan_bag(rng, depot.code, "depot_clerk", bag, leaves)
                for parcel in bag:
                    recorder.context(leaves + 500, parcel.id, "departed", site=depot.code)
                self._through_hubs(rng, bag, midnight)

    def _through_hubs(self, rng: random.Random, bag: list[Parcel], midnight: int) -> None:
        recorder, roster = self._world.recorder, self._world.roster
        hubs = bag[0].sites[1:-1]
        arrives = midnight + 22 * HOUR + rng.randint(0, 80) * MINUTE
        for n, hub in enumerate(hubs):
            for parcel in bag:
                ms = arrives + int(rng.random() * 40 * MINUTE)
                sorters = roster.on_duty(hub, "hub_staff", ms)
                sorter = rng.choice(sorters) if sorters else self._world.staff.services["svc-sorter"]
                recorder.context(ms - 300, parcel.id, "arrived", site=hub)
                recorder.access(
                    ms, sorter, "scan", (parcel.id,), system="tms-web", channel="scanner", site=hub
                )
            # A line-haul truck reaches the next hub in the afternoon, and sorting starts over.
            if n < len(hubs) - 1:
                leaves = midnight + 26 * HOUR + rng.randint(0, 60) * MINUTE
            else:
                leaves = arrives + rng.randint(90, 150) * MINUTE
            self._scan_bag(rng, hub, "hub_staff", bag, leaves)
            for parcel in bag:
                recorder.context(leaves + 500, parcel.id, "departed", site=hub)
            arrives = midnight + 38 * HOUR + rng.randint(0, 240) * MINUTE
        clock = self._world.clock
        morning = clock.midnight(clock.day_of(leaves + 6 * HOUR))
        reached = max(morning + 4 * HOUR, leaves + 45 * MINUTE)
        for parcel in bag:
            parcel.ready = reached + int(rng.random() * 45 * MINUTE)
            # The key-account manager is told, and may follow the delivery.
            told = (parcel.manager.actor,) if parcel.manager is not None else ()
            recorder.context(
                parcel.ready, parcel.id, "arrived", site=parcel.sites[-1], route=parcel.route, staff=told
            )
        self._world.waiting[bag[0].sites[-1]] += bag

    def _scan_bag(self, rng: random.Random, site: str, role: str, bag: list[Parcel], ms: int) -> None:
        at_work = self._world.roster.on_duty(site, role, ms)
        who = rng.choice(at_work) if at_work else self._world.staff.services["svc-sorter"]
        self._world.recorder.access(
            ms, who, "scan", [parcel.id for parcel in bag], system="tms-web", channel="scanner", site=site
        )
