"""`parcelwatch demo`: a simulated carrier's day with planted leaks, through a real Kafka, alerts live."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from streams.commands.common import plain_errors
from streams.demo import CONFIG, DemoError, Judged, Outcome, Plan, Scene, Seen, judge, play, prepare
from streams.flow.sources import SOURCE_TOPICS
from streams.kafka import jars as kafka_jars
from streams.kafka.broker import Broker, BrokerError
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import TopicError
from streams.privacy.filelock import file_lock
from streams.settings import load_settings
from streams.simulator import SimulationError

COLOURS = {"Low": "cyan", "Medium": "yellow", "High": "red", "Critical": "bold red"}
CREATE, CLOSE = 1, 3


@click.command()
@click.option("--staff", default=200, show_default=True, help="People who work for the carrier, at least 20.")
@click.option("--days", default=1, show_default=True, help="Days that are played in slow motion.")
@click.option(
    "--seed", default=1, show_default=True, help="Any whole number; another one gives another carrier."
)
@click.option(
    "--speed",
    default=1800.0,
    show_default=True,
    type=click.FloatRange(1, min_open=False),
    help="How many times as fast as it happens: at 1800 a day takes 48 s.",
)
@click.option(
    "--before", default=2, show_default=True, type=click.IntRange(0), help="Ordinary days that come first."
)
@click.option(
    "--keep", is_flag=True, help="Keep the data folder afterwards, to look into with the other commands."
)
@plain_errors(BrokerError, DemoError, SendError, SimulationError, TopicError)
def command(staff: int, days: int, seed: int, speed: float, before: int, keep: bool) -> None:
    """Watch a simulated carrier's day run through a real Kafka, and its planted leaks being found.

    Everything is on this machine and real but the carrier: an Apache Kafka broker, `parcelwatch worker`,
    `parcelwatch tell` and a webhook receiver that checks signatures. Two ordinary days come first, at full
    speed; then a day in slow motion in which some of the staff leak data, each alert shown as it fires; then
    the day after. A table at the end says what was planted, what was found, and what else was alerted.

    It needs no settings. At first use Apache Kafka (44 MB) is fetched. Its folder is <data_dir>/demo; that of
    an earlier demo is replaced. Ctrl-C stops it, also halfway.

    \b
    Examples:
      $ parcelwatch demo
      $ parcelwatch demo --staff 500 --seed 7 --speed 3600 --keep
    """
    data_dir = load_settings().data_dir.absolute()
    folder = data_dir / "demo"
    plan = Plan.make(staff=staff, days=days, seed=seed, speed=speed, before=before)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False)
    try:
        with _alone(data_dir), Show(console, plan) as show:
            try:
                began = time.monotonic()
                outcome, scene = _run(folder, plan, show)
                show.end()
                report(console, plan, scene, outcome, time.monotonic() - began)
                _whats_next(console, folder, keep)
            finally:
                if not keep:
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as exc:
        raise DemoError(
            f"cannot work in {folder}: {exc.strerror}; make room, or set PARCELWATCH_DATA_DIR to another"
        ) from None
    except KeyboardInterrupt:
        click.echo("Stopped; everything has ended.", err=True)
        raise SystemExit(130) from None


def _run(folder: Path, plan: Plan, show: Show) -> tuple[Outcome, Scene]:
    if missing := kafka_jars.missing():
        show.step(f"fetching Apache Kafka {kafka_jars.KAFKA_VERSION}, {kafka_jars.DOWNLOAD_MB} MB, this once")
        _fetch(missing, show)
    show.step(f"simulating {plan.config.staff} people for {plan.config.days} days")
    scene = prepare(folder, plan, show)
    # What client libraries say of a broker that is just coming up is for the log, not for the screen.
    logging.basicConfig(filename=folder / "demo.log", level=logging.WARNING)
    show.clear_names({token: actor for actor, token in scene.tokens.items()})
    show.step(f"starting Apache Kafka {kafka_jars.KAFKA_VERSION}, worker, tell and a webhook receiver")
    with Broker(folder / "broker") as broker:
        return asyncio.run(play(broker.bootstrap, plan, scene, show)), scene


def _fetch(missing: int, show: Show) -> None:
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            here = missing - kafka_jars.missing()
            show.progress(here, missing, f"{here} of {missing} files")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        kafka_jars.classpath()
    except kafka_jars.JarError as exc:
        raise DemoError(str(exc)) from None
    finally:
        done.set()
        watcher.join()


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    try:
        with file_lock(data_dir / "demo.lock", 1.0):
            yield
    except TimeoutError:
        raise DemoError(
            f"another demo runs in {data_dir}; end it, or set PARCELWATCH_DATA_DIR to another folder"
        ) from None


def _interrupt(signum: int, frame: object) -> None:
    """Make SIGTERM end the command just as Ctrl-C does."""
    raise KeyboardInterrupt


class Show:
    """The terminal while the demo plays.

    Args:
        console: where it is shown.
        plan: what is played.
    """

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._names: dict[str, str] = {}
        columns = (BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> Show:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def end(self) -> None:
        """Take the bar away: nothing moves any more."""
        self._bar.stop()

    def clear_names(self, names: dict[str, str]) -> None:
        """Staff id by token, of those whom something was planted on."""
        self._names = names

    def step(self, text: str) -> None:
        self._console.print(f"[bold]▸ {text}[/]")
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task("", total=None, note="")

    def progress(self, done: float, total: float, note: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)

    def alert(self, seen: Seen) -> None:
        """Show what opens or grows on the live days or after; the rest is in the table."""
        event = seen.event
        if event["time"] < self._plan.starts or event["activity_id"] == CLOSE:
            return
        severity, detector = event["severity"], event["finding_info"]["analytic"]["name"]
        name, short = self._names.get(seen.actor), seen.actor[:10] + "…"
        self._console.print(
            f"  {_local(event):%a %H:%M:%S}  [{COLOURS.get(severity, 'white')}]{severity:<8}[/]  "
            f"{detector:<16}  [bold]{escape(f'{name} ({short})' if name else short)}[/]"
            + (
                ""
                if event["activity_id"] == CREATE
                else f"  grew to {event['evidences'][0]['data']['evidence']}"
            )
        )
        if event["activity_id"] == CREATE:
            self._console.print(Padding(Text(event["message"]), (0, 0, 0, 16)), style="dim")


def _local(event: dict[str, object]) -> datetime:
    at, offset = event["time"], event["timezone_offset"]
    assert isinstance(at, int), "OCSF: ms"
    assert isinstance(offset, int), "OCSF: minutes"
    return datetime.fromtimestamp(at / 1000, timezone(timedelta(minutes=offset)))


def report(console: Console, plan: Plan, scene: Scene, outcome: Outcome, seconds: float) -> None:
    """The tables at the end: what was planted, what was found, what became of every record."""
    judged, others = judge(scene.truth, outcome.seen, scene.tokens)
    leaks = [one for one in judged if one.planted["label"] == "leak"]
    table = _table("planted leak", "who", "from", "found by", "severity", "to alert", "to webhook")
    for one in leaks:
        table.add_row(*_row(one, outcome))
    console.print()
    console.print(table)
    benign = [one for one in judged if one.planted["label"] == "benign"]
    flagged = [one.planted["shape"] for one in benign if one.alerts]
    learning = sum(alert.event["time"] < plan.starts for alert in others)
    console.print(
        f"{sum(bool(one.alerts) for one in leaks)} of {len(leaks)} planted leaks found; times are from the "
        "triggering event in Kafka.\n"
        f"{len(flagged)} of {len(benign)} benign look-alikes flagged{': ' * bool(flagged)}"
        f"{', '.join(flagged)}. Alerts on people with nothing planted: {learning} on the {plan.before} days "
        f"before, when nothing was known of the {plan.config.staff} people, {len(others) - learning} later.\n"
    )
    table = _table("records", "sent", "received", "admitted", "rejected", "duplicate", "adds up")
    for topic in SOURCE_TOPICS:
        sent, counts = outcome.sent[topic], outcome.counts[topic]
        numbers = [sent, *(counts[name] for name in ("received", "admitted", "rejected", "duplicate"))]
        whole = sent == numbers[1] == sum(numbers[2:])
        table.add_row(topic, *(f"{n:,}" for n in numbers), "yes" if whole else "[red]NO[/]")
    console.print(table)
    signatures = f"{outcome.unsigned} with a wrong signature" if outcome.unsigned else "every signature right"
    console.print(
        f"{len(outcome.seen)} alert messages, {len(outcome.delivered)} at the webhook, {signatures}. "
        f"At full speed {outcome.rate:,.0f} records/s, all on this machine. {seconds:.0f} s in all.\n"
    )


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="bold")


def _row(one: Judged, outcome: Outcome) -> tuple[str, ...]:
    planted = one.planted
    known = (planted["shape"], planted["actor"], planted["start"][11:16])
    if not one.alerts:
        return (*known, "[red]not found[/]")
    first = one.alerts[0]
    names = dict.fromkeys(alert.event["finding_info"]["analytic"]["name"] for alert in one.alerts)
    worst = max(one.alerts, key=lambda alert: alert.event["severity_id"]).event["severity"]
    found = (*known, "[green]" + ", ".join(names) + "[/]", worst)
    if not first.triggered:
        return (*found, "after grace")
    waited = (first.recorded, outcome.delivered[first.id])
    return (*found, *(f"{(at - first.triggered) / 1000:.2f} s" for at in waited))


def _whats_next(console: Console, folder: Path, keep: bool) -> None:
    lines = ["What next?"]
    if keep:
        lines += [
            f"  Records, truth, logs and the broker's data are in {folder}. To go on with them:",
            f"    parcelwatch broker --data {folder / 'broker'}",
            f"    PARCELWATCH_CONFIG={folder / CONFIG} parcelwatch doctor   # or any other command",
        ]
    else:
        lines += ["  parcelwatch demo --keep   keeps records, logs and the broker's data to look into"]
    lines += [
        "  A log of your own, without a broker (more in the README):",
        "    parcelwatch backtest --events LOG.csv --map time=COLUMN --map actor=COLUMN \\",
        "      --map parcels=COLUMN --set carrier=mine --set action=view --alerts alerts.ndjson",
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False)
