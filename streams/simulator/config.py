"""What to simulate: size, dates, seed, and which leaks and benign look-alikes to plant."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays

#: Leak shapes by name, with the scale each is planted at.
LEAKS: dict[str, str] = {
    "bulk_read": "100 to 2,000 parcels read in the UI within 10 to 60 minutes",
    "bulk_export": "one to four exports, together 500 to 50,000 rows, few parcels listed or none",
    "off_hours": "20 to 5,000 rows exported at night or on a day the person does not work",
    "unrelated_parcel": "5 to 30 parcels over days that nothing ties the person to",
    "low_and_slow": "15 to 40 extra parcels a working day for up to four weeks",
    "enumeration": "150 to 600 sequential or guessed ids, many of which do not exist",
    "sequence": "search, reveal, export or print, then a new device",
    "borrowed_login": "one account at two places at once, the second on a new device",
    "service_account": "a service account used by hand: UI channel, human rhythm, one-off ids",
    "leaver": "an account that is left or dormant in the directory comes back to read",
    "label_unsealing": "8 to 40 labels revealed or printed at a site off the parcels' routes",
}

#: Benign look-alikes by name: they must stay silent.
LOOKALIKES: dict[str, str] = {
    "peak_day": "a sale doubles the volume of a day and of the deliveries after it (actor *: everybody)",
    "sick_cover": "a courier takes a sick colleague's whole route, with the assignments to show for it",
    "month_end_export": "COD accountants export the whole month on its last working day",
    "claims_campaign": "a claims clerk works through hundreds of tickets opened at once",
    "new_hire": "a new hire shadows a colleague and opens the same parcels minutes later",
    "migration_batch": "a declared service account moves tens of thousands of rows at night",
    "hub_night_shift": "a sorter of the day shift is rostered on nights",
    "shared_terminal": "the clerks of a depot take turns at one counter terminal",
}


class SimulationError(ValueError):
    """A simulation that cannot be run; the text names the field, its value and the remedy."""


@dataclass(frozen=True)
class SimulationConfig:
    """What to simulate. Equal configurations give byte-identical records.

    Attributes:
        staff: people who work for the carrier, at least 20; machine accounts and leavers come on top.
        days: calendar days, each from midnight to midnight local time.
        start: first day.
        seed: any integer; another seed gives another carrier.
        carrier: carrier code in every record.
        time_zone: IANA name of the carrier's local time.
        country: ISO 3166 code whose public holidays are almost empty days.
        leaks: shapes from LEAKS, each a name (planted once) or a (name, count) pair; empty plants none.
        leak_days: first and last day (from 0) that leaks fall on; by default the later two thirds of the run.
        lookalikes: names from LOOKALIKES.
        parcels_per_courier: mean parcels a courier delivers on a working day.

    Raises:
        SimulationError: when a value is out of range or a name unknown.
    """

    staff: int = 200
    days: int = 1
    start: date = date(2026, 3, 2)
    seed: int = 1
    carrier: str = "vnx"
    time_zone: str = "Asia/Ho_Chi_Minh"
    country: str = "VN"
    leaks: tuple[str | tuple[str, int], ...] = tuple(LEAKS)
    leak_days: tuple[int, int] | None = None
    lookalikes: tuple[str, ...] = tuple(LOOKALIKES)
    parcels_per_courier: int = 70

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("staff", self.staff, 20, 100_000),
            ("days", self.days, 1, 3_660),
            ("start (year)", self.start.year, 1990, 2080),
            ("parcels_per_courier", self.parcels_per_courier, 5, 300),
        ):
            if not least <= value <= most:
                raise SimulationError(f"{name} = {value}: must be {least:,} to {most:,}")
        if not re.fullmatch(r"[a-z0-9-]{1,32}", self.carrier):
            raise SimulationError(
                f"carrier = {self.carrier!r}: use 1 to 32 lower-case letters, digits and hyphens"
            )
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise SimulationError(
                f"time_zone = {self.time_zone!r}: not an IANA time zone; write for example Asia/Ho_Chi_Minh"
            ) from None
        if self.country not in holidays.list_supported_countries():
            raise SimulationError(
                f"country = {self.country!r}: no public holidays known; use an ISO 3166 code such as VN"
            )
        if self.leak_days is not None and not 0 <= self.leak_days[0] <= self.leak_days[1] < self.days:
            raise SimulationError(
                f"leak_days = {self.leak_days}: must be first and last day, from 0 to {self.days - 1}"
            )
        for name, count in self.leak_counts.items():
            _known("leaks", name, LEAKS)
            if count < 0:
                raise SimulationError(f"leaks {name}={count}: a count cannot be negative")
        for name in self.lookalikes:
            _known("lookalikes", name, LOOKALIKES)

    @property
    def leak_counts(self) -> dict[str, int]:
        """How many leaks of each shape to plant, in the order given."""
        counts: dict[str, int] = {}
        for item in self.leaks:
            name, count = (item, 1) if isinstance(item, str) else item
            counts[name] = counts.get(name, 0) + count
        return counts

    def rng(self, *purpose: object) -> random.Random:
        """Random numbers for one purpose alone, so that one part's draws never shift another's."""
        key = "/".join(str(part) for part in (self.seed, *purpose))
        return random.Random(key)  # noqa: S311 - reproducible test data, nothing secret


def _known(field: str, name: str, names: Mapping[str, str]) -> None:
    if name not in names:
        raise SimulationError(f"{field}: {name!r} is unknown; known are {', '.join(names)}")


def parse_counts(text: str, names: Mapping[str, str], field: str) -> tuple[tuple[str, int], ...]:
    """Counts from `all`, `none` or a list such as `bulk_read=3,sequence`; `all=2` plants two of each.

    Raises:
        SimulationError: naming the part that cannot be read.

    >>> parse_counts("bulk_read=3,sequence", LEAKS, "leaks")
    (('bulk_read', 3), ('sequence', 1))
    >>> parse_counts("none", LEAKS, "leaks")
    ()
    """
    counts: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, number = part.partition("=")
        if part == "none":
            continue
        if number and not number.isdecimal():
            raise SimulationError(
                f"{field}: {part!r} has no whole number after '='; write for example {name}=2"
            )
        if name != "all":
            _known(field, name, names)
        for each in names if name == "all" else (name,):
            counts[each] = int(number or 1)
    return tuple((name, count) for name, count in counts.items() if count)
