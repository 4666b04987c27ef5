"""`parcelwatch formats`: what logs may be written in, and what becomes of each line of one."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Console
from rich.table import Table

from detectors.base import ACTION_CODES
from streams.admit.translation import IGNORED, IgnoredError
from streams.admit.validate import Clock, RefusalError, as_access_event, count_records, event_time
from streams.commands.common import plain_errors
from streams.commands.source_options import format_options
from streams.flow.events import AccessEvent
from streams.formats import mapping as mappings
from streams.formats.base import Format
from streams.formats.catalogue import FORMATS, input_format
from streams.formats.mapped import Mapped
from streams.formats.native import Native
from streams.history.files import FileError, read_entries
from streams.settings import load_settings

#: Columns of the table where nobody sees a terminal's edge, e.g. in a file.
WIDE = 200
#: Parcels of an event that are shown.
PARCELS = 3
_COLUMNS = ("time", "carrier", "actor", "action", "parcels", "records", "system", "ip", "outcome")


@click.group()
def command() -> None:
    """Show what carriers' own logs may be written in, and what becomes of each line of one.

    docs/formats.md has every format's fields, the mapping file, and how to write a format.

    \b
    Examples:
      $ parcelwatch formats list
      $ parcelwatch formats try access.log.gz --format weblog --mapping web.toml
    """


@command.command("list")
def list_() -> None:
    """Show every format and what it reads."""
    table = Table("format", "reads", box=None, padding=(0, 2, 0, 0))
    for name, kind in FORMATS.items():
        table.add_row(name, kind.summary)
    _console().print(table)


@command.command("try")
@click.argument("file")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(0), help="Entries to show, from the first."
)
@format_options
@plain_errors(FileError, mappings.MappingError)
def try_(file: str, limit: int, mapping: mappings.Mapping | None, source: Format | None) -> None:
    """Show what each line of FILE (`-`: standard input) becomes; nothing is sent or kept.

    FILE is plain or gzip. Without --format it is read in the settings' input_format; with --map and --set alone
    it is any JSON or CSV log. Ids of people and parcels are shown by their first and last characters only. Whether a
    carrier has keys is not looked at: admit does that. The exit code is 1 when nothing of the file could be admitted.

    \b
    Examples:
      $ parcelwatch formats try log.csv --map time=TS --map actor=USER --set carrier=vnx --set action=view
      $ parcelwatch formats try log.json --format mapping --mapping log.toml
    """
    if source is None:
        source = Mapped(mapping) if mapping else input_format(load_settings()) or Native()
    console, counts = _console(), Counter[str]()
    seen = _looked_at(file, source, counts)
    table = Table("record", *_COLUMNS, "what is wrong", box=None, padding=(0, 2, 0, 0))
    for look in islice(seen, limit):
        table.add_row(str(look.number), *(look.cells.get(name, "") for name in _COLUMNS), look.verdict)
    if table.row_count:
        console.print(table)
    for _ in seen:
        pass
    _summarise(console, counts)
    if not counts["admitted"]:
        raise click.exceptions.Exit(1)


class _Look(NamedTuple):
    """An entry as it is shown: the number of its record, cells by column, what is wrong with it."""

    number: int
    cells: dict[str, str]
    verdict: str


def _looked_at(file: str, source: Format, counts: Counter[str]) -> Iterator[_Look]:
    now = time.time_ns() // 1_000_000
    clock = Clock()
    for number, entry in read_entries(file, source):
        outcome = entry.outcome
        try:
            if isinstance(outcome, Exception):
                raise outcome
            _check(as_access_event(outcome), clock, now)
        except IgnoredError as ignored:
            counts.update(("ignored", f"ignored/{ignored.reason}"))
            yield _Look(number, {}, f"ignored: {IGNORED[ignored.reason]}")
        except RefusalError as refusal:
            counts.update(("rejected", f"rejected/{refusal.reason}"))
            where = f" at {refusal.where}" if refusal.where else ""
            cells = _cells(outcome) if isinstance(outcome, dict) else {}
            yield _Look(number, cells, f"{refusal.reason}{where}: {refusal.detail}; {refusal.remedy}")
        else:
            counts["admitted"] += 1
            yield _Look(number, _cells(outcome) if isinstance(outcome, dict) else {}, "")


def _check(event: AccessEvent, clock: Clock, now: int) -> None:
    """Raises RefusalError where admit would, as far as an event alone can tell."""
    if event.action not in ACTION_CODES:
        raise RefusalError("unknown_action", "the action is none of the known", "$.action")
    event_time(clock.read(event.time)[0], now, [])
    count_records(event, [])


def _cells(fields: Mapping[str, Any]) -> dict[str, str]:
    cells = {name: _shown(fields[name]) for name in _COLUMNS if name in fields}
    for name in ("actor", "ip"):
        if name in cells:
            cells[name] = _shortened(cells[name])
    parcels = fields.get("parcels")
    if isinstance(parcels, list):
        more = f" +{len(parcels) - PARCELS}" if len(parcels) > PARCELS else ""
        cells["parcels"] = " ".join(_shortened(_shown(parcel)) for parcel in parcels[:PARCELS]) + more
    return cells


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shortened(text: str) -> str:
    """An id so that its owner knows it again, and nobody else does."""
    return f"{text[:2]}…{text[-1]}" if len(text) > 3 else "…"


def _summarise(console: Console, counts: Counter[str]) -> None:
    total = counts["admitted"] + counts["rejected"] + counts["ignored"]
    console.print(
        f"{total:,} entries: {counts['admitted']:,} can be admitted, {counts['rejected']:,} refused, "
        f"{counts['ignored']:,} ignored",
        soft_wrap=True,
    )
    for name, n in sorted(counts.items()):
        if "/" in name:
            what, _, reason = name.partition("/")
            console.print(f"{what}, {reason}: {n:,}", soft_wrap=True)


def _console() -> Console:
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
