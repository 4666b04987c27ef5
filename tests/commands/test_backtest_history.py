"""`parcelwatch backtest --history` gives the alerts of labelled touches, and says what does not go together."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.flow.events import Explained
from streams.history.archive import Archive
from tests.archives import block, touch
from tests.senders import DAY, MONDAY


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two days of one person, each with 900 parcels opened in a quarter of an hour."""
    archive = Archive(tmp_path / "history")
    for n in range(1_800):
        row = touch(n, time=MONDAY + n // 900 * DAY + n % 900 * 1_000)
        row.st = row.time
        archive.add(0, n, block(row))
    archive.flush()
    return tmp_path / "history"


def backtest(tmp_path: Path, *args: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["backtest", *map(str, args), "--alerts", str(tmp_path / "alerts.ndjson")]
    )


def alert_days(tmp_path: Path) -> set[int]:
    lines = (tmp_path / "alerts.ndjson").read_bytes().splitlines()
    return {(orjson.loads(line)["time"] - MONDAY) // DAY for line in lines}


def test_a_history_gives_alerts_without_keys_and_they_hold_tokens(tmp_path: Path, root: Path) -> None:
    result = backtest(tmp_path, "--history", root)
    assert result.exit_code == 0, result.output
    assert "1,800 touches and late reasons" in result.stderr
    assert alert_days(tmp_path) == {0, 1}
    assert not (tmp_path / "data").exists()


def test_days_and_carriers_are_chosen(tmp_path: Path, root: Path) -> None:
    assert backtest(tmp_path, "--history", root, "--since", "2026-03-03").exit_code == 0
    assert alert_days(tmp_path) == {1}
    result = backtest(tmp_path, "--history", root, "--carrier", "other")
    assert result.exit_code == 1
    assert "no touches of the carriers and days asked for" in result.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param([], "give either --events FILE or --history DIR", id="neither"),
        pytest.param(["--events", "a", "--history", "b"], "give either", id="both"),
        pytest.param(["--history", "b", "--context", "c"], "--context: only with --events", id="context"),
        pytest.param(["--history", "b", "--map", "actor=b"], "--map or --set: only with", id="mapping"),
        pytest.param(["--history", "b", "--clear-actors"], "--clear-actors: only with", id="clear ids"),
        pytest.param(["--events", "a", "--since", "2026-03-03"], "give --history DIR", id="since"),
        pytest.param(["--history", "nowhere"], "there is no history in nowhere", id="no history"),
    ],
)
def test_what_does_not_go_together_is_said_with_the_remedy(
    tmp_path: Path, args: list[str], says: str
) -> None:
    result = backtest(tmp_path, *args)
    assert result.exit_code != 0
    assert says in result.stderr
    assert not list(tmp_path.glob("alerts*"))


def test_a_late_reason_whose_touch_is_not_chosen_is_left_out(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "history")
    first, second = touch(1, time=MONDAY), touch(2, time=MONDAY + DAY)
    second.st = MONDAY + DAY
    late = Explained(MONDAY + DAY + 5, 0, 3, 0, 0, (0, 1, 0), MONDAY, 3)
    for offset, row in enumerate((first, second, late)):
        archive.add(0, offset, block(row))
    archive.flush()
    result = backtest(tmp_path, "--history", tmp_path / "history", "--since", "2026-03-03")
    assert result.exit_code == 0, result.output
    assert "1 touches and late reasons" in result.stderr
