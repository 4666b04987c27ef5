"""`parcelwatch suppress`: alerts that are kept but told to nobody, for a while."""

from __future__ import annotations

import click

from streams.commands import switches
from streams.commands.decision import by, carrier, errors, why

_detector = click.option(
    "--detector", metavar="NAME", help="Which detector's alerts, e.g. off_hours. Default: all but honeytoken."
)


@click.group()
def command() -> None:
    """Keep known alerts from being told, for a while.

    A suppressed alert is made as ever, stands in the topic `alerts` with status Suppressed, and is told to no
    receiver. The person's risk grows meanwhile as it would without. A honeytoken cannot be suppressed, neither by
    name nor by a suppression of all a person's alerts.

    Every suppression ends by itself, at most 90 days ahead. Until is event time: the moment in the carriers' logs.
    Who gave it, and why, stays in the topic `control` for ever.

    \b
    Examples:
      $ parcelwatch suppress add --carrier vnx --detector off_hours --until 7d --why "stocktaking at night, CHG-77"
      $ parcelwatch suppress add --carrier vnx --actor k1.23WGjoGHXqIF2HkFGmDVl_zGwvr3Qw --until 2026-12-01
            --why "audit of claims, case 812"
      $ parcelwatch suppress lift --carrier vnx --detector off_hours --why "done early"
      $ parcelwatch suppress list
    """


@command.command()
@switches.actor
@_detector
@carrier
@switches.until
@why
@by
@errors
def add(actor: str | None, detector: str | None, carrier: str, until: str, why: str, by: str | None) -> None:
    """Suppress the alerts of a person, of a detector, or of that detector on that person.

    Give --actor, --detector, or both. One given before for the same scope is replaced.
    """
    switches.give("suppress", carrier, actor or "", detector or "", until, why, by)


@command.command()
@switches.actor
@_detector
@carrier
@why
@by
@errors
def lift(actor: str | None, detector: str | None, carrier: str, why: str, by: str | None) -> None:
    """End a suppression before its time.

    Give --actor and --detector exactly as it was given: one on a person and a detector is another than one on the
    person alone. What was suppressed meanwhile is not told afterwards; it is in the topic `alerts`.
    """
    switches.lift("suppress", carrier, actor or "", detector or "", why, by)


@command.command("list")
@click.option("--carrier", help="Only this carrier's.")
@click.option(
    "--ended", type=click.IntRange(0), default=20, show_default=True, help="Of the ended, so many newest."
)
@errors
def list_(carrier: str | None, ended: int) -> None:
    """Show what is suppressed now, and what was: for whom, until when, by whom and why."""
    switches.show("suppress", carrier, ended)
