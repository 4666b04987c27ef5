"""Times as logs write them, as RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Formats of `[time] format` besides those of strptime: seconds, milliseconds, microseconds since 1970.
UNITS = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000}
# Not strptime's, which are those of the locale.
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_COMMON = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d\d)(\d\d)")
_POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?) ?(\S+)?")
_OFFSET = re.compile(r"([+-]\d\d)(?::?(\d\d))?(?::?\d\d)?")


def zone_of(name: str) -> tzinfo:
    """A time zone by IANA name, or an offset such as +07:00.

    Raises:
        ValueError: it is neither.
    """
    if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError("not an IANA time zone; write for example Asia/Ho_Chi_Minh or +07:00") from None


def from_epoch(number: float, per_second: int = 1_000, zone: tzinfo = UTC) -> str | None:
    """RFC 3339 of a time since 1970, or None when no calendar has it.

    Args:
        number: how long, in units of which `per_second` make a second; zone: whose offset is written.
    """
    try:
        at = datetime.fromtimestamp(number / per_second, zone)
    except (ValueError, OverflowError, OSError):
        return None
    return at.isoformat(timespec="milliseconds")


def reader(pattern: str | None, zone: tzinfo | None) -> Callable[[str], str]:
    """A function from a time as the log writes it to RFC 3339; what it cannot read it gives back for admit to refuse.

    Args:
        pattern: one of UNITS, a format of strptime, or None for ISO 8601.
        zone: where the log's clock is, for times that do not say.
    """
    per_second = UNITS.get(pattern or "")

    def read(text: str) -> str:
        try:
            if per_second:
                return from_epoch(float(text), per_second, zone or UTC) or text
            at = datetime.strptime(text, pattern) if pattern else datetime.fromisoformat(text)  # noqa: DTZ007  # the zone follows
        except (ValueError, OverflowError):
            return text
        if at.tzinfo is None:
            if zone is None:
                return text
            at = at.replace(tzinfo=zone)
        return at.isoformat(timespec="milliseconds")

    return read


def common_log(text: str) -> str:
    """RFC 3339 of a web server's `24/Nov/2026:08:03:21 +0700`; other text is given back as it stands."""
    if (found := _COMMON.fullmatch(text)) and (month := _MONTHS.get(found[2])):
        return f"{found[3]}-{month:02}-{found[1]}T{found[4]}{found[5]}:{found[6]}"
    return text


def postgres(text: str, zone: tzinfo | None) -> str:
    """RFC 3339 of PostgreSQL's `2026-11-24 08:03:21.120 +07`; other text is given back as it stands.

    Args:
        zone: what an abbreviation that is no offset (`ICT`) stands for; it names no one zone. Without it such a
            time stays without offset, and admit refuses it.
    """
    found = _POSTGRES.fullmatch(text)
    if found is None:
        return text
    local, name = f"{found[1]}T{found[2]}", found[3] or ""
    if name in ("UTC", "GMT", "Z"):
        return local + "Z"
    if offset := _OFFSET.fullmatch(name):
        return f"{local}{offset[1]}:{offset[2] or '00'}"
    return reader(None, zone)(local)
