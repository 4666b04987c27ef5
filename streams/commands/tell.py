"""`parcelwatch tell`: deliver alerts to webhook receivers, and look after what could not be delivered."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click
import structlog
from rich.console import Console
from rich.table import Table

from streams.commands.common import plain_settings
from streams.kafka.rights import RightsError, allowed
from streams.monitoring import health, logs
from streams.monitoring.metrics import new_registry
from streams.settings import Settings, SettingsError
from streams.sinks import Delivery, Sink, open_sinks
from streams.tell.deliveries import Outbox, OutboxError, Standing, State
from streams.tell.service import Tell

log = structlog.get_logger(__name__)

HOW_TO_ADD = (
    "no receiver is set up; set PARCELWATCH_RECEIVERS__SOC__URL and PARCELWATCH_RECEIVERS__SOC__SECRET, "
    "or write [receivers.soc] into the file that PARCELWATCH_CONFIG names"
)


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Deliver every alert to every receiver, each at its own pace.

    Reads the alerts topic into an outbox on disk (deliveries.sqlite in the data folder) and from there POSTs
    each alert to each receiver of the settings, signed after Standard Webhooks 1.0.0. What fails is tried
    again, after 5 s at first and after an hour at the most, for a day (give_up_after); then it is kept as
    undelivered until `parcelwatch tell resend`. A receiver that is slow or away delays no other. One that
    answers 410 Gone is sent nothing more until something is resent to it. Stops on SIGTERM or Ctrl-C within
    seconds; nothing is lost.

    \b
    Example:
      $ export PARCELWATCH_RECEIVERS__SOC__URL=https://soc.example.com/alerts
      $ export PARCELWATCH_RECEIVERS__SOC__SECRET=whsec_...
      $ parcelwatch tell test soc
      $ parcelwatch tell
    """
    if ctx.invoked_subcommand is not None:
        return
    settings = plain_settings()
    logs.configure(settings.log_level)
    try:
        sinks = open_sinks(settings)
        if not sinks:
            # Alerts would be read from the topic and go nowhere.
            raise SettingsError(HOW_TO_ADD)
        allowed(settings, "tell")
        with only_one(settings.data_dir), closing(Outbox(settings.outbox_path)) as outbox:
            asyncio.run(_deliver(settings, sinks, outbox))
    except (SettingsError, OutboxError, RightsError) as exc:
        raise click.ClickException(str(exc)) from None
    except sqlite3.Error as exc:
        raise click.ClickException(
            f"the outbox {settings.outbox_path} can no longer be written: {exc}; "
            "make room on its disk and start again"
        ) from None


