"""`parcelwatch simulate`: write a simulated carrier's days, with planted leaks and the truth beside them."""

from __future__ import annotations

import gzip
from collections import Counter
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, cast

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.simulator import LEAKS, LOOKALIKES, Simulation, SimulationConfig, SimulationError, parse_counts

_FILES = {
    "access": "access events",
    "context": "parcel context",
    "directory": "staff directory",
    "truth": "planted leaks and look-alikes",
}
_BY_TOPIC = {ACCESS_EVENTS: "access", PARCEL_CONTEXT: "context"}


def _listing(names: dict[str, str]) -> str:
    return "\n".join(f"  {name:<17} {what}" for name, what in names.items())


_HELP = f"""Write a simulated carrier's days into OUT_DIR, with planted leaks and the truth beside them.

Four files of one JSON record a line: access.ndjson and context.ndjson in time order, directory.ndjson, and
truth.ndjson, which names what was planted: label (leak or benign), shape, actor, start, end, parcels, records
and event_ids. The same options give the same bytes; another seed gives another carrier. All ids are made up.

\b
Example: a month of 500 people, three bulk reads and one enumeration, compressed
  parcelwatch simulate sim --staff 500 --days 30 --seed 7 --leaks bulk_read=3,enumeration --gzip
  parcelwatch backtest --events sim/access.ndjson.gz --context sim/context.ndjson.gz \\
      --directory sim/directory.ndjson.gz --alerts alerts.ndjson

\b
Leaks:
{_listing(LEAKS)}

\b
Benign look-alikes, which must stay silent:
{_listing(LOOKALIKES)}
"""


@click.command("simulate", help=_HELP)
@click.argument("out_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--staff", default=200, show_default=True, help="People who work for the carrier, at least 20.")
@click.option("--days", default=1, show_default=True, help="Calendar days, midnight to midnight local time.")
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2026-03-02",
    show_default=True,
    help="First day.",
)
@click.option("--seed", default=1, show_default=True, help="Any whole number.")
@click.option("--carrier", default="vnx", show_default=True, help="Carrier code in every record.")
@click.option(
    "--time-zone", default="Asia/Ho_Chi_Minh", show_default=True, help="The carrier's local time, IANA name."
)
@click.option(
    "--country", default="VN", show_default=True, help="ISO 3166 code whose public holidays are almost empty."
)
@click.option(
    "--leaks",
    default="all",
    show_default=True,
    help="all, none, all=COUNT, or NAME[=COUNT] separated by commas.",
)
@click.option(
    "--lookalikes", default="all", show_default=True, help="all, none, or names separated by commas."
)
@click.option("--gzip", "compress", is_flag=True, help="Compress the files (.ndjson.gz).")
@click.option("--overwrite", is_flag=True, help="Replace files of an earlier run in OUT_DIR.")
def command(
    out_dir: Path,
    staff: int,
    days: int,
    start: datetime,
    seed: int,
    carrier: str,
    time_zone: str,
    country: str,
    leaks: str,
    lookalikes: str,
    compress: bool,
    overwrite: bool,
) -> None:
    try:
        config = SimulationConfig(
            staff=staff,
            days=days,
            start=start.date(),
            seed=seed,
            carrier=carrier,
            time_zone=time_zone,
            country=country,
            leaks=parse_counts(leaks, LEAKS, "leaks"),
            lookalikes=tuple(name for name, _ in parse_counts(lookalikes, LOOKALIKES, "lookalikes")),
        )
    except SimulationError as exc:
        raise click.UsageError(str(exc)) from None
    suffix = ".ndjson.gz" if compress else ".ndjson"
    paths = {name: out_dir / f"{name}{suffix}" for name in _FILES}
    present = [path.name for path in paths.values() if path.exists()]
    if present and not overwrite:
        raise click.UsageError(
            f"{out_dir} already holds {', '.join(present)}; name another directory or add --overwrite"
        )
    simulation = Simulation(config)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        counts = _write(simulation, paths, compress)
    except OSError as exc:
        raise click.ClickException(f"cannot write {exc.filename or out_dir}: {exc.strerror}") from None
    _report(simulation, paths, counts)


def _write(simulation: Simulation, paths: dict[str, Path], compress: bool) -> Counter[str]:
    """Write all files under temporary names first: what bears its final name is never half a file."""
    counts: Counter[str] = Counter()
    parts = {name: path.with_name(path.name + ".part") for name, path in paths.items()}
    bar = Progress(
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("days, {task.fields[records]:,} records"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    try:
        with ExitStack() as stack:
            stack.enter_context(bar)
            files = {name: _open(stack, part, compress) for name, part in parts.items()}
            task = bar.add_task("", total=simulation.config.days, records=0)
            today = ""
            for topic, record in simulation.events():
                name = _BY_TOPIC[topic]
                files[name].write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                counts[name] += 1
                if record["time"][:10] != today:
                    bar.update(task, advance=int(today != ""), records=counts.total())
                    today = record["time"][:10]
            bar.update(task, completed=simulation.config.days, records=counts.total())
            for name, lines in (("directory", simulation.directory), ("truth", simulation.truth)):
                files[name].writelines(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
                counts[name] = len(lines)
        for name, part in parts.items():
            part.replace(paths[name])
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return counts


def _open(stack: ExitStack, path: Path, compress: bool) -> IO[bytes]:
    raw = stack.enter_context(path.open("wb"))
    if not compress:
        return raw
    # No name and no time in the header: the same simulation gives the same bytes.
    packed = gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=raw, mtime=0)
    return cast(IO[bytes], stack.enter_context(packed))


def _report(simulation: Simulation, paths: dict[str, Path], counts: Counter[str]) -> None:
    console = Console()
    table = Table("file", "holds", "records", "MB")
    for column in table.columns[2:]:
        column.justify = "right"
    for name, path in paths.items():
        table.add_row(str(path), _FILES[name], f"{counts[name]:,}", f"{path.stat().st_size / 1e6:.1f}")
    console.print(table)
    planted = Counter((line["label"], line["shape"]) for line in simulation.truth)
    table = Table("planted", "shape", "times")
    table.columns[2].justify = "right"
    for (label, shape), times in planted.items():
        table.add_row(label, shape, str(times))
    if planted:
        console.print(table)
    for shape, why in simulation.left_out.items():
        console.print(f"left out: {shape}: {why}", soft_wrap=True, highlight=False)
