"""What `verdict`, `suppress`, `watch` and `model` share: who decides, whose time it is, and the control topic."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import plain_errors
from streams.flow.control import ControlRecord
from streams.history.files import FileError
from streams.kafka import control
from streams.kafka.alert_log import AlertLogError
from streams.kafka.control import ControlError, Entry, Unreadable
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import TopicError
from streams.privacy.audit import os_user
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import Keyring, looks_like_token
from streams.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([0-9]{1,4})([hdw])")

errors = plain_errors(AlertLogError, ControlError, FileError, SendError, TopicError)
carrier = click.option("--carrier", required=True, help="Carrier code, as in the alert.")
why = click.option(
    "--why",
    required=True,
    metavar="TEXT",
    help="The reason, e.g. a case number; kept for ever, so no customer's data in it.",
)
by = click.option("--by", metavar="NAME", help="Who decided. Default: your login name.")


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def words(text: str | None) -> str:
    """What was typed, without what is no text (a terminal may send any bytes)."""
    return (text or "").strip().encode(errors="replace").decode()


def reason(why: str) -> str:
    """Why, as typed. Raises click.UsageError for an empty one."""
    if not (text := words(why)):
        raise click.UsageError("--why: an empty reason is not one (a case number will do)")
    return text


def decided_by(name: str | None) -> str:
    """Who decided: as said, or the login name."""
    return words(name) or os_user()


def zone_of(settings: Settings, carrier: str, utc_offset: int | None = None) -> tzinfo:
    """The carrier's time zone by the settings; without one that of an alert (minutes east of UTC), else UTC."""
    known = settings.carriers.get(carrier)
    if known is not None and known.time_zone:
        return ZoneInfo(known.time_zone)
    return UTC if utc_offset is None else timezone(timedelta(minutes=utc_offset))


def shown(at: datetime, zone: tzinfo) -> str:
    """A moment in local time with its offset.

    >>> shown(datetime(2026, 11, 24, 1, 3, tzinfo=UTC), timezone(timedelta(hours=7)))
    '2026-11-24 08:03 +07:00'
    """
    local = at.astimezone(zone)
    text = local.isoformat(" ", "minutes")
    return f"{text[:16]} {text[16:]}"


def moment(text: str, option: str, direction: int, zone: tzinfo, at: datetime) -> datetime:
    """A moment as an analyst writes it: `7d` from now, or a date or time, local unless it has an offset.

    Args:
        option: which option it is, for the error.
        direction: 1 when a span counts from now on, -1 when it counts back.

    Raises:
        click.UsageError: neither of them.

    >>> moment("2d", "--until", 1, UTC, datetime(2026, 11, 24, tzinfo=UTC)).isoformat()
    '2026-11-26T00:00:00+00:00'
    """
    if span := _SPAN.fullmatch(text.strip()):
        return at + direction * timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        given = datetime.fromisoformat(text.strip())
        return (given if given.tzinfo else given.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"{option}: write a span such as 12h, 7d or 4w, or a time such as 2026-12-01T06:00+07:00"
        ) from None


def keyring_at_hand(settings: Settings) -> Keyring | None:
    """The key ring, or None where there is none that this user may read.

    Raises:
        KeyringError: there is one, and it cannot be used.
    """
    return Keyring.load(settings.keys_path) if os.access(settings.keys_path, os.R_OK) else None


def staff_token(ring: Keyring | None, carrier: str, given: str) -> str:
    """Token of a person given as token or as clear id, under the carrier's active key.

    Without keys it stays as it is: admit turns a clear id into its token.

    Raises:
        KeyringError: unknown carrier, or a token that is none of its staff; never says the id.
    """
    if ring is None or not given:
        return given
    try:
        return ring.staff(carrier, given)
    except UnicodeEncodeError:
        raise KeyringError("--actor holds bytes that are no text; write it in UTF-8") from None


def check_carrier(ring: Keyring | None, carrier: str) -> None:
    """Refuse a carrier nobody has keys of, where keys are at hand: admit would reject the decision later, unseen.

    Raises:
        KeyringError: unknown carrier.
    """
    if ring is not None:
        ring.cipher(carrier)


def read(settings: Settings, ring: Keyring | None = None) -> list[Entry]:
    """Every decision so far, clear ids as tokens where keys are at hand; what is no decision is named on stderr."""

    def name(what: Unreadable) -> None:
        click.echo(f"left out: {what}; mend what writes there", err=True)

    return [entry._replace(record=_tokens(ring, entry.record)) for entry in control.read(settings, name)]


def _tokens(ring: Keyring | None, record: ControlRecord) -> ControlRecord:
    if ring is None or record.carrier not in ring or not record.actor or looks_like_token(record.actor):
        return record
    return ControlRecord(
        **{name: getattr(record, name) for name in record.__struct_fields__ if name != "actor"},
        actor=ring.cipher(record.carrier).staff(record.actor),
    )


def person(token: str) -> str:
    """How a person is shown: the token, never a clear id."""
    if not token:
        return "everybody"
    return token if looks_like_token(token) else "(staff id, not shown)"


def publish(settings: Settings, record: ControlRecord, zone: tzinfo, done: str = "") -> None:
    """Publish a decision, and once the broker has it say what was done, where it stands and until when."""
    partition, offset = control.publish(settings, record)
    until = f" until {shown(control.moment(record.until), zone)}" if record.until else ""
    if done:
        click.echo(done)
    click.echo(f"recorded{until} by {record.by} as control/{partition}/{offset}")


def print_table(table: Table) -> None:
    """A table as wide as its contents, also into a pipe: a cut-off id is of no use."""
    Console(width=1000, highlight=False, markup=False).print(table)


def printable(text: str) -> str:
    """A cell's text without what a terminal would take for a command: topics hold what anybody may have written.

    >>> printable("ended\x1b[2J")
    'ended�[2J'
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def new_table(*columns: str) -> Table:
    """An empty table without borders; fill it with `add_row`."""
    return Table(*columns, box=None, padding=(0, 2, 0, 0))


def add_row(table: Table, *cells: str) -> None:
    """One row of plain text."""
    table.add_row(*map(printable, cells))
