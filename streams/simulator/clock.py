"""The carrier's calendar: local days as epoch milliseconds, holidays, how busy a day is, and time stamps."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from streams.simulator.config import SimulationConfig

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: Volume of Monday to Sunday against an ordinary working day.
_WEEK = (1.05, 1.0, 1.0, 1.0, 1.0, 0.7, 0.35)
_HOLIDAY = 0.04
#: Sales days (month, day) on which everybody orders.
_SALES = {(11, 11): 2.2, (12, 12): 2.0}


class Clock:
    """Local days of one simulation; day 0 is the first, days before it are negative.

    Attributes:
        start_ms, end_ms: epoch ms between which records are written, the end not included.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._zone = ZoneInfo(config.time_zone)
        self._first = config.start
        years = range(config.start.year - 1, config.start.year + config.days // 365 + 3)
        self._holidays = frozenset(holidays.country_holidays(config.country, years=years))
        self._minutes: dict[int, tuple[str, str]] = {}
        # Sized per instance: a run asks for the same few days over and over.
        self.midnight = lru_cache(maxsize=4096)(self._midnight)
        self.start_ms = self.midnight(0)
        self.end_ms = self.midnight(config.days)

    def date(self, day: int) -> date:
        """Calendar date of a day."""
        return self._first + timedelta(days=day)

    def _midnight(self, day: int) -> int:
        return round(datetime.combine(self.date(day), time(), self._zone).timestamp() * 1000)

    def day_of(self, ms: int) -> int:
        """The day that an instant between the run's bounds (or near them) falls on."""
        day = (ms - self.start_ms) // DAY
        while ms >= self.midnight(day + 1):
            day += 1
        while ms < self.midnight(day):
            day -= 1
        return day

    def is_holiday(self, day: int) -> bool:
        """Whether the day is a public holiday."""
        return self.date(day) in self._holidays

    def weekday(self, day: int) -> int:
        """0 for Monday to 6 for Sunday."""
        return self.date(day).weekday()

    def volume(self, day: int) -> float:
        """Parcels accepted on the day against an ordinary working day."""
        if self.is_holiday(day):
            return _HOLIDAY
        on = self.date(day)
        return _WEEK[on.weekday()] * _SALES.get((on.month, on.day), 1.0)

    def is_month_end(self, day: int) -> bool:
        """Whether the day is the last working day (Monday to Friday, no holiday) of its month."""
        if self.weekday(day) > 4 or self.is_holiday(day):
            return False
        later = day + 1
        while self.date(later).month == self.date(day).month:
            if self.weekday(later) < 5 and not self.is_holiday(later):
                return False
            later += 1
        return True

    def stamp(self, ms: int) -> str:
        """RFC 3339 with milliseconds and the local offset.

        >>> Clock(SimulationConfig()).stamp(1_772_413_401_120)
        '2026-03-02T08:03:21.120+07:00'
        """
        minute, rest = divmod(ms, MINUTE)
        known = self._minutes.get(minute)
        if known is None:
            if len(self._minutes) > 50_000:
                self._minutes.clear()
            text = datetime.fromtimestamp(minute * 60, self._zone).isoformat()
            known = self._minutes[minute] = text[:17], text[19:]
        second, milli = divmod(rest, 1000)
        return f"{known[0]}{second:02d}.{milli:03d}{known[1]}"
