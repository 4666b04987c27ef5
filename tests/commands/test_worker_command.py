"""`parcelwatch worker` says in one line what keeps it from starting."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.privacy.filelock import file_lock
from streams.privacy.tokens import Keyring


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Keys, and no broker: what is tested fails before one is asked."""
    Keyring().save(tmp_path / "keys.toml")
    return {
        "PARCELWATCH_KEYS_FILE": str(tmp_path / "keys.toml"),
        "PARCELWATCH_DATA_DIR": str(tmp_path / "data"),
        "PARCELWATCH_BROKER": "127.0.0.1:1",
    }


def test_a_data_folder_that_cannot_be_written_to_is_named(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    result = CliRunner().invoke(main, ["worker"], env=environment)
    assert result.exit_code == 1
    assert "setting data_dir" in result.output
    assert "set PARCELWATCH_DATA_DIR" in result.output


def test_two_workers_never_share_a_data_folder(environment: dict[str, str], tmp_path: Path) -> None:
    with file_lock(tmp_path / "data" / "worker" / "lock", timeout=0):
        result = CliRunner().invoke(main, ["worker"], env=environment)
    assert result.exit_code == 1
    assert "another worker uses it" in result.output
