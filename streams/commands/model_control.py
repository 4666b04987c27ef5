"""`parcelwatch model shadow|promote|rollback|off`: which model scores a carrier's people, switched in the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streams.commands import decision
from streams.commands.common import plain_settings
from streams.commands.decision import by, carrier, errors, why
from streams.commands.model import command
from streams.kafka.control import ControlError, new_record
from streams.kafka.decisions import Models, models
from streams.settings import Settings

if TYPE_CHECKING:
    from models.registry import Registry

#: Characters of a SHA-256 that are shown.
SHOWN = 12


@command.command()
@click.argument("sha")
@carrier
@why
@by
@errors
def shadow(sha: str, carrier: str, why: str, by: str | None) -> None:
    """Let the model SHA score a carrier's people without a say: it alerts nobody.

    SHA is the model's SHA-256, or its first 8 characters or more. The model that is active stays active. A model
    that does not load here is refused; the workers need the same file in their models folder.

    \b
    Example:
      $ parcelwatch model shadow 5d1f0c9ab2e4 --carrier vnx --why "trained on October and November"
    """
    settings, sha, standing = _prepare(sha, carrier)
    if sha == standing.shadow:
        raise ControlError(f"model: {sha} is in shadow for {carrier} already")
    if sha == standing.active:
        raise ControlError(
            f"model: {sha} is active for {carrier}: what has a say is not tried out beside itself"
        )
    _switch(settings, carrier, f"shadow:{sha}", why, by)


@command.command()
@click.argument("sha")
@carrier
@why
@by
@errors
def promote(sha: str, carrier: str, why: str, by: str | None) -> None:
    """Give the model SHA a say in a carrier's alerts; it takes the place of the one that has it.

    SHA is the model's SHA-256, or its first 8 characters or more. A model that does not load here is refused; the
    workers need the same file in their models folder. Try it out with `model shadow` first.

    \b
    Example:
      $ parcelwatch model promote 5d1f0c9ab2e4 --carrier vnx --why "a week in shadow, 0.4 alerts per 1,000 user-days"
    """
    settings, sha, standing = _prepare(sha, carrier)
    if sha == standing.active:
        raise ControlError(f"model: {sha} is active for {carrier} already")
    if sha != standing.shadow:
        click.echo("it is not in shadow at present: what it would have told of has not been seen", err=True)
    _say_before(standing)
    _switch(settings, carrier, f"active:{sha}", why, by)


@command.command()
@carrier
@why
@by
@errors
def rollback(carrier: str, why: str, by: str | None) -> None:
    """Give the say back to the model that was active before, by the topic `control`.

    A second rollback goes one further back. After `model off`, the one that was switched off is active again.

    \b
    Example:
      $ parcelwatch model rollback --carrier vnx --why "alerts on every counter clerk"
    """
    settings = plain_settings()
    standing = _standing(settings, carrier)
    if not standing.rollback:
        raise ControlError(
            f"model: none was active for {carrier} before{' this one' * bool(standing.active)}; "
            "`parcelwatch model off` leaves the detectors alone to decide"
        )
    _load(_registry(settings), standing.rollback, carrier)
    _say_before(standing)
    _switch(settings, carrier, f"active:{standing.rollback}", why, by)


@command.command()
@carrier
@why
@by
@errors
def off(carrier: str, why: str, by: str | None) -> None:
    """Take the say from the model that has it: only detectors alert. One in shadow stays there.

    \b
    Example:
      $ parcelwatch model off --carrier vnx --why "drifts since the new hub opened"
    """
    settings = plain_settings()
    standing = _standing(settings, carrier)
    if not standing.active:
        raise ControlError(f"model: none is active for {carrier}")
    _say_before(standing)
    _switch(settings, carrier, "off", why, by)


def _prepare(begin: str, carrier: str) -> tuple[Settings, str, Models]:
    """Settings, whole SHA-256 of a model that loads, and which models the carrier has."""
    settings = plain_settings()
    registry = _registry(settings)
    sha = _load(registry, begin, carrier)
    return settings, sha, _standing(settings, carrier)


def _standing(settings: Settings, carrier: str) -> Models:
    decision.check_carrier(decision.keyring_at_hand(settings), carrier)
    return models(decision.read(settings), carrier)


def _registry(settings: Settings) -> Registry:
    # Here and not above: scikit-learn takes a second to import, and --help needs none of it.
    from models.registry import Registry

    return Registry(settings.models_path)


def _load(registry: Registry, begin: str, carrier: str) -> str:
    from models.registry import ModelError

    try:
        sha = registry.find(begin)
        carriers = registry.load(sha).day.trained_on.carriers
    except ModelError as exc:
        raise ControlError(f"model: {exc}") from None
    if carriers and carrier not in carriers:
        click.echo(f"it was trained on {', '.join(carriers)}, not on {carrier}", err=True)
    return sha


def _say_before(standing: Models) -> None:
    if standing.active:
        click.echo(f"takes the say from {standing.active[:SHOWN]}")


def _switch(settings: Settings, carrier: str, value: str, why: str, by: str | None) -> None:
    record = new_record(
        "model", carrier, decision.now(), value=value, by=decision.decided_by(by), why=decision.reason(why)
    )
    decision.publish(settings, record, decision.zone_of(settings, carrier), f"model of {carrier}: {value}")
