"""What a carrier's clock and calendar say at a moment of event time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from holidays import country_holidays

from streams.admit.validate import DAY
from streams.settings import Settings


class Zones:
    """Local time and public holidays of carriers.

    Args:
        zones: IANA time zone by carrier; without one the offset an event carries is its local time.
        countries: ISO 3166 code by carrier; without one no day is a holiday.
    """

    def __init__(self, zones: dict[str, str], countries: dict[str, str] | None = None) -> None:
        self._zones = {carrier: ZoneInfo(name) for carrier, name in zones.items()}
        self._holidays = {c: country_holidays(country) for c, country in (countries or {}).items()}
        self._offsets: dict[tuple[str, int], int] = {}
        self._free: dict[tuple[str, int], bool] = {}

    @classmethod
    def of(cls, settings: Settings) -> Zones:
        """What the settings say of each carrier."""
        carriers = settings.carriers.items()
        zones = {name: carrier.time_zone for name, carrier in carriers if carrier.time_zone}
        return cls(zones, {name: carrier.country for name, carrier in carriers if carrier.country})

    def __bool__(self) -> bool:
        return bool(self._zones or self._holidays)

    def offset(self, carrier: str, given: int, ms: int) -> int:
        """Minutes east of UTC at that carrier at that moment; `given` is what the event says."""
        zone = self._zones.get(carrier)
        if zone is None:
            return given
        key = (carrier, ms // 900_000)  # offsets change on quarter hours
        offset = self._offsets.get(key)
        if offset is None:
            if len(self._offsets) > 100_000:
                self._offsets.clear()
            local = datetime.fromtimestamp(ms / 1000, zone).utcoffset()
            offset = self._offsets[key] = int(local.total_seconds()) // 60 if local else 0
        return offset

    def holiday(self, carrier: str, ms: int, offset: int) -> bool:
        """Whether the local day is a public holiday there."""
        if not self._holidays:
            return False
        key = (carrier, (ms + offset * 60_000) // DAY)
        free = self._free.get(key)
        if free is None:
            days = self._holidays.get(carrier)
            date = datetime.fromtimestamp(key[1] * 86_400, UTC).date()
            free = self._free[key] = days is not None and date in days
        return free