@command.command("list")
@click.option("--receiver", help="Only this receiver's.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only deliveries in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
def list_(receiver: str | None, state: State | None, limit: int) -> None:
    """Show how the receivers stand, and the newest deliveries."""
    settings = plain_settings()
    with _existing_outbox(settings) as outbox:
        standings = {name: Standing() for name in settings.receivers} | outbox.standings()
        entries = outbox.entries(receiver, state, limit)
    table = Table("receiver", "pending", "undelivered", "delivered", "oldest pending", "condition", box=None)
    for name, standing in sorted(standings.items()):
        condition = standing.disabled and f"disabled: {standing.disabled}"
        if name not in settings.receivers:
            condition = "not in the settings: nothing is sent"
        counts = (str(n) for n in (standing.pending, standing.undelivered, standing.delivered))
        table.add_row(name, *counts, _moment(standing.oldest_pending), condition or "ok")
    # As wide as its contents, also into a pipe: a cut-off id is of no use.
    console = Console(width=1000, highlight=False, markup=False)
    console.print(table)
    console.print()
    if not entries:
        console.print("No deliveries.")
        return
    table = Table("receiver", "id", "type", "state", "attempts", "since", "next", "last answer", box=None)
    for e in entries:
        next_at = _moment(e.next_at) if e.state == "pending" else ""
        kind = e.type.removeprefix("parcelwatch.alert.")
        table.add_row(e.receiver, e.id, kind, e.state, str(e.attempts), _moment(e.since), next_at, e.answer)
    console.print(table)


@command.command()
@click.option(
    "--receiver", help="Everything undelivered of this receiver; it is enabled again if it was disabled."
)
@click.option(
    "--id", "id_", help="This one message (see `list`), to every receiver it was for, whatever its state."
)
@click.option("--all-undelivered", is_flag=True, help="Everything undelivered, of every receiver.")
def resend(receiver: str | None, id_: str | None, all_undelivered: bool) -> None:
    """Try deliveries again from the start.

    A running `parcelwatch tell` begins within a second; otherwise the next one does.
    """
    settings = plain_settings()
    if [receiver is not None, id_ is not None, all_undelivered].count(True) != 1:
        raise click.UsageError("give one of --receiver, --id and --all-undelivered")
    if receiver is not None:
        _known(settings, receiver)
    with _existing_outbox(settings) as outbox:
        receivers = list(settings.receivers) if receiver is None else [receiver]
        count = outbox.resend(time.time(), receivers, id_)
    if id_ is not None and not count:
        raise click.ClickException(
            f"no delivery has the id {id_}; `parcelwatch tell list` shows those there are"
        )
    click.echo(f"{count} deliveries will be tried again by `parcelwatch tell`.")


@command.command("test")
@click.argument("receiver")
def send_test(receiver: str) -> None:
    """Send RECEIVER one signed test message now.

    Shows what it answers. The message's type is parcelwatch.test; it is neither kept nor tried again. The
    exit status is 0 only if it was delivered.
    """
    settings = plain_settings()
    _known(settings, receiver)
    try:
        sink = open_sinks(settings)[receiver]
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    now = time.time()
    message = Delivery(
        id=f"test-{secrets.token_hex(8)}",
        uid="test",
        type="parcelwatch.test",
        occurred=int(now * 1000),
        recorded=now,
        body=b'{"message":"A test message of parcelwatch; nothing has happened."}',
    )
    [outcome] = asyncio.run(sink.deliver([message]))
    took = time.time() - now
    if outcome.kind != "delivered":
        raise click.ClickException(f"{receiver} did not take {message.id}: {outcome.detail} ({took:.2f} s)")
    click.echo(f"{receiver} took {message.id}: {outcome.detail} ({took:.2f} s)")


async def _deliver(settings: Settings, sinks: dict[str, Sink], outbox: Outbox) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = new_registry()
    tell = Tell(settings, sinks, outbox, registry)
    async with health.serve(
        settings.http_host,
        settings.tell_http_port,
        registry,
        tell.ready,
        tell.healthy,
        setting="tell_http_port",
    ) as endpoint:
        log.info("tell has started", receivers=sorted(sinks), broker=settings.broker, http=endpoint.url)
        for name, standing in outbox.standings().items():
            if name not in sinks and standing.pending:
                log.warning(
                    "receiver is not in the settings; its alerts stay pending",
                    receiver=name,
                    pending=standing.pending,
                )
        await tell.run(stop)
    log.info("tell has stopped")


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Keep a second process off this outbox, which would deliver everything twice; ends with the process."""
    path = data_dir / "tell.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(path, timeout=0.0, isolation_level=None)
    except (OSError, sqlite3.Error) as exc:
        raise OutboxError(
            f"cannot write to {data_dir}: {exc}; set PARCELWATCH_DATA_DIR to a folder that can"
        ) from None
    with closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            raise OutboxError(
                f"another `parcelwatch tell` already delivers from {data_dir}; "
                "stop it, or set PARCELWATCH_DATA_DIR to another folder"
            ) from None
        yield


@contextmanager
def _existing_outbox(settings: Settings) -> Iterator[Outbox]:
    path = settings.outbox_path
    if not path.exists():
        raise click.ClickException(
            f"there is no outbox {path}: `parcelwatch tell` has never run with this PARCELWATCH_DATA_DIR"
        )
    try:
        with closing(Outbox(path)) as outbox:
            yield outbox
    except OutboxError as exc:
        raise click.ClickException(str(exc)) from None


def _known(settings: Settings, receiver: str) -> None:
    if receiver not in settings.receivers:
        known = ", ".join(sorted(settings.receivers))
        raise click.ClickException(
            f"no receiver is called {receiver!r}; " + (f"there are: {known}" if known else HOW_TO_ADD)
        )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else ""
