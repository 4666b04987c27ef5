"""`parcelwatch rejected`: what could not be admitted, why, and how it gets in after all."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import load_keyring, plain_errors
from streams.kafka.rejections import Place, find, place, readmit, standing
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import TopicError
from streams.privacy.audit import write_audit
from streams.settings import load_settings

#: Columns of the table where nobody sees a terminal's edge, e.g. in a file.
WIDE = 200


class PlaceType(click.ParamType):
    """`TOPIC/PARTITION/OFFSET` as a `Place`."""

    name = "place"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        try:
            return Place.parse(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


_reason = click.option(
    "--reason", required=True, help="Why you look at or let in what was sealed, e.g. the number of the case."
)


@click.group()
def command() -> None:
    """List what could not be admitted, and admit it again once mended.

    A record that admit cannot read or believe goes to the `rejected` topic for 30 days: sealed, with the
    reason, the place in it, and the remedy. Nothing of its content is shown here but by `show`, which is
    audited.

    \b
    Example: a carrier's records were rejected because it had no key
      $ parcelwatch rejected list --reason unknown_carrier
      $ parcelwatch keys add vnx                       (and restart the workers)
      $ parcelwatch rejected readmit --reason-code unknown_carrier --reason "vnx is live now"
    """


@command.command("list")
@click.option("--reason", "code", help="Only those with this reason code.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Newest to show.")
@plain_errors(SendError, TopicError)
def list_(code: str | None, limit: int) -> None:
    """Show when, where and why records were rejected, and the remedy; newest last."""
    state = asyncio.run(standing(load_settings()))
    chosen = [r for r in state.open.values() if code in (None, r.reason)]
    table = Table("when", "source", "reason", "where", "remedy", "bytes", box=None, padding=(0, 2, 0, 0))
    for r in chosen[-limit:]:
        # In clear seconds; the exact text is in the topic.
        when = r.rejected_at[:19].replace("T", " ")
        table.add_row(when, str(place(r)), r.reason, r.where, f"{r.detail}; {r.remedy}", f"{r.size:,}")
    if chosen:
        width = None if sys.stdout.isatty() else WIDE
        Console(highlight=False, markup=False, width=width).print(table)
    reasons = Counter(r.reason for r in chosen)
    click.echo(
        f"{min(limit, len(chosen))} of {len(chosen)} rejected shown, {state.readmitted} readmitted"
        + "".join(f"; {reason} {count}" for reason, count in reasons.most_common())
    )
    if state.unreadable:
        click.echo(f"{state.unreadable} records of the topic are no rejections; who writes there?", err=True)


@command.command()
@click.argument("at", type=PlaceType(), metavar="TOPIC/PARTITION/OFFSET")
@_reason
@plain_errors(SendError, TopicError)
def show(at: Place, reason: str) -> None:
    """Write one rejected record, byte for byte as it came, to standard output.

    It may hold personal data. First a line with the time, your login name, the record's place and the reason
    goes to <data_dir>/reveal-audit.ndjson; when it cannot be written, nothing is shown.
    """
    settings, keyring = load_settings(), load_keyring()
    rejection = asyncio.run(find(settings, at))
    if rejection is None:
        raise click.ClickException(
            f"nothing from {at} is in the rejected topic; see `parcelwatch rejected list`"
        )
    write_audit(
        settings.data_dir, action="rejected show", reason=reason, carrier=rejection.carrier, records=[str(at)]
    )
    click.get_binary_stream("stdout").write(keyring.unseal(rejection.raw()))


@command.command("readmit")
@click.option("--reason-code", "code", help="All that were rejected for this reason.")
@click.option(
    "--id", "ids", type=PlaceType(), multiple=True, help="This one: TOPIC/PARTITION/OFFSET. Repeatable."
)
@click.option("--all", "everything", is_flag=True, help="All that are rejected.")
@_reason
@plain_errors(SendError, TopicError)
def readmit_(code: str | None, ids: tuple[Place, ...], everything: bool, reason: str) -> None:
    """Send rejected records back to the topics they came from, where admit reads them anew.

    For when the cause was on this side and is mended: a key that was missing, a format that is read now. What
    is still wrong is rejected again, under its new place. A record is readmitted once; audited like `show`.
    """
    if (code is not None) + bool(ids) + everything != 1:
        raise click.UsageError(
            "say which: --reason-code CODE, --id TOPIC/PARTITION/OFFSET (repeatable), or --all"
        )
    settings, keyring = load_settings(), load_keyring()
    state = asyncio.run(standing(settings))
    if missing := [str(at) for at in ids if at not in state.open]:
        raise click.ClickException(
            f"not rejected, or readmitted already: {', '.join(missing)}; nothing was sent"
        )
    wanted = list(ids) or [at for at, r in state.open.items() if everything or r.reason == code]
    if wanted:
        places = [str(at) for at in wanted]
        write_audit(settings.data_dir, action="rejected readmit", reason=reason, records=places)
        done = asyncio.run(readmit(settings, keyring, wanted))
        for at, why in done.kept.items():
            click.echo(f"{at} stays rejected: {why}", err=True)
        click.echo(f"{done.sent} readmitted, {len(done.kept)} not")
        if done.sent < len(wanted):
            raise click.exceptions.Exit(1)
    else:
        click.echo(f"0 readmitted: nothing is rejected{f' for {code}' if code else ''}")
