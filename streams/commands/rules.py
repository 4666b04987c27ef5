"""`parcelwatch rules`: an organisation's own Sigma rules: checked, tried on their examples, loaded in the stream."""

from __future__ import annotations

from pathlib import Path

import click

from detectors.sigma import MOST_ROWS, PREFIX, Engine, RuleSet, rows_needed
from streams.commands import decision
from streams.commands.common import plain_errors, plain_settings
from streams.commands.decision import add_row, by, carrier, errors, new_table, print_table, shown, why
from streams.kafka.control import ControlError, Entry, moment, new_record
from streams.rules.examples import examples, run
from streams.rules.parse import Loaded, load
from streams.rules.source import RuleError
from streams.settings import Settings

folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
plain = plain_errors(RuleError)
#: Characters of a hash that are shown.
SHOWN = 12


@click.group()
def command() -> None:
    """Your own rules, in Sigma: check them, try them on their examples, load them without a restart.

    DIR is a folder of .yml files, or one file. docs/rules.md says what a rule may look at; deploy/rules has ten to
    begin with. Needs the extra `sigma`: pip install 'parcelwatch[sigma]'.

    \b
    Example:
      $ parcelwatch rules check deploy/rules
      $ parcelwatch rules test deploy/rules
      $ parcelwatch rules load deploy/rules --carrier vnx --why "our first rules"
      $ parcelwatch rules list
    """


@command.command()
@folder
@plain
def check(folder: Path) -> None:
    """Validate the rules of DIR: every fault with file, line and how to mend it."""
    loaded = load(folder)
    bare = [
        rule.name for rule in loaded.rules.rules if rule.output and not examples(loaded.documents[rule.name])
    ]
    if bare:
        click.echo(f"without an example: {', '.join(bare)}; docs/rules.md shows how to write one", err=True)
    click.echo(_sum(loaded.rules))


@command.command()
@folder
@click.option("--verbose", "-v", is_flag=True, help="Show the examples that pass too.")
@plain
def test(folder: Path, verbose: bool) -> None:
    """Hold every rule of DIR against the match and no-match examples it carries; exit 1 when one fails."""
    loaded = load(folder)
    results = run(loaded)
    for one in results:
        if verbose or not one.passed:
            wanted = "match" if one.example.match else "no match"
            got = f"matched {one.touches:,} touches" if one.got else "did not match"
            click.echo(
                f"{'passed' if one.passed else 'FAILED'}  {one.rule}: {one.example.name}: {wanted}, {got}"
            )
    failed = sum(not one.passed for one in results)
    click.echo(f"{len(results):,} examples, {failed:,} failed")
    if failed:
        raise SystemExit(1)
    if not results:
        raise click.ClickException("no rule carries an example; docs/rules.md shows how to write one")


@command.command("load")
@folder
@carrier
@why
@by
@plain
@errors
def load_(folder: Path, carrier: str, why: str, by: str | None) -> None:
    """Load the rules of DIR for a carrier, in place of those it had; workers need no restart.

    They are sent only if each is without fault and passes its own examples. They travel in the stream, so that a
    replay meets them where they took effect.
    """
    loaded = load(folder)
    if failed := [one for one in run(loaded) if not one.passed]:
        names = ", ".join(dict.fromkeys(one.rule for one in failed))
        raise ControlError(f"rules: examples of {names} fail; see `parcelwatch rules test {folder}`")
    settings = plain_settings()
    decision.check_carrier(decision.keyring_at_hand(settings), carrier)
    _say_changes(settings, carrier, loaded)
    _send(settings, carrier, loaded.rules, loaded.rules.version(), why, by)


@command.command()
@carrier
@why
@by
@errors
def unload(carrier: str, why: str, by: str | None) -> None:
    """Take all rules of a carrier out of the stream; detectors go on as ever."""
    settings = plain_settings()
    if not _standing(settings).get(carrier):
        raise ControlError(f"rules: none are loaded for {carrier}; see `parcelwatch rules list`")
    _send(settings, carrier, None, "off", why, by)


@command.command("list")
@click.option("--carrier", help="Only this carrier's.")
@errors
def list_(carrier: str | None) -> None:
    """Show which rules are loaded, since when, by whom and why."""
    settings = plain_settings()
    table = new_table("carrier", "rule", "level", "alerts", "version", "title", "since", "by", "why")
    count = 0
    for code, entry in sorted(_standing(settings).items()):
        record = entry.record
        if record.rules is None or carrier not in (None, code):
            continue
        since = shown(moment(record.time), decision.zone_of(settings, code))
        for name, live in Engine(record.rules).live.items():
            rule = live.rule
            alerts = f"as {PREFIX}{name}" if rule.output else "feeds others"
            add_row(table, code, name, rule.level, alerts, live.key, rule.title, since, record.by, record.why)
            count += 1
    if count:
        print_table(table)
    click.echo(f"{count:,} rules loaded")


def _standing(settings: Settings) -> dict[str, Entry]:
    """The record that gave each carrier the rules it has; none for a carrier whose rules were unloaded."""
    found: dict[str, Entry] = {}
    for entry in decision.read(settings):
        if entry.record.kind == "rules":
            found[entry.record.carrier] = entry
    return {code: entry for code, entry in found.items() if entry.record.rules is not None}


def _say_changes(settings: Settings, carrier: str, loaded: Loaded) -> None:
    before = _standing(settings).get(carrier)
    old = Engine(before.record.rules).live if before is not None and before.record.rules else {}
    new = Engine(loaded.rules).live
    for word, names in (
        ("new", [name for name in new if name not in old]),
        ("changed", [name for name in new if name in old and new[name].tag != old[name].tag]),
        ("no longer loaded", [name for name in old if name not in new]),
    ):
        if names:
            click.echo(f"{word}: {', '.join(names)}")


def _send(
    settings: Settings, carrier: str, rules: RuleSet | None, value: str, why: str, by: str | None
) -> None:
    record = new_record(
        "rules", carrier, decision.now(), rules=rules, value=value, by=decision.decided_by(by),
        why=decision.reason(why),
    )  # fmt: skip
    done = f"rules of {carrier}: {_sum(rules)}" if rules else f"rules of {carrier}: none any more"
    decision.publish(settings, record, decision.zone_of(settings, carrier), done)


def _sum(rules: RuleSet) -> str:
    told = sum(rule.output for rule in rules.rules)
    return (
        f"{len(rules.rules):,} rules, {told:,} of them alert; their windows hold at most {rows_needed(rules):,} of "
        f"{MOST_ROWS:,} rows a person; version {rules.version()[:SHOWN]}"
    )
