"""What several commands do the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from streams.privacy.audit import AuditError
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import Keyring
from streams.settings import Settings, SettingsError, load_settings


@contextmanager
def plain_errors(*also: type[Exception]) -> Iterator[None]:
    """End the command with one line that says what, where and the remedy; for blocks and functions.

    Args:
        also: errors whose text does so, besides those of audit, key ring and settings.
    """
    plain: tuple[type[Exception], ...] = (AuditError, KeyringError, SettingsError, *also)
    try:
        yield
    except plain as exc:
        raise click.ClickException(str(exc)) from None


def plain_settings() -> Settings:
    """The settings; when they cannot be used the command ends with one line that says why."""
    with plain_errors():
        return load_settings()


def load_keyring() -> Keyring:
    """The key ring the settings name. Raises KeyringError or SettingsError."""
    return Keyring.load(load_settings().keys_path)
