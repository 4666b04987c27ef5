"""What `suppress` and `watch` do alike: a decision about people that is given, ends by itself, and can be lifted."""

from __future__ import annotations

import click

from streams.commands import decision
from streams.commands.common import plain_settings
from streams.commands.decision import add_row, new_table, print_table, shown
from streams.flow.control import Kind
from streams.kafka.control import ControlError, moment, new_record, stamp
from streams.kafka.decisions import Switch, scope, switches
from streams.privacy.tokens import looks_like_token

until = click.option(
    "--until",
    required=True,
    metavar="TIME|7d",
    help="When it ends by itself, at most 90 days ahead: a span such as 12h, 7d or 4w, or a date or time (the "
    "carrier's time where settings know its zone, else UTC, unless it has an offset).",
)
actor = click.option(
    "--actor",
    metavar="TOKEN_OR_ID",
    help="Whom: the token of the alert (actor.user.uid), or the staff id, which is sent as a token where the key "
    "ring can be read.",
)
#: In the sentences of `suppress` and `watch`.
DONE = {"suppress": "suppressed", "watch": "watched"}


def give(kind: Kind, carrier: str, actor: str, detector: str, until: str, why: str, by: str | None) -> None:
    """Publish that it is on. Raises what `decision.errors` turns into one line."""
    settings, now = plain_settings(), decision.now()
    ring, zone = decision.keyring_at_hand(settings), decision.zone_of(settings, carrier)
    decision.check_carrier(ring, carrier)
    record = new_record(
        kind, carrier, now, actor=decision.staff_token(ring, carrier, actor), detector=detector, value="on",
        until=stamp(decision.moment(until, "--until", 1, zone, now)),
        by=decision.decided_by(by), why=decision.reason(why),
    )  # fmt: skip
    if record.actor and not looks_like_token(record.actor):
        click.echo(
            f"no key ring can be read at {settings.keys_path}: the staff id goes in clear to the topic control, as "
            "carriers' records do, and admit makes its token",
            err=True,
        )
    for old in switches(decision.read(settings, ring), kind):
        if scope(old.entry.record) == scope(record) and old.state(now) == "in force":
            before = old.entry.record
            click.echo(f"takes the place of the one until {shown(moment(before.until), zone)} by {before.by}")
    whom = _whom(record.actor, detector)
    decision.publish(settings, record, zone, f"{DONE[kind]}: {whom} of {carrier}")


def lift(kind: Kind, carrier: str, actor: str, detector: str, why: str, by: str | None) -> None:
    """Publish that what is in force with exactly this scope is off. Raises as `give`."""
    settings, now = plain_settings(), decision.now()
    ring, zone = decision.keyring_at_hand(settings), decision.zone_of(settings, carrier)
    decision.check_carrier(ring, carrier)
    record = new_record(
        kind, carrier, now, actor=decision.staff_token(ring, carrier, actor), detector=detector, value="off",
        by=decision.decided_by(by), why=decision.reason(why),
    )  # fmt: skip
    given = switches(decision.read(settings, ring), kind)
    if not any(scope(one.entry.record) == scope(record) and one.state(now) == "in force" for one in given):
        raise ControlError(
            f"{kind}: nothing with exactly this scope ({_whom(record.actor, detector)}) is in force for {carrier}; see "
            f"`parcelwatch {kind} list --carrier {carrier}`"
        )
    whom = _whom(record.actor, detector)
    decision.publish(settings, record, zone, f"lifted, no longer {DONE[kind]}: {whom} of {carrier}")


def show(kind: Kind, carrier: str | None, limit: int) -> None:
    """Print what is in force, and after it the newest of what has ended. Raises as `give`."""
    settings, now = plain_settings(), decision.now()
    ring = decision.keyring_at_hand(settings)
    found = [
        one
        for one in switches(decision.read(settings, ring), kind)
        if carrier in (None, one.entry.record.carrier)
    ]
    in_force = [one for one in found if one.state(now) == "in force"]
    over = [one for one in found if one.state(now) != "in force"]
    # Without a limit of zero's own, over[-0:] would be all of them.
    rows = in_force + over[len(over) - min(limit, len(over)) :]
    scoped = ("person", "detector") if kind == "suppress" else ("person",)
    table = new_table("state", *scoped, "carrier", "from", "until", "by", "why", "ended by")
    for one in rows:
        record = one.entry.record
        zone = decision.zone_of(settings, record.carrier)
        whom = [decision.person(record.actor)]
        if kind == "suppress":
            whom.append(record.detector or "all")
        add_row(
            table,
            one.state(now), *whom, record.carrier, shown(moment(record.time), zone),
            shown(moment(record.until), zone), record.by, record.why, _end(one, now_state=one.state(now)),
        )  # fmt: skip
    if rows:
        print_table(table)
    click.echo(f"{len(in_force):,} in force, {len(over):,} ended")


def _end(one: Switch, now_state: str) -> str:
    if one.ended_by is None or now_state == "ended":
        return ""
    return f"{one.ended_by.by}: {one.ended_by.why}"


def _whom(actor: str, detector: str) -> str:
    what = f"alerts of {detector}" if detector else ""
    who = decision.person(actor) if actor or not detector else "everybody"
    return f"{what} on {who}" if what else who
