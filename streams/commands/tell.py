"""`parcelwatch tell`: deliver alerts to receivers."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import structlog

from streams.commands.common import plain_settings
from streams.kafka.rights import RightsError, allowed
from streams.monitoring import health, logs
from streams.monitoring.metrics import new_registry
from streams.settings import Settings, SettingsError
from streams.sinks import Delivery, Sink, open_sinks
from streams.tell.deliveries import Outbox, OutboxError
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

    Reads the alerts topic into an outbox on disk (deliveries.sqlite in the data folder) and from there sends
    each alert to each receiver of the settings: webhooks, SIEMs, on-call, chat (docs/receivers.md). What fails is
    tried again, after 5 s at first and after an hour at the most, for a day (give_up_after); then it is kept as
    undelivered until `parcelwatch deliveries resend`. A receiver that is slow or away delays no other. One that
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


@command.command("test")
@click.argument("receiver")
def send_test(receiver: str) -> None:
    """Send RECEIVER one signed test message now.

    Shows what it answers. The message's type is parcelwatch.test; it is neither kept nor tried again. The
    exit status is 0 only if it was delivered.
    """
    settings = plain_settings()
    known_receiver(settings, receiver)
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


def known_receiver(settings: Settings, receiver: str) -> None:
    """End the command unless the settings name this receiver."""
    if receiver not in settings.receivers:
        known = ", ".join(sorted(settings.receivers))
        raise click.ClickException(
            f"no receiver is called {receiver!r}; " + (f"there are: {known}" if known else HOW_TO_ADD)
        )
