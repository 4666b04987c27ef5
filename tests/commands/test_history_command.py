"""`parcelwatch history` shows, exports and expires what there is, and says plainly what it cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from detectors.base import Person
from streams.cli import main
from streams.history.archive import Archive
from streams.privacy.filelock import file_lock
from tests.archives import block, touch
from tests.senders import DAY, MONDAY


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARCELWATCH_BROKER", "127.0.0.1:1")
    monkeypatch.setenv("PARCELWATCH_HISTORY_HTTP_PORT", "-1")
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    return tmp_path / "history"


@pytest.fixture
def filled(root: Path) -> Path:
    archive = Archive(root)
    people = [Person("k1.a", "vnx"), Person("k1.b", "a/b\n")]
    for number in range(4):
        row = touch(number + 1, who=number % 2, time=MONDAY + number * DAY)
        archive.add(0, number, block(row, people=people))
    archive.skip_to(0, 9)
    archive.flush()
    return root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["history", *arguments])


def test_list_says_what_there_is_and_what_is_missing(filled: Path) -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = [line.split() for line in result.output.splitlines()]
    assert ["vnx", "2026-03-02", "2026-03-04", "2", "2", "0", "0", "2", "0.0"] in lines
    assert "a/b\\n" in result.output
    assert "missing: actor-log partition 0, offsets 4 to 8" in result.output


def test_read_writes_a_line_a_touch_with_utc_times(filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    assert run("read", "--carrier", "vnx", "--since", "2026-03-03", "--out", str(out)).exit_code == 0
    [line] = out.read_text().splitlines()
    row = json.loads(line)
    assert (row["carrier"], row["day"], row["staff"], row["action"]) == ("vnx", "2026-03-04", "k1.a", "view")
    assert row["time"] == "2026-03-04T00:00:00Z"
    assert run("read").output.count("\n") == 4


def test_read_leaves_no_half_of_a_file(filled: Path, tmp_path: Path) -> None:
    next(iter(filled.glob("touches/*/*/*"))).unlink()
    result = run("read", "--out", str(tmp_path / "out.ndjson"))
    assert result.exit_code == 1
    assert "restore the folder from a backup" in result.stderr
    assert not list(tmp_path.glob("out*"))


def test_expire_says_what_it_removes_and_a_dry_run_removes_nothing(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_HISTORY_DAYS", "1")
    dry = run("expire", "--dry-run")
    assert "2 day folders, 2 rows would be removed; history_days = 1" in dry.output
    assert len(list(filled.glob("touches/*/*"))) == 4
    done = run("expire")
    assert "touches 'vnx' 2026-03-02: 1 rows, 1 files" in done.output
    assert len(list(filled.glob("touches/*/*"))) == 2
    assert "0 day folders, 0 rows removed" in run("expire").output


@pytest.mark.parametrize("verb", ["write", "expire"])
def test_two_writers_of_one_folder_are_one_too_many(verb: str, filled: Path) -> None:
    with file_lock(filled / "_lock", 0.0):
        result = run(verb)
    assert result.exit_code == 1
    assert "another `parcelwatch history` already writes" in result.stderr


def test_a_folder_that_cannot_be_made_is_named_with_the_setting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_HISTORY_DIR", "/dev/null/x")
    result = run("write")
    assert result.exit_code == 1
    assert "set PARCELWATCH_HISTORY_DIR to a folder that can" in result.stderr


def test_nothing_archived_yet_is_no_error_to_list_and_one_to_read(root: Path) -> None:
    assert "There is no history in" in run("list").output
    result = run("read")
    assert result.exit_code == 1
    assert "there is no history in" in result.stderr


def test_no_other_command_waits_for_arrow() -> None:
    commands = "streams.cli, streams.commands.worker, streams.commands.tell, streams.commands.history"
    code = f"import sys, {commands}; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
