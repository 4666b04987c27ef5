"""`parcelwatch evaluate`: how many injected leaks are found, at how many false alerts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from streams.admit.local_time import Zones
from streams.commands.common import plain_errors, plain_settings, progress_bar, replacing
from streams.commands.log_options import Days, history_options
from streams.commands.source_options import mapping_options
from streams.evaluation.background import Background, FileBackground, SimulatedBackground
from streams.evaluation.evaluation import VARIANTS, Evaluation
from streams.evaluation.log import LogError
from streams.evaluation.page import budget_rows, method_rows, render_page, shape_rows
from streams.evaluation.words import CAPTIONS, titles
from streams.formats.mapping import Mapping
from streams.history.archive_files import ArchiveError
from streams.history.calibration import CalibrationError
from streams.history.files import FileError
from streams.simulator import SimulationError

_FILE = click.Path(dir_okay=False, path_type=Path)
#: Columns of the tables in a file or pipe, where nothing wraps them.
_WIDTH = 180


@click.command()
@click.option("--events", type=_FILE, help="Access events without leaks, in order of time.")
@click.option("--context", type=_FILE, help="Parcel context: assignments, scans, tickets, calls.")
@click.option("--directory", type=_FILE, help="Staff directory: role, team, site, shifts.")
@click.option(
    "--simulate", is_flag=True, help="A simulated carrier with every benign look-alike instead of files."
)
@click.option("--staff", default=200, show_default=True, help="With --simulate: people, at least 20.")
@click.option("--days", default=30, show_default=True, help="With --simulate: calendar days.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many; the first is 1."
)
@click.option(
    "--episodes",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Of each shape, for each seed.",
)
@click.option(
    "--warm-up",
    type=click.FloatRange(0.05, 0.95),
    default=0.6,
    show_default=True,
    help="Share of the log's days, from the first, that only teaches.",
)
@click.option(
    "--curve",
    is_flag=True,
    help="Also run at the strictness calibrated, on the warm-up alone, to 0.5, 1, 2 and 5 alerts per 1,000 user-days.",
)
@click.option("--json", "json_path", type=_FILE, help="All figures; replaced when there.")
@click.option("--html", "html_path", type=_FILE, help="A page with plots; replaced when there.")
@history_options
@mapping_options
@plain_errors(ArchiveError, CalibrationError, FileError, LogError)
def command(
    events: Path | None,
    context: Path | None,
    directory: Path | None,
    simulate: bool,
    staff: int,
    days: int,
    seeds: int,
    episodes: int,
    warm_up: float,
    curve: bool,
    json_path: Path | None,
    html_path: Path | None,
    mapping: Mapping | None,
    history: Days | None,
) -> None:
    """Inject leaks into a benign log and report how many are found, and what it costs in false alerts.

    Episodes of every shape the log can carry are done by real people of the log, with its parcels, at their
    hours; in a hard variant at a quarter of the size. The pipeline runs over the merged log once a seed and
    variant, beside static thresholds, z-scores and IsolationForest at the same number of alerts. Nothing is
    sent away. docs/evaluation.md says what each figure means, and what a history cannot tell.

    \b
    Examples:
      $ parcelwatch evaluate --events access.ndjson.gz --context context.ndjson.gz \\
            --directory directory.ndjson.gz --html report.html
      $ parcelwatch evaluate --events log.csv --map time=time --map actor=staff --map parcels=record \\
            --set carrier=mine --set action=view --json report.json
      $ parcelwatch evaluate --history history --carrier vnx --since 2026-09-01 --html report.html
      $ parcelwatch evaluate --simulate --staff 200 --days 30 --seeds 2
    """
    if [simulate, events is not None, history is not None].count(True) != 1:
        raise click.UsageError("give one of --events FILE, --history DIR and --simulate")
    if events is None and (context or directory or mapping):
        raise click.UsageError(
            "--context, --directory, --map and --set go with --events; leave them out: a simulation or a history "
            "brings its own"
        )
    for path in (json_path, html_path):
        _check_place(path)
    began = time.monotonic()
    with ExitStack() as stack:
        background = _background(stack, events, context, directory, mapping, history, (staff, days))
        evaluation = Evaluation(
            background,
            Zones.of(plain_settings()),
            tuple(range(1, seeds + 1)),
            episodes,
            warm_up,
            budgets=curve,
        )
        show = stack.enter_context(_progress(seeds * len(VARIANTS)))
        report = evaluation.run(show)
    if json_path is not None:
        with replacing(json_path) as file:
            file.write(report.json())
    if html_path is not None:
        with replacing(html_path) as file:
            file.write(render_page(report.data).encode())
    _print(report.data, time.monotonic() - began)


def _background(
    stack: ExitStack,
    events: Path | None,
    context: Path | None,
    directory: Path | None,
    mapping: Mapping | None,
    history: Days | None,
    simulated: tuple[int, int],
) -> Background:
    if events is not None:
        return FileBackground(events, context, directory, mapping)
    if history is not None:
        # Arrow, which the history is read with, is a tenth of a second to import.
        from streams.evaluation.history import HistoryBackground
        from streams.history.touches import Spool

        return HistoryBackground(
            history.root, stack.enter_context(Spool()), history.carriers, history.since, history.until
        )
    try:
        return SimulatedBackground(*simulated)
    except SimulationError as exc:
        raise click.UsageError(str(exc)) from None


def _check_place(path: Path | None) -> None:
    """Before minutes of work, not after them."""
    if path is not None and not path.resolve().parent.is_dir():
        raise FileError(
            f"cannot write {path}: there is no folder {path.parent}; make it or name another place"
        )


@contextmanager
def _progress(trials: int) -> Iterator[Any]:
    bar = progress_bar()
    task = bar.add_task("reading", total=None)
    read = 0

    def show(what: str, records: int) -> None:
        nonlocal read
        if what == "reading":
            read += records
        # The log is read once for each trial again, which is known only when it has been read.
        total = None if what == "reading" else read * (trials + 1)
        bar.update(task, description=what, advance=records, total=total)

    with bar:
        yield show


def _print(data: dict[str, Any], seconds: float) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH
    log = data["log"]
    console.print(
        f"{data['parameters']['background']}: {log['access_events']:,} access events, {log['people']:,} people, "
        f"{log['days']:,} days, {log['warm_up_days']:,} of them warm-up; "
        f"{log['test_user_days']:,} user-days to test on",
        soft_wrap=True,
    )
    for reason, n in log["left_out_records"].items():
        console.print(f"left out of the plan, rejected by the pipeline: {n:,} access events, {reason}")
    for name, variant in data["variants"].items():
        for title, (head, rows) in (
            (titles(name), method_rows(variant["methods"])),
            ("by shape", shape_rows(variant["methods"])),
            (CAPTIONS["calibrated"], budget_rows(variant["calibrated"])),
        ):
            if not rows:
                continue
            # On a narrow terminal figures go on below rather than end in an ellipsis.
            columns = [Column(name, overflow="fold") for name in head]
            table = Table(*columns, title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for shape, why in variant["fewer_episodes"].items():
            console.print(f"{shape}: {why}", soft_wrap=True)
    for shape, why in data["shapes_left_out"].items():
        console.print(f"left out: {shape}: {why}", soft_wrap=True)
    console.print(f"medians over seeds (least–most); {seconds:.0f} s")
