"""A log that is not in order of time is said to be so: its leaks would be missed without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import main

HEADER = "time,carrier,actor,action,parcels\n"
#: One day of one person: a parcel every minute.
ROWS = [f"2026-11-24T{8 + n // 60:02}:{n % 60:02}:00+07:00,mine,s1,view,P{n}\n" for n in range(300)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Result]:
    """Backtest over rows in the order given."""
    monkeypatch.chdir(tmp_path)

    def over(rows: list[str]) -> Result:
        Path("log.csv").write_text(HEADER + "".join(rows))
        result = CliRunner().invoke(main, ["backtest", "--events", "log.csv", "--alerts", "alerts.ndjson"])
        assert result.exit_code == 0, result.output
        return result

    return over


def test_a_log_that_runs_backwards_is_named(run: Callable[[list[str]], Result]) -> None:
    assert "log.csv is not in order of time" in run(ROWS[::-1]).stderr


def test_a_log_put_together_in_the_wrong_order_is_named(run: Callable[[list[str]], Result]) -> None:
    times = [f"2026-11-{day:02}T09:{n // 100:02}:00+07:00" for day in (2, 1) for n in range(4_100)]
    assert "not in order" in run([f"{time},mine,s1,view,P{n}\n" for n, time in enumerate(times)]).stderr


def test_a_log_in_order_is_not_and_neither_is_one_with_a_late_row(run: Callable[[list[str]], Result]) -> None:
    assert "order" not in run(ROWS).stderr
    assert "order" not in run([*ROWS[:200], ROWS[3], *ROWS[200:]]).stderr
