"""Local weekday and hour, and whether a moment lies within a roster; plain arithmetic on event time."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

MINUTES_A_DAY = 1440
#: A roster is kept to the hour, not to the minute: work begins early and runs over.
SLACK = 60


def weekday_and_hour(time: int, tz: int) -> tuple[int, int]:
    """Weekday (Monday is 0) and hour of local time.

    Args:
        time: ms since the epoch, UTC.
        tz: minutes east of UTC.

    >>> weekday_and_hour(0, 0), weekday_and_hour(0, 420)
    ((3, 0), (3, 7))
    """
    hours = (time // 60_000 + tz) // 60
    return (hours // 24 + 3) % 7, hours % 24


@lru_cache(maxsize=4096)
def _span(shift: str) -> tuple[int, int] | None:
    begin, _, end = shift.partition("-")
    try:
        first, last = (
            int(h) * 60 + int(m or 0) for h, _, m in (part.partition(":") for part in (begin, end))
        )
    except ValueError:
        return None
    return first - SLACK, (last - first) % MINUTES_A_DAY + 2 * SLACK


def in_shift(shifts: tuple[str, ...], time: int, tz: int) -> bool:
    """Whether local time lies within one of the shifts, give or take an hour. A shift that cannot be read covers all.

    >>> in_shift(("22-06",), 0, 0), in_shift(("08:30-17:30",), 0, 0), in_shift(("?",), 0, 0)
    (True, False, True)
    """
    minute = (time // 60_000 + tz) % MINUTES_A_DAY
    for shift in shifts:
        span = _span(shift)
        if span is None or (minute - span[0]) % MINUTES_A_DAY <= span[1]:
            return True
    return False


@lru_cache(maxsize=4096)
def _at_turn(day: int) -> bool:
    today = date(1970, 1, 1) + timedelta(days=day)
    month = [today + timedelta(days=n) for n in range(-31, 32)]
    working = [one for one in month if one.month == today.month and one.weekday() < 5]
    return sum(one > today for one in working) <= 1 or not any(one < today for one in working)


def at_month_turn(time: int, tz: int) -> bool:
    """Whether months are settled on that local day: the last two working days of a month to the first of the next.

    >>> [day for day in range(31) if at_month_turn(day * 86_400_000, 0)]
    [0, 28, 29, 30]
    """
    return _at_turn((time // 60_000 + tz) // MINUTES_A_DAY)
