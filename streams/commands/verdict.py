"""`parcelwatch verdict`: what an alert turned out to be, and what that says of the detectors."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import orjson

from streams.commands import decision
from streams.commands.common import plain_settings, replacing
from streams.commands.decision import add_row, by, errors, new_table, print_table, shown, why
from streams.flow.control import VERDICTS, ControlRecord
from streams.kafka.alert_log import Episode, find_episode, read_episodes
from streams.kafka.control import moment, new_record
from streams.kafka.decisions import MATURE, NEARLY, latest_verdicts, report
from streams.settings import Settings

_UID_LIKE = re.compile(r"[0-9a-f]+(?:-[0-9]+)?")
_carrier = click.option("--carrier", help="Only this carrier's.")
_since = click.option(
    "--since",
    metavar="TIME|7d",
    help="Only verdicts given since: a span such as 12h, 7d or 4w back from now, or a date or time (UTC, or the "
    "carrier's time with --carrier).",
)


class VerdictCommand(click.Group):
    """A group where `parcelwatch verdict ALERT_UID ...` is short for `parcelwatch verdict give ALERT_UID ...`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and _UID_LIKE.fullmatch(args[0]):
            args = ["give", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=VerdictCommand)
def command() -> None:
    """Say what an alert turned out to be, and see how good each detector is by that.

    \b
    true_positive    a leak, or an attempt
    false_positive   the alert was wrong: what it says did not happen like that, or is nothing unusual
    benign           it happened, and there was a good reason

    A verdict gives `verdict report` its figures and `parcelwatch train --verdicts` its examples. It changes no
    alert, but the person's risk: false_positive and benign take the points of that detector away, true_positive
    doubles them. The latest verdict on an alert counts; earlier ones stay in the topic `control`, for ever.

    \b
    Examples:
      $ parcelwatch verdict 0900774f true_positive --why "case 812: list found at a call centre"
      $ parcelwatch verdict list --carrier vnx --since 30d
      $ parcelwatch verdict list --out verdicts.ndjson
      $ parcelwatch verdict report
    """


@command.command()
@click.argument("alert_uid")
@click.argument("verdict", type=click.Choice(VERDICTS))
@why
@by
@errors
def give(alert_uid: str, verdict: str, why: str, by: str | None) -> None:
    """Judge the alert ALERT_UID; `give` may be left out.

    ALERT_UID is finding_info.uid of the alert, its first 8 characters or more, or the id of one of its
    messages (`webhook-id`). Carrier, person and detector are taken from the alert, which must still be in the
    topic `alerts` (it keeps a year).
    """
    settings = plain_settings()
    episode = find_episode(settings, alert_uid)
    record = new_record(
        "verdict", episode.carrier, decision.now(), actor=episode.actor, detector=episode.detector,
        alert=episode.uid, value=verdict, by=decision.decided_by(by), why=decision.reason(why),
    )  # fmt: skip
    zone = decision.zone_of(settings, episode.carrier, episode.utc_offset)
    click.echo(
        f"{episode.detector}, {episode.severity}, alert {episode.uid} of {episode.actor} ({episode.carrier})"
    )
    click.echo(f"{shown(_at(episode.start), zone)} to {shown(_at(episode.end), zone)}: {episode.message}")
    if before := latest_verdicts(decision.read(settings)).get(episode.uid):
        click.echo(f"takes the place of {before.value} by {before.by} of {shown(moment(before.time), zone)}")
    decision.publish(settings, record, zone, f"verdict: {verdict}")


