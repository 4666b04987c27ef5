"""`parcelwatch watch`: people whose doings weigh double, for a while."""

from __future__ import annotations

import click

from streams.commands import switches
from streams.commands.decision import by, carrier, errors, why


@click.group()
def command() -> None:
    """Look more closely at a person, for a while.

    Detectors tell of a watched person at half of what they need with others, and what they find counts double for
    the risk. No alert says that a person is watched.

    Every watch ends by itself, at most 90 days ahead. Until is event time: the moment in the carriers' logs. Who
    gave it, and why, stays in the topic `control` for ever.

    \b
    Examples:
      $ parcelwatch watch add --carrier vnx --actor k1.23WGjoGHXqIF2HkFGmDVl_zGwvr3Qw --until 30d --why "gave notice"
      $ parcelwatch watch lift --carrier vnx --actor k1.23WGjoGHXqIF2HkFGmDVl_zGwvr3Qw --why "stays after all"
      $ parcelwatch watch list
    """


@command.command()
@switches.actor
@carrier
@switches.until
@why
@by
@errors
def add(actor: str | None, carrier: str, until: str, why: str, by: str | None) -> None:
    """Watch a person; one given before for the same person is replaced."""
    switches.give("watch", carrier, actor or "", "", until, why, by)


@command.command()
@switches.actor
@carrier
@why
@by
@errors
def lift(actor: str | None, carrier: str, why: str, by: str | None) -> None:
    """End a watch before its time."""
    switches.lift("watch", carrier, actor or "", "", why, by)


@command.command("list")
@click.option("--carrier", help="Only this carrier's.")
@click.option(
    "--ended", type=click.IntRange(0), default=20, show_default=True, help="Of the ended, so many newest."
)
@errors
def list_(carrier: str | None, ended: int) -> None:
    """Show who is watched now, and who was: until when, by whom and why."""
    switches.show("watch", carrier, ended)
