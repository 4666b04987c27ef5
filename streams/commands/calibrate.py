"""`parcelwatch calibrate`: how strict to be, for no more alerts than somebody can look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from streams.admit.local_time import Zones
from streams.commands import decision
from streams.commands.common import plain_errors, plain_settings
from streams.commands.log_options import Days, history_options, one_source
from streams.commands.source_options import mapping_options
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.formats.mapping import Mapping
from streams.history.archive_files import ArchiveError
from streams.history.backtest import Backtest
from streams.history.files import FileError
from streams.history.translated import LogFile
from streams.kafka.control import new_record
from streams.privacy.tokens import Keyring
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.history.calibration import Calibration, Trial

_FILE = click.Path(dir_okay=False, path_type=Path)
#: Columns of the tables in a file or pipe, where nothing wraps them.
_WIDTH = 180


@click.command()
@click.option("--events", type=_FILE, help="Access events: who opened which shipment records.")
@click.option("--context", type=_FILE, help="Parcel context: assignments, scans, tickets, calls.")
@click.option("--directory", type=_FILE, help="Staff directory: role, team, site, shifts.")
@click.option(
    "--alerts-per-1000-user-days",
    "budget",
    type=click.FloatRange(0, 1_000, min_open=True),
    help="The alert budget. Default: the setting of that name, 1 if it is not set.",
)
@click.option(
    "--warm-up",
    type=click.FloatRange(0.05, 0.95),
    default=0.5,
    show_default=True,
    help="Share of the days, from the first, that only teaches; two weeks at least are best.",
)
@click.option("--apply", is_flag=True, help="Publish what was found: it takes effect at once.")
@decision.by
@history_options
@mapping_options
@decision.errors
@plain_errors(ArchiveError, FileError)
def command(
    events: Path | None,
    context: Path | None,
    directory: Path | None,
    budget: float | None,
    warm_up: float,
    apply: bool,
    by: str | None,
    mapping: Mapping | None,
    history: Days | None,
) -> None:
    """Find how strict all detectors together must be to keep to an alert budget.

    Strictness is one factor on every limit of every detector: 1 as shipped, more for fewer alerts. This runs
    the detectors over your own history, for each carrier up to six times, and chooses the least strict one that
    raises no more alerts than the budget allows: alerts per 1,000 days on which a person was active. Alerts
    are counted as episodes, after a warm-up. The history is taken to be benign: a leak in it makes the
    result stricter than need be. docs/calibration.md says more.

    Nothing changes without --apply, which publishes the value as a decision in the topic control, with who
    decided it and on how much history.

    \b
    Examples:
      $ parcelwatch calibrate --history history --since 2026-09-01
      $ parcelwatch calibrate --history history --carrier vnx --alerts-per-1000-user-days 0.5 --apply
      $ parcelwatch calibrate --events access.ndjson.gz --context context.ndjson.gz \\
            --directory directory.ndjson.gz
    """
    from streams.history.calibration import CalibrationError, Calibrator
    from streams.history.carriers import by_carrier

    one_source(history, events, {"--context": context, "--directory": directory, "--map or --set": mapping})
    settings = plain_settings()
    allowed = settings.alerts_per_1000_user_days if budget is None else budget
    given = (
        (STAFF_DIRECTORY, directory, None),
        (PARCEL_CONTEXT, context, None),
        (ACCESS_EVENTS, events, mapping),
    )
    files = [LogFile(topic, path, columns) for topic, path, columns in given if path is not None]
    began = time.monotonic()
    found = []
    with ExitStack() as stack, _progress() as show:
        blocks = history.blocks() if history is not None else _labelled(stack, files, settings)
        for touches in by_carrier(blocks):
            show(f"{touches.carrier}: {touches.rows:,} rows, strictness 1")

            def tried(strictness: float, carrier: str = touches.carrier) -> None:
                show(f"{carrier}: tried strictness {strictness:.3g}")

            try:
                found.append(Calibrator(touches, warm_up=warm_up, progress=tried).to(allowed))
            except CalibrationError as exc:
                raise click.ClickException(str(exc)) from None
    if not found:
        raise click.ClickException("there is not one access in it that can be read: nothing to calibrate on")
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH
    for one in found:
        _print(console, one)
    console.print(f"{time.monotonic() - began:.0f} s")
    if apply:
        for one in found:
            _check(one)
        for one in found:
            _apply(settings, one, decision.decided_by(by))


def _labelled(stack: ExitStack, files: list[LogFile], settings: Settings) -> Iterator[bytes]:
    """Files through admit and relate; what was rejected is said on standard error."""
    from streams.history.touches import Labelling, Spool

    for file in files:
        if not file.path.is_file():
            raise FileError(
                f"there is no file {file.path}; --events, --context and --directory name files, read twice"
            )
    keys = Keyring.load(settings.keys_path) if settings.keys_path.exists() else Keyring()
    spool = stack.enter_context(Spool())
    arrived = time.time_ns() // 1_000_000
    make = partial(Labelling, keep=spool.add)
    result = Backtest(files, keys, partitions=1, arrived=arrived, zones=Zones.of(settings), make=make).run()
    for topic, counts in result.counts.items():
        if rejected := counts.get("rejected", 0):
            click.echo(
                f"{topic}: {rejected:,} of {counts['received']:,} records rejected; `parcelwatch backtest --rejected "
                "FILE` says why",
                err=True,
            )
    return iter(spool)


@contextmanager
def _progress() -> Iterator[Any]:
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    task = bar.add_task("reading", total=None)
    with bar:
        yield lambda text: bar.update(task, description=text)


def _print(console: Console, one: Calibration) -> None:
    console.print(
        f"carrier {one.carrier!r}: {one.days:,} days, {one.warm_up_days:,} of them warm-up; {one.user_days:,} "
        f"user-days count; {one.budget:g} per 1,000 are {one.allowed:,.1f} alerts",
        soft_wrap=True,
    )
    table = Table(
        *(
            Column(name, justify="right")
            for name in ("strictness", "alerts", "per 1,000 user-days", "95 % interval")
        ),
        Column("by detector", overflow="fold"),
        box=None,
        padding=(0, 2, 0, 0),
    )
    for trial in one.trials:
        mark = " *" if trial == one.chosen else "  "
        table.add_row(
            f"{trial.strictness:.3g}{mark}",
            f"{trial.alerts.total():,}",
            f"{one.rate(trial.alerts.total()):.2f}",
            _interval(one, trial),
            ", ".join(f"{name} {one.rate(n):.2f}" for name, n in trial.alerts.most_common()),
        )
    console.print(table)
    console.print(_conclusion(one), soft_wrap=True)


def _interval(one: Calibration, trial: Trial) -> str:
    low, high = one.interval(trial.alerts.total())
    return f"{low:.2f}–{high:.2f}"


def _conclusion(one: Calibration) -> str:
    chosen = one.chosen
    if chosen is None:
        strictest = one.trials[-1]
        text = (
            f"not reached: {one.rate(strictest.alerts.total()):.2f} alerts per 1,000 user-days even at strictness "
            f"{strictest.strictness:.3g}; look at what alerts there, it may be real, or allow more"
        )
    else:
        text = (
            f"* strictness {chosen.strictness:.3g} gives {one.rate(chosen.alerts.total()):.2f} alerts per 1,000 "
            f"user-days on this history; in the long run {_interval(one, chosen)}, with 95 % confidence"
        )
    if one.tells:
        return text
    return (
        f"{text}\nThis history is too short to tell: at the budget it has {one.allowed:.1f} alerts, so chance decides. "
        f"It takes {one.needed:,} user-days after the warm-up; until then leave strictness as it is"
    )


def _check(one: Calibration) -> None:
    """Refuse to publish what chance decided, or what was not found."""
    if not one.tells:
        why = "the history is too short"
    elif one.chosen is None:
        why = "no strictness keeps to the budget"
    else:
        return
    raise click.ClickException(f"carrier {one.carrier!r}: nothing was published, for {why}; see above")


def _apply(settings: Settings, one: Calibration, by: str) -> None:
    chosen = one.chosen
    assert chosen is not None, "what was not found is refused before"
    record = new_record(
        "strictness",
        one.carrier,
        decision.now(),
        value=f"{chosen.strictness:.4g}",
        by=by,
        why=f"calibrated: {one.rate(chosen.alerts.total()):.2f} alerts per 1,000 user-days ({_interval(one, chosen)}) "
        f"on {one.user_days} user-days, budget {one.budget:g}",
    )
    decision.publish(settings, record, decision.zone_of(settings, one.carrier))
