"""Couriers at work: parcels handed out by route, loaded, looked up, delivered or brought back."""

from __future__ import annotations

import random
from collections import defaultdict

from streams.simulator.clock import MINUTE
from streams.simulator.records import PERSONAL
from streams.simulator.staff import Person
from streams.simulator.world import Parcel, World, spread

_FAILS = 0.06
_ATTEMPTS = 3
_CALLS_AHEAD = 0.4
#: The most a courier carries, against the mean load; a substitute carries twice as much.
_CAPACITY = 1.6


class Delivery:
    """Hands parcels to the couriers of each depot and follows them through their round.

    Attributes:
        delivered: parcels delivered on the last simulated day, by depot code.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.delivered: dict[str, list[Parcel]] = {}
        by_depot: defaultdict[str, list[Person]] = defaultdict(list)
        for courier in world.staff.in_role("courier"):
            by_depot[courier.site].append(courier)
        self._by_depot = by_depot
        self._owner: dict[str, Person] = {}
        for depot in world.network.depots:
            for n, route in enumerate(depot.routes):
                owner = by_depot[depot.code][n % len(by_depot[depot.code])]
                owner.routes.append(route)
                self._owner[route] = owner

    def run(self, day: int) -> None:
        """One day at every depot."""
        self.delivered = {}
        for code, couriers in self._by_depot.items():
            self.delivered[code] = []
            rng = self._world.config.rng("delivery", code, day)
            at_work = {
                courier.actor: (courier, span)
                for courier in couriers
                for span in (self._world.roster.hours(courier, day),)
                if span is not None
            }
            loads = self._hand_out(rng, code, day, at_work)
            for actor, load in loads.items():
                self._round(rng, code, *at_work[actor], load)

    def _hand_out(
        self, rng: random.Random, code: str, day: int, at_work: dict[str, tuple[Person, tuple[int, int]]]
    ) -> dict[str, list[Parcel]]:
        world = self._world
        loads: dict[str, list[Parcel]] = {actor: [] for actor in at_work}
        stay: list[Parcel] = []
        usual = world.config.parcels_per_courier * _CAPACITY
        for parcel in world.waiting[code]:
            owner = self._owner[parcel.route]
            substitute = world.substitutes.get((owner.actor, day))
            taker = substitute or owner
            if taker.actor not in at_work or len(loads[taker.actor]) >= usual * taker.pace * (
                1 + bool(substitute)
            ):
                # An absent colleague's route is shared out among those with the least to carry.
                taker = min(
                    (courier for courier, _ in at_work.values()),
                    key=lambda c: len(loads[c.actor]),
                    default=owner,
                )
                if taker.actor not in at_work or len(loads[taker.actor]) >= usual * taker.pace:
                    stay.append(parcel)
                    continue
            start, _ = at_work[taker.actor][1]
            if parcel.ready < start - 5 * MINUTE:
                loads[taker.actor].append(parcel)
            else:
                stay.append(parcel)
        world.waiting[code] = stay
        return loads

    def _round(
        self, rng: random.Random, code: str, courier: Person, span: tuple[int, int], load: list[Parcel]
    ) -> None:
        if not load:
            return
        world, recorder = self._world, self._world.recorder
        start, end = span
        assigned = start - rng.randint(1, 5) * MINUTE
        ids = [parcel.id for parcel in load]
        recorder.access(
            assigned,
            world.staff.services["svc-dispatch"],
            "update",
            ids,
            system="tms-web",
            channel="batch",
            site=code,
        )
        for parcel in load:
            recorder.context(
                assigned, parcel.id, "assigned", site=code, route=parcel.route, staff=(courier.actor,)
            )
        recorder.access(start + 30_000, courier, "login", system="courier-app", channel="app")
        recorder.access(
            start + MINUTE,
            courier,
            "list",
            ids,
            system="courier-app",
            channel="app",
            fields=("name", "address"),
        )
        leaves = start + min(40 * MINUTE, 5 * MINUTE + len(load) * 20_000)
        for parcel, ms in zip(load, spread(rng, len(load), start + 2 * MINUTE, leaves), strict=True):
            recorder.access(ms, courier, "scan", (parcel.id,), system="courier-app", channel="app")
            recorder.context(
                leaves + 30_000,
                parcel.id,
                "out_for_delivery",
                site=code,
                route=parcel.route,
                staff=(courier.actor,),
            )
        rng.shuffle(load)
        back: list[Parcel] = []
        for parcel, ms in zip(
            load, spread(rng, len(load), leaves + 10 * MINUTE, end - 10 * MINUTE), strict=True
        ):
            if not self._hand_over(rng, code, courier, parcel, ms):
                back.append(parcel)
        world.waiting[code] += back

    def _hand_over(self, rng: random.Random, code: str, courier: Person, parcel: Parcel, ms: int) -> bool:
        recorder = self._world.recorder
        seen = ms - rng.randint(30_000, 240_000)
        recorder.access(
            seen,
            courier,
            "view",
            (parcel.id,),
            system="courier-app",
            channel="app",
            fields=(*PERSONAL, "cod") if parcel.cod else PERSONAL,
        )
        if rng.random() < _CALLS_AHEAD:
            recorder.access(
                seen + 15_000,
                courier,
                "call",
                (parcel.id,),
                system="courier-app",
                channel="app",
                fields=("phone",),
            )
        if rng.random() < _FAILS:
            parcel.attempts += 1
            recorder.access(ms, courier, "update", (parcel.id,), system="courier-app", channel="app")
            if parcel.attempts < _ATTEMPTS:
                return False
            recorder.context(ms + 1_000, parcel.id, "returned", site=code, staff=(courier.actor,))
            return True
        recorder.access(ms, courier, "scan", (parcel.id,), system="courier-app", channel="app")
        recorder.context(ms + 400, parcel.id, "delivered", site=code, staff=(courier.actor,))
        self.delivered[code].append(parcel)
        return True
