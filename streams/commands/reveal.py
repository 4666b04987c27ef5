"""`parcelwatch reveal`: from token to clear id, with the reason logged."""

from __future__ import annotations

import click

from streams.commands.common import load_keyring, plain_errors
from streams.privacy.audit import write_audit
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import looks_like_token
from streams.settings import load_settings


@click.command()
@click.argument("tokens", nargs=-1, required=True, metavar="TOKEN...")
@click.option("--carrier", required=True, help="Carrier code the tokens belong to, as in the alert.")
@click.option("--reason", required=True, help="Why you need to know, e.g. the number of the case.")
@plain_errors()
def command(tokens: tuple[str, ...], carrier: str, reason: str) -> None:
    """Print the staff or parcel id behind each TOKEN: one line `kind<TAB>id` a token, in the order given.

    Before anything is revealed, a line with the time, your login name, the tokens and the reason goes to
    <data_dir>/reveal-audit.ndjson; when it cannot be written, nothing is revealed. The ids themselves are not
    logged.

    \b
    Example:
      $ parcelwatch reveal k1.zUWsn7pwkUjqzZAaUPQFsWESksu3KFqo0w --carrier vnx --reason "case 812"
      staff   nv0231
    """
    for number, token in enumerate(tokens, 1):
        # Before the audit: a clear id pasted by mistake must not end up in it.
        if not looks_like_token(token):
            raise KeyringError(
                f"argument {number} is no token; copy it whole from the alert, `<key id>.<text>`"
            )
    keyring = load_keyring()
    write_audit(load_settings().data_dir, action="reveal", reason=reason, carrier=carrier, tokens=tokens)
    failed = False
    for number, token in enumerate(tokens, 1):
        try:
            kind, clear = keyring.reveal(carrier, token)
        except KeyringError as exc:
            failed = True
            click.echo(f"token {number}: {exc}", err=True)
        else:
            click.echo(f"{kind}\t{clear}")
    if failed:
        raise click.exceptions.Exit(1)