@command.command("list")
@_carrier
@_since
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write them there as NDJSON, for `parcelwatch train --verdicts`.",
)
@errors
def list_(carrier: str | None, since: str | None, out: Path | None) -> None:
    """Show the verdict that counts on each alert, oldest first.

    The NDJSON has the fields of the control record, and start_time and end_time of the alert in ms. A verdict
    whose alert is no longer in the topic `alerts` has no times; it is left out of the file and counted.
    """
    settings = plain_settings()
    verdicts = _verdicts(settings, carrier, since)
    episodes, _ = read_episodes(settings, verdicts.__contains__)
    if out is not None:
        with replacing(out) as file:
            for uid, record in verdicts.items():
                if uid in episodes:
                    file.write(_line(record, episodes[uid]))
        written = len(verdicts.keys() & episodes.keys())
        click.echo(f"{written:,} verdicts written to {out}")
        if missing := len(verdicts) - written:
            click.echo(f"{missing:,} left out: their alerts are no longer in the topic alerts", err=True)
        return
    table = new_table("given", "verdict", "alert", "detector", "person", "carrier", "from", "to", "by", "why")
    for uid, record in verdicts.items():
        episode = episodes.get(uid)
        zone = decision.zone_of(settings, record.carrier, episode.utc_offset if episode else None)
        times = [shown(_at(ms), zone) for ms in (episode.start, episode.end)] if episode else ["(gone)", ""]
        given = shown(moment(record.time), zone)
        add_row(
            table,
            given, record.value, uid, record.detector, decision.person(record.actor), record.carrier, *times,
            record.by, record.why,
        )  # fmt: skip
    if verdicts:
        print_table(table)
    click.echo(f"{len(verdicts):,} verdicts")


@command.command("report")
@_carrier
@_since
@errors
def report_(carrier: str | None, since: str | None) -> None:
    """Show by detector how many of its alerts were judged, and its false-positive ratio.

    \b
    alerts     episodes in the topic `alerts`, suppressed ones too
    FP ratio   false-positive ratio: the share of false and benign ones among the judged, with its 95 % interval
    mark       mature: the interval ends below 15 %; not mature: it begins above 10 %

    Benign counts as false here: it took an analyst as much time. Judge a fair sample; who only judges what
    looks wrong gets a ratio that is too high.
    """
    settings = plain_settings()
    verdicts = _verdicts(settings, carrier, since)
    episodes, unreadable = read_episodes(settings)
    if carrier is not None:
        episodes = {uid: episode for uid, episode in episodes.items() if episode.carrier == carrier}
    standings = report(verdicts, episodes)
    table = new_table("detector", "alerts", "judged", "true", "false", "benign", "FP ratio", "95 %", "mark")
    for column in table.columns[1:-1]:
        column.justify = "right"
    for one in standings:
        low, high = one.interval
        ratio, span = ("", "") if one.ratio is None else (f"{one.ratio:.0%}", f"{low:.0%} to {high:.0%}")
        numbers = (one.alerts, one.judged, one.true, one.false, one.benign)
        add_row(table, one.detector, *(f"{number:,}" for number in numbers), ratio, span, one.mark)
    if standings:
        print_table(table)
    judged = sum(one.judged for one in standings)
    click.echo(
        f"{sum(one.alerts for one in standings):,} alerts, {judged:,} judged; "
        f"a detector is mature below {MATURE:.0%} to {NEARLY:.0%}"
    )
    if unreadable:
        click.echo(f"{unreadable:,} records of the topic alerts are no alerts; who writes there?", err=True)


def _verdicts(settings: Settings, carrier: str | None, since: str | None) -> dict[str, ControlRecord]:
    zone = decision.zone_of(settings, carrier or "")
    start = decision.moment(since, "--since", -1, zone, decision.now()) if since else None
    return {
        uid: record
        for uid, record in latest_verdicts(decision.read(settings)).items()
        if carrier in (None, record.carrier) and (start is None or moment(record.time) >= start)
    }


def _line(record: ControlRecord, episode: Episode) -> bytes:
    fields = msgspec.to_builtins(record)
    return orjson.dumps(
        {**fields, "start_time": episode.start, "end_time": episode.end}, option=orjson.OPT_APPEND_NEWLINE
    )


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
