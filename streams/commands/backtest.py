"""`parcelwatch backtest`: the same pipeline over files or the history, without a broker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from streams.admit.local_time import Zones
from streams.commands.common import plain_errors, progress_bar, replacing
from streams.commands.log_options import Days, history_options, one_source
from streams.commands.source_options import format_options
from streams.detect.library import ModelLibrary
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.formats.base import Format
from streams.formats.catalogue import input_format
from streams.formats.mapping import Mapping
from streams.history.archive_files import ArchiveError
from streams.history.backtest import Alerted, Backtest, Refused, Result, alerted
from streams.history.files import FileError, total_bytes
from streams.history.translated import LogFile
from streams.monitoring import logs
from streams.privacy.tokens import Keyring, looks_like_token
from streams.settings import load_settings

_IN = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--events", type=_IN, help="Access events: who opened which shipment records.")
@click.option("--context", type=_IN, help="Parcel context: assignments, scans, tickets, calls.")
@click.option("--directory", type=_IN, help="Staff directory: role, team, site, shifts.")
@click.option("--alerts", "out", required=True, type=_IN, help="Where the alerts go; replaced when there.")
@click.option("--rejected", type=_IN, help="Where to say which records were rejected, why, and the remedy.")
@click.option(
    "--without-decisions",
    is_flag=True,
    help="With --history: as if nobody had suppressed, watched, judged or switched anything.",
)
@click.option("--clear-actors", is_flag=True, help="Staff ids in clear in the alerts instead of tokens.")
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    help="Partitions of every topic, for comparing with a deployment. Default: as in the settings.",
)
@history_options
@format_options
@plain_errors(FileError, ArchiveError)
def command(
    events: Path | None,
    context: Path | None,
    directory: Path | None,
    out: Path,
    rejected: Path | None,
    without_decisions: bool,
    clear_actors: bool,
    partitions: int | None,
    mapping: Mapping | None,
    source: Format | None,
    history: Days | None,
) -> None:
    """Run the pipeline over files or the history and write the alerts it gives, one a line.

    It is the code the workers run, without a broker: the same log through Kafka gives the same alerts. Files
    are NDJSON, one JSON object a line, or CSV with a header; plain or gzip, which is seen by itself. --map
    and --set say what the columns of --events mean; docs/events.md lists the fields. --format reads --events in
    a format of its own (docs/formats.md), by default that of the settings. Nothing is sent away.

    An alert is an OCSF Detection Finding (class 2004), its times are event times, staff and parcels are
    tokens. Carriers in the settings' key ring have the tokens they have everywhere; others get keys for this
    run alone, so nothing has to be set up. Time zone and country of a carrier come from the settings, if set.

    What became of every record is said on standard error. The exit code is 0 also when some were rejected.

    --history takes touches that were labelled before: they go straight to the detectors and give the alerts
    that the stream gave, with what people decided about detection where they decided it; models come from
    models_dir. No keys are needed; `parcelwatch reveal` says who a token is.

    \b
    Examples:
      $ parcelwatch backtest --events access.ndjson.gz --context context.ndjson.gz \\
            --directory directory.ndjson.gz --alerts alerts.ndjson
      $ parcelwatch backtest --events log.csv --map time=time --map actor=staff --map parcels=record \\
            --set carrier=mine --set action=view --alerts alerts.ndjson --clear-actors
      $ parcelwatch backtest --events access.log --format weblog --mapping web.toml --alerts alerts.ndjson
      $ parcelwatch backtest --history history --since 2026-11-01 --alerts november.ndjson
    """
    files_only = {
        "--context": context,
        "--directory": directory,
        "--rejected": rejected,
        "--partitions": partitions,
        "--map or --set": mapping,
        "--format": source,
        # Whom a history's tokens stand for is told by `parcelwatch reveal` alone, with the reason logged.
        "--clear-actors": clear_actors,
    }
    one_source(history, events, files_only)
    settings = load_settings()
    if history is not None:
        # A model that cannot be had is named in the log, as in a worker.
        logs.configure(settings.log_level)
        _from_history(history, out, ModelLibrary(settings.models_path), decided=not without_decisions)
        return
    if without_decisions:
        raise click.UsageError("--without-decisions: only with --history; files hold no decisions")
    keys = Keyring.load(settings.keys_path) if settings.keys_path.exists() else Keyring()
    if source is None and mapping is None:
        source = input_format(settings)
    given = ((STAFF_DIRECTORY, directory), (PARCEL_CONTEXT, context))
    files = [LogFile(topic, path) for topic, path in given if path is not None]
    files += [LogFile(ACCESS_EVENTS, events, mapping, source)] if events is not None else []
    for file in files:
        if not file.path.is_file():
            raise FileError(
                f"there is no file {file.path}; --events, --context and --directory name files, read twice"
            )
    began = time.monotonic()
    with replacing(out) as alerts, replacing(rejected) as refusals, _progress(files) as show:
        run = Backtest(
            files,
            keys,
            partitions=partitions or settings.partitions,
            arrived=time.time_ns() // 1_000_000,
            zones=Zones.of(settings),
            refused=lambda refused: _write_refusal(refusals, refused),
        )
        result = run.run(show)
        _write(alerts, result.alerts, keys if clear_actors else None)
    _report(result, time.monotonic() - began)


def _from_history(history: Days, out: Path, models: ModelLibrary, *, decided: bool) -> None:
    # Arrow, which the history is read with, is a tenth of a second to import.
    from streams.history.archive_replay import Replay
    from streams.history.detection import detect_partitions

    began, rows = time.monotonic(), 0
    with replacing(out) as alerts, progress_bar() as bar:
        task = bar.add_task("history", total=history.rows())

        def further(n: int) -> None:
            nonlocal rows
            rows += n
            bar.update(task, completed=rows)

        replay = Replay(*history, decided=decided, progress=further)
        found = sorted(map(alerted, detect_partitions(replay.rounds(), replay.partitions, models=models)))
        _write(alerts, found)
    console = Console(stderr=True, highlight=False, markup=False)
    console.print(f"{rows:,} touches and late reasons, {replay.decisions:,} decisions", soft_wrap=True)
    _report_alerts(console, found, rows, "rows", time.monotonic() - began)


def _write(file: IO[bytes], alerts: list[Alerted], keys: Keyring | None = None) -> None:
    """One a line; with keys, the ids of staff in clear."""
    for alert in alerts:
        file.write(alert.value if keys is None else _in_clear(alert, keys))
        file.write(b"\n")


@contextmanager
def _progress(files: list[LogFile]) -> Iterator[Any]:
    bar = progress_bar()
    # Each file is read twice.
    tasks = {file.topic: bar.add_task(file.topic, total=2 * (total_bytes(file.path) or 0)) for file in files}
    with bar:
        yield lambda topic, done: bar.update(tasks[topic], completed=done)


def _write_refusal(out: IO[bytes], refused: Refused) -> None:
    why = refused.rejection
    line = {
        "file": str(refused.file.path),
        "record": refused.number,
        "reason": why.reason,
        "where": why.where,
        "detail": why.detail,
        "remedy": why.remedy,
        "bytes": why.size,
    }
    out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _in_clear(alert: Alerted, keys: Keyring) -> bytes:
    """The alert with the ids of staff in clear, wherever they stand; parcels stay tokens."""
    event = orjson.loads(alert.value)
    user = event["actor"]["user"]
    carrier = user["org"]["uid"]
    tokens = [user["uid"], user.get("ldap_person", {}).get("manager", {}).get("uid", "")]
    clear = {token: keys.reveal(carrier, token)[1] for token in tokens if looks_like_token(token)}
    return orjson.dumps(_replaced(event, clear))


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def _report(result: Result, seconds: float) -> None:
    console = Console(stderr=True, highlight=False, markup=False)
    table = Table("records", "received", "admitted", "rejected", "duplicates", box=None, padding=(0, 2, 0, 0))
    total = 0
    for topic, counts in result.counts.items():
        total += counts.get("received", 0)
        numbers = (counts.get(name, 0) for name in ("received", "admitted", "rejected", "duplicate"))
        table.add_row(topic, *(f"{number:,}" for number in numbers))
    console.print(table)
    titles = {
        "rejected/": "rejected",
        "corrected/": "admitted with a correction",
        "ignored/": "not received, ignored",
    }
    for name, title in titles.items():
        for topic, counts in result.counts.items():
            for key, n in sorted(counts.items()):
                if key.startswith(name):
                    console.print(f"{title}, {topic}: {key.removeprefix(name)} {n:,}")
    for carrier in result.made_keys:
        console.print(f"carrier {carrier} is in no key ring: its tokens are of this run alone")
    for path in result.disordered:
        console.print(
            f"{path} is not in order of time: what comes late counts as late, and leaks are missed; sort it by time",
            soft_wrap=True,
        )
    _report_alerts(console, result.alerts, total, "records", seconds)


def _report_alerts(console: Console, alerts: list[Alerted], total: int, what: str, seconds: float) -> None:
    found = Counter(_kind(alert) for alert in alerts)
    table = Table("detector", "severity", "opened", "updates", "closed", box=None, padding=(0, 2, 0, 0))
    for detector, severity in sorted({(d, s) for d, s, _ in found}):
        row = (found[detector, severity, activity] for activity in ("Create", "Update", "Close"))
        table.add_row(detector, severity, *map(str, row))
    if found:
        console.print(table)
    console.print(f"{len(alerts):,} alerts, {seconds:.1f} s, {total / seconds:,.0f} {what}/s")


def _kind(alert: Alerted) -> tuple[str, str, str]:
    event = orjson.loads(alert.value)
    return event["finding_info"]["analytic"]["name"], event["severity"], event["activity_name"]
