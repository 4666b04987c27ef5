"""What several commands do the same way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from streams.history.files import FileError
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


def progress_bar() -> Progress:
    """A bar on the terminal for work whose size is known; nothing where errors go elsewhere."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


@contextmanager
def replacing(path: Path | None) -> Iterator[IO[bytes]]:
    """A file that bears its name only once it is whole; what is written to None is dropped.

    Raises:
        FileError: it cannot be written.
    """
    part = Path("/dev/null") if path is None else path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        if path is not None:
            part.replace(path)
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}; name another place") from None
    finally:
        if path is not None:
            part.unlink(missing_ok=True)
