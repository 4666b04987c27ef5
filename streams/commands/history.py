"""`parcelwatch history`: every labelled touch and decision as Parquet files, and what becomes of them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import orjson
import structlog
from rich.console import Console
from rich.table import Table

from streams.commands.common import plain_errors, plain_settings
from streams.history.archive_files import KINDS, TOUCHES, ArchiveError, Content, load_manifest
from streams.kafka.rights import RightsError, allowed
from streams.monitoring import health, logs
from streams.monitoring.metrics import new_registry
from streams.privacy.filelock import file_lock
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.history.archive import Archive

log = structlog.get_logger(__name__)

_DAY = click.DateTime(["%Y-%m-%d"])
#: Rows turned into text at a time.
_CHUNK = 10_000


@click.group()
def command() -> None:
    """Keep every labelled touch as Parquet files, by carrier and day, each exactly once.

    One `history write` runs beside the workers; the files are for `history read` and for any engine that
    reads Parquet. docs/history.md lists the columns. They hold tokens, never a clear id. What people decide
    about detection is kept with the touches, so that `backtest --history` can prove an alert years later.

    \b
    Example:
      $ parcelwatch history write
      $ parcelwatch history list
      $ parcelwatch history read --carrier vnx --since 2026-11-01 --out november.ndjson
    """


@command.command()
@click.option(
    "--interval",
    type=click.FloatRange(1, 86_400),
    default=300.0,
    show_default=True,
    help="Longest time between two writings, s.",
)
@click.option(
    "--rows",
    type=click.IntRange(1_000, 5_000_000),
    default=200_000,
    show_default=True,
    help="So many rows waiting are written at once; 1 KB of memory each.",
)
@plain_errors(ArchiveError)
def write(interval: float, rows: int) -> None:
    """Write what is in the actor log and what comes into it, until SIGTERM or Ctrl-C.

    Goes on where the folder ends, whatever happened; one process a folder. Removes days older than
    history_days by itself.
    """
    settings = plain_settings()
    logs.configure(settings.log_level)
    with plain_errors(RightsError):
        allowed(settings, "history")
    with _archive(settings) as archive:
        asyncio.run(_write(settings, archive, interval, rows))


@command.command("list")
@plain_errors(ArchiveError)
def list_() -> None:
    """Show which days of which carriers there are, and what is missing."""
    root = plain_settings().history_path
    manifest = load_manifest(root)
    if manifest is None or not manifest.content:
        click.echo(f"There is no history in {root}; `parcelwatch history write` makes one.")
        return
    carriers: dict[str, list[Content]] = defaultdict(list)
    for content in manifest.content:
        carriers[content.carrier].append(content)
    names = (
        "carrier",
        "first day",
        "last day",
        "days",
        "touches",
        "late reasons",
        "decisions",
        "files",
        "MB",
    )
    table = Table(*names, box=None)
    for carrier, parts in sorted(carriers.items()):
        days = sorted({part.day for part in parts if part.kind == TOUCHES})
        rows = {kind: sum(part.rows for part in parts if part.kind == kind) for kind in KINDS}
        numbers = (len(days), *(rows[kind] for kind in KINDS), sum(part.files for part in parts))
        megabytes = f"{sum(part.bytes for part in parts) / 1e6:,.1f}"
        ends = (str(days[0]), str(days[-1])) if days else ("", "")
        table.add_row(repr(carrier)[1:-1], *ends, *(f"{n:,}" for n in numbers), megabytes)
    # As wide as its contents, also into a pipe.
    Console(width=1000, highlight=False, markup=False).print(table)
    for gap in manifest.gaps:
        click.echo(f"missing: actor-log partition {gap.partition}, offsets {gap.first} to {gap.next - 1}")


@command.command()
@click.option("--carrier", "carriers", multiple=True, help="Only this carrier's; may be given again.")
@click.option("--since", type=_DAY, help="First local day.")
@click.option("--until", type=_DAY, help="Last local day.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File; standard output without.")
@plain_errors(ArchiveError)
def read(carriers: tuple[str, ...], since: datetime | None, until: datetime | None, out: Path | None) -> None:
    """Write touches as NDJSON, one a line, with the reasons that came later applied.

    The oldest day first; within a day in the order of the log. Times are UTC.
    """
    from streams.history.archive_reader import scan

    days = scan(
        plain_settings().history_path,
        carriers or None,
        since.date() if since else None,
        until.date() if until else None,
    )
    with _output(out) as file:
        for table in days:
            for batch in table.to_batches(max_chunksize=_CHUNK):
                file.write(b"".join(map(_line, batch.to_pylist())))


@command.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@plain_errors(ArchiveError)
def expire(dry_run: bool) -> None:
    """Remove days more than history_days older than the newest day of the history.

    `history write` does so by itself; this is for when it does not run.
    """
    settings = plain_settings()
    with _archive(settings) as archive:
        removed = archive.expired(settings.history_days)
        if not dry_run:
            archive.expire(settings.history_days)
    for one in removed:
        click.echo(f"{one.kind} {one.carrier!r} {one.day}: {one.rows:,} rows, {one.files:,} files")
    rows, what = sum(one.rows for one in removed), "would be removed" if dry_run else "removed"
    click.echo(f"{len(removed)} day folders, {rows:,} rows {what}; history_days = {settings.history_days}")


async def _write(settings: Settings, archive: Archive, interval: float, rows: int) -> None:
    from streams.history.archive_service import ArchiveService

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = new_registry()
    service = ArchiveService(settings, archive, registry, interval=interval, rows=rows)
    async with health.serve(
        settings.http_host,
        settings.history_http_port,
        registry,
        service.ready,
        service.healthy,
        setting="history_http_port",
    ) as endpoint:
        log.info("history has started", folder=str(settings.history_path), http=endpoint.url)
        await service.run(stop)
    log.info("history has stopped")


@contextmanager
def _archive(settings: Settings) -> Iterator[Archive]:
    """The archive, and nobody else at it; a second writer would archive everything twice."""
    # Arrow is a tenth of a second to import, which no other command should wait for.
    from streams.history.archive import Archive

    root = settings.history_path
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(root / "_lock", 0.0))
        except TimeoutError:
            raise ArchiveError(
                f"another `parcelwatch history` already writes {root}; stop it, or set PARCELWATCH_HISTORY_DIR to "
                "another folder"
            ) from None
        except OSError as exc:
            raise ArchiveError(
                f"cannot write to {root}: {exc.strerror}; set PARCELWATCH_HISTORY_DIR to a folder that can"
            ) from None
        yield Archive(root, settings.partitions)


@contextmanager
def _output(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        yield sys.stdout.buffer
        return
    part = out.with_name(out.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(out)
    except OSError as exc:
        raise ArchiveError(f"cannot write {out}: {exc.strerror}; name another place") from None
    finally:
        part.unlink(missing_ok=True)


def _line(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
