"""What tests of commands that read a key ring share."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.privacy.tokens import Keyring
from tests.console import Run


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a key ring for carrier vnx."""
    data = tmp_path / "data"
    ring = Keyring()
    ring.add_carrier("vnx")
    ring.save(data / "keys.toml")
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(data))
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    return data


@pytest.fixture
def ring(data: Path) -> Keyring:
    """The key ring of the data folder."""
    return Keyring.load(data / "keys.toml")


@pytest.fixture
def run(data: Path) -> Run:
    """Runs a command over the data folder."""
    return lambda *args: CliRunner().invoke(main, args)
