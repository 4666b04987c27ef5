"""`parcelwatch backtest --history` gives the alerts of labelled touches, and says what does not go together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.detect.controls import MODEL, SUPPRESS
from streams.flow.events import DETECT_SOURCE, START, Block, Explained, source_id
from streams.history.archive import Archive
from tests.archives import block, deciding, touch
from tests.senders import DAY, HOUR, MONDAY


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path / "data"))


def history(tmp_path: Path, between: Sequence[Block] = (), after: Sequence[Block] = ()) -> Path:
    """Two days of one person, each with 900 parcels opened in a quarter of an hour, and what came in between."""
    blocks = [Block(source_id(DETECT_SOURCE, 0), START, MONDAY + 9 * DAY, False)]
    for n in range(1_800):
        row = touch(n, time=MONDAY + n // 900 * DAY + n % 900 * 1_000)
        row.st = row.time
        blocks.append(block(row))
        if n == 899:
            blocks += between
    archive = Archive(tmp_path / "history")
    for offset, one in enumerate([*blocks, *after]):
        archive.add(0, offset, one)
    archive.flush()
    return tmp_path / "history"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return history(tmp_path)


def backtest(tmp_path: Path, *args: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["backtest", *map(str, args), "--alerts", str(tmp_path / "alerts.ndjson")]
    )


def alert_days(tmp_path: Path, *statuses: str) -> set[int]:
    alerts = map(orjson.loads, (tmp_path / "alerts.ndjson").read_bytes().splitlines())
    return {(one["time"] - MONDAY) // DAY for one in alerts if not statuses or one["status"] in statuses}


def test_a_history_gives_alerts_without_keys_and_they_hold_tokens(tmp_path: Path, root: Path) -> None:
    result = backtest(tmp_path, "--history", root)
    assert result.exit_code == 0, result.output
    assert "1,800 touches and late reasons, 0 decisions" in result.stderr
    assert alert_days(tmp_path) == {0, 1}
    assert not (tmp_path / "data").exists()


def test_decisions_take_effect_where_they_stand_and_can_be_left_out(tmp_path: Path) -> None:
    suppressed = deciding(0, SUPPRESS, value="on", until=MONDAY + 9 * DAY)
    model = deciding(1, MODEL, actor="", value="active:" + "0" * 64)
    later = touch(1_800, time=MONDAY + DAY + 2 * HOUR)
    later.st = later.time
    folder = history(tmp_path, [suppressed, model], [block(later)])
    result = backtest(tmp_path, "--history", folder)
    assert result.exit_code == 0, result.output
    assert "1,801 touches and late reasons, 2 decisions" in result.stderr
    assert "a model in force cannot be used" in result.stderr
    assert (alert_days(tmp_path, "New"), alert_days(tmp_path, "Suppressed")) == ({0}, {1})
    result = backtest(tmp_path, "--history", folder, "--without-decisions")
    assert "1,801 touches and late reasons, 0 decisions" in result.stderr
    assert "model" not in result.stderr
    assert (alert_days(tmp_path, "New"), alert_days(tmp_path, "Suppressed")) == ({0, 1}, set())


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
        pytest.param(["--events", "a", "--without-decisions"], "only with --history", id="decisions"),
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
