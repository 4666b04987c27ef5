"""`parcelwatch keys`: the key ring behind the tokens."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import load_keyring, plain_errors
from streams.privacy.tokens import Keyring
from streams.settings import load_settings


@click.group()
def command() -> None:
    """Make and rotate the keys behind the tokens.

    The ring is one TOML file, <data_dir>/keys.toml unless PARCELWATCH_KEYS_FILE names another, readable by
    its owner alone. Back it up apart from the data: without it no alert can be traced to a person, and with
    it every one can.

    \b
    Example:
      $ parcelwatch keys init
      $ parcelwatch keys add vnx
    """


@command.command()
@plain_errors()
def init() -> None:
    """Make a new key ring with a key that seals rejected records, and no carriers yet.

    An existing ring is never overwritten.
    """
    path = load_settings().keys_path
    Keyring().save(path)
    click.echo(f"made {path}; add each carrier with `parcelwatch keys add CARRIER`")


@command.command()
@click.argument("carrier")
@plain_errors()
def add(carrier: str) -> None:
    """Make the first key of CARRIER, as its events spell it. Without a key its records are rejected."""
    ring = load_keyring()
    key_id = ring.add_carrier(carrier)
    ring.save(load_settings().keys_path)
    click.echo(f"carrier {carrier!r} has key {key_id}; restart the workers to use it")


@command.command()
@click.argument("carrier", required=False)
@click.option(
    "--seal", is_flag=True, help="Rotate the key that seals rejected records instead of a carrier's."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@plain_errors()
def rotate(carrier: str | None, seal: bool, yes: bool) -> None:
    """Make a new active key for CARRIER. The old one stays, so old tokens can still be revealed.

    Under the new key every person and parcel has a new token, so what was learnt of them under the old one is
    not known of the new: baselines start anew. Rotate when a key may have leaked, not by the calendar.
    """
    if seal == (carrier is not None):
        raise click.UsageError("name a CARRIER, or give --seal, one of the two")
    ring = load_keyring()
    if carrier is None:
        key_id = ring.rotate_seal()
    else:
        key_id = ring.rotate(carrier)
        if not yes:
            click.confirm(
                f"Every token of {carrier!r} changes, and its baselines start anew. Rotate?", abort=True
            )
    ring.save(load_settings().keys_path)
    click.echo(
        f"the {'sealing' if carrier is None else repr(carrier)} key is now {key_id}; restart the workers"
    )


@command.command("list")
@plain_errors()
def list_() -> None:
    """Show the id, age and use of every key; never a key."""
    table = Table("carrier", "key", "created", "use", box=None)
    for key in load_keyring().describe():
        carrier = "(sealing of rejected records)" if key.carrier is None else key.carrier
        table.add_row(
            carrier, key.key_id, f"{key.created:%Y-%m-%d %H:%M}Z", "active" if key.active else "old"
        )
    Console(highlight=False, markup=False).print(table)
