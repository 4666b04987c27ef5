"""`parcelwatch doctor`: everything an on-call engineer asks first."""

from __future__ import annotations

import dataclasses

import click
import orjson

from streams.commands.decision import printable
from streams.doctor import Check, Status, examine
from streams.doctor.check import red
from streams.settings import SettingsError, load_settings


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines, for scripts.")
def command(as_json: bool) -> None:
    """Check everything an on-call engineer asks first, and say what to do.

    Looks at the settings, the broker, the topics, who consumes them and how far behind, the worker of this
    machine and its last checkpoint, the data folder and its disk, the keys, every receiver and its
    deliveries. Ends within ten seconds, also when everything is down. Changes nothing, and shows no key
    and no secret.

    Exit code 0 when all is green or yellow, 1 when anything is red.

    \b
    Example:
      parcelwatch doctor
      parcelwatch doctor --json | jq '.checks[] | select(.status != "green")'
    """
    try:
        settings = load_settings()
    except SettingsError as exc:
        checks = [red("settings", str(exc), "correct the setting; nothing else can be looked at before")]
    else:
        checks = examine(settings, settings.outbox_path)
    worst = max((check.status for check in checks), key=list(Status).index)
    if as_json:
        listed = [dataclasses.asdict(check) for check in checks]
        click.echo(orjson.dumps({"status": worst, "checks": listed}, option=orjson.OPT_INDENT_2))
    else:
        for check in checks:
            _show(check)
    if worst is Status.RED:
        raise SystemExit(1)


def _show(check: Check) -> None:
    status = click.style(f"{check.status:<7}", fg=check.status)
    # Names and details may hold a carrier code as anybody wrote it to the topic control.
    click.echo(f"{status}{printable(check.name):<22} {printable(check.detail)}")
    if check.remedy:
        click.echo(f"{'':<30}remedy: {check.remedy}")
