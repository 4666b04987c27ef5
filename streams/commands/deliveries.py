"""`parcelwatch deliveries`: see what became of each alert at each receiver, and send again what did not arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import plain_settings
from streams.commands.tell import known_receiver
from streams.settings import Settings
from streams.tell.deliveries import Outbox, OutboxError, Standing, State


@click.group()
def command() -> None:
    """See what became of each alert at each receiver, and send again what did not arrive.

    Looks into the outbox of `parcelwatch tell` on this machine (deliveries.sqlite in the data folder), also while
    that runs.

    \b
    Example:
      $ parcelwatch deliveries list --state undelivered
      $ parcelwatch deliveries resend --receiver soc
    """


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
        known_receiver(settings, receiver)
    with _existing_outbox(settings) as outbox:
        receivers = list(settings.receivers) if receiver is None else [receiver]
        count = outbox.resend(time.time(), receivers, id_)
    if id_ is not None and not count:
        raise click.ClickException(
            f"no delivery has the id {id_}; `parcelwatch deliveries list` shows those there are"
        )
    click.echo(f"{count} deliveries will be tried again by `parcelwatch tell`.")


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


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if seconds else ""
