"""The carrier's sites: hubs, depots with their delivery routes, and the head office."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.simulator.config import SimulationConfig

#: Region codes, in the order in which a growing carrier opens hubs.
_REGIONS = ("HN", "SG", "DN", "CT", "HP", "NA", "BD", "KH")
OFFICE = "HQ-01"


@dataclass(eq=False, slots=True)
class Site:
    """A hub or depot.

    Attributes:
        code: as in every record, for example `HN-03`.
        region: region code.
        number: running number over all sites, part of the ids of parcels accepted here and of addresses.
        routes: codes of the delivery routes that start here; none at a hub.
    """

    code: str
    region: str
    number: int
    routes: list[str] = field(default_factory=list)


class Network:
    """Sites sized for the staff: about one hub for 200 people (two to eight), one depot for 12 couriers.

    Attributes:
        hubs: hub by region.
        depots: depots, in turn over the regions.
    """

    def __init__(self, config: SimulationConfig, couriers: int) -> None:
        regions = _REGIONS[: max(2, min(len(_REGIONS), config.staff // 200 + 1))]
        self.hubs = {code: Site(f"{code}-H1", code, n + 1) for n, code in enumerate(regions)}
        count = max(len(regions), round(couriers / 12))
        self.depots = [
            Site(f"{region}-{n // len(regions) + 1:02d}", region, 100 + n)
            for n in range(count)
            for region in (regions[n % len(regions)],)
        ]
        for n in range(max(couriers, count)):
            depot = self.depots[n % count]
            depot.routes.append(f"{depot.code}-R{len(depot.routes) + 1}")
        self.numbers = {site.code: site.number for site in (*self.hubs.values(), *self.depots)}

    def hubs_between(self, origin: Site, destination: Site) -> list[Site]:
        """Hubs a parcel passes, in order: one within a region, two between regions."""
        first, last = self.hubs[origin.region], self.hubs[destination.region]
        return [first] if first is last else [first, last]

    def address(self, site: str, host: int) -> str:
        """Private network address of a workplace at a site."""
        number = self.numbers.get(site, 250)
        return f"10.{20 + number // 250}.{number % 250}.{host % 250 + 2}"
