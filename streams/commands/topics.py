"""`parcelwatch topics`: create, check and describe the topics, and the rights on them."""

from __future__ import annotations

import click

from streams.commands.common import plain_settings
from streams.flow.topics import TopicSpec, topic_specs
from streams.kafka.rights import ROLES, Role, grant_script
from streams.kafka.topic_admin import TopicError, TopicState, check_topics, ensure_topics


@click.group("topics")
def command() -> None:
    """Create, check or describe every topic parcelwatch needs, and list the rights on them.

    How many partitions and replicas they get is set by PARCELWATCH_PARTITIONS and PARCELWATCH_REPLICATION,
    the broker by PARCELWATCH_BROKER. The number of partitions is fixed for the life of a deployment: it
    decides where each person's history is.

    \b
    Example:
      parcelwatch topics describe
      PARCELWATCH_BROKER=kafka-1:9092 PARCELWATCH_REPLICATION=3 parcelwatch topics create
      parcelwatch topics check && echo all well
    """


@command.command()
def create() -> None:
    """Create the topics that are missing.

    Safe to repeat. Topics that exist are never altered; when one of them is such that data would be lost,
    it is named with the remedy, and the exit code is 1. `worker` and `demo` do the same when they start.
    """
    settings = plain_settings()
    try:
        created = ensure_topics(settings)
    except TopicError as exc:
        raise click.ClickException(str(exc)) from None
    for name in created:
        click.echo(f"created {name}")
    total = len(topic_specs(settings))
    click.echo(f"{len(created)} created, {total - len(created)} were there already, on {settings.broker}")


@command.command()
def check() -> None:
    """Compare every topic with how it must be; exit code 1 when any is not.

    Compared are the number of partitions, the replicas, and each setting that parcelwatch relies on.
    Longer retention and larger messages than asked for are fine. Each difference comes with its remedy.
    """
    settings = plain_settings()
    try:
        states = check_topics(settings)
    except TopicError as exc:
        raise click.ClickException(str(exc)) from None
    for state in states:
        _show_state(state)
    bad = sum(bool(state.problems) for state in states)
    click.echo(f"{len(states) - bad} of {len(states)} topics on {settings.broker} are as needed")
    if bad:
        raise SystemExit(1)


@command.command()
def describe() -> None:
    """Say what each topic is for, and how it must exist. Asks no broker."""
    settings = plain_settings()
    for spec in topic_specs(settings):
        _show_spec(spec, settings.replication)


@command.command()
@click.argument("role", type=click.Choice(list(ROLES)))
@click.option("--user", help="Name the user logs in by. Default: the role's name after parcelwatch-.")
def acls(role: Role, user: str | None) -> None:
    """Print the commands that grant ROLE what it needs on the broker, and no more.

    They call Kafka's own kafka-acls.sh; ADMIN names a properties file with which an administrator of the
    cluster logs in. Give every role a user of its own. Asks no broker.

    \b
    Example:
      parcelwatch topics acls worker --user parcelwatch-worker > grant.sh
      ADMIN=admin.properties sh -e grant.sh
    """
    for line in grant_script(plain_settings(), role, user or f"parcelwatch-{role}"):
        click.echo(line)


def _show_state(state: TopicState) -> None:
    if not state.problems:
        colour, word, detail = "green", "ok", f"{state.partitions} partitions, {state.replication} replicas"
    else:
        colour, word, detail = "red", "bad", "; ".join(problem.text for problem in state.problems)
    click.echo(f"{click.style(f'{word:<4}', fg=colour)}{state.spec.name:<36} {detail}")
    for problem in state.problems:
        click.echo(f"      remedy: {problem.remedy}")


def _show_spec(spec: TopicSpec, replication: int) -> None:
    click.secho(spec.name, bold=True)
    click.echo(f"  {spec.purpose}")
    config = "".join(f", {key}={value}" for key, value in spec.config.items())
    click.echo(f"  {spec.partitions} partitions, {replication} replicas{config}")
