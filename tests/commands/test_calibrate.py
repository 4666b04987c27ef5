"""`parcelwatch calibrate` shows what each strictness costs, and publishes only what the history can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from detectors.base import Person
from streams.cli import main
from streams.flow.control import ControlRecord
from streams.history.archive import Archive
from streams.settings import Settings
from tests.archives import block, touch
from tests.evaluation.office import Office
from tests.senders import DAY, MONDAY


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ControlRecord]:
    """Records sent to the control topic."""
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path / "data"))
    records: list[ControlRecord] = []

    def publish(settings: Settings, record: ControlRecord) -> tuple[int, int]:
        records.append(record)
        return 2, len(records) - 1

    monkeypatch.setattr("streams.kafka.control.publish", publish)
    return records


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six days of forty people who open a parcel a day; on the last two, four of them open 600 in ten minutes."""
    rows = []
    for day in range(6):
        for person in range(40):
            parcels = 600 if day > 3 and person % 10 == 0 else 1
            for n in range(parcels):
                time = MONDAY + day * DAY + person * 1_000_000 + n * 1_000
                rows.append(touch(len(rows), who=0, time=time, parcel=f"k1.p{len(rows)}", tz=0))
                rows[-1].st = time
                rows[-1].who = person
    archive = Archive(tmp_path / "history")
    everybody = [Person(f"k1.s{n}", "vnx") for n in range(40)]
    for offset, row in enumerate(rows):
        archive.add(0, offset, block(row, people=everybody))
    archive.flush()
    return tmp_path / "history"


def calibrate(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["calibrate", *map(str, args)])


def test_a_history_gives_a_table_and_the_value_with_its_uncertainty(
    root: Path, published: list[ControlRecord]
) -> None:
    result = calibrate("--history", root, "--alerts-per-1000-user-days", "200")
    assert result.exit_code == 0, result.output
    assert (
        "carrier 'vnx': 6 days, 3 of them warm-up; 120 user-days count; 200 per 1,000 are 24.0 alerts"
        in result.stdout
    )
    assert "bulk_read" in result.stdout
    assert "with 95 % confidence" in result.stdout
    assert "too short" not in result.stdout
    assert published == []


def test_apply_publishes_the_value_with_who_and_why(root: Path, published: list[ControlRecord]) -> None:
    result = calibrate(
        "--history", root, "--alerts-per-1000-user-days", "200", "--apply", "--by", "duty officer"
    )
    assert result.exit_code == 0, result.output
    [record] = published
    assert (record.kind, record.carrier, record.by) == ("strictness", "vnx", "duty officer")
    assert 0.25 <= float(record.value) <= 8
    assert "on 120 user-days, budget 200" in record.why
    assert "recorded by duty officer as control/2/0" in result.stdout


def test_a_short_history_is_said_to_be_and_nothing_is_published(
    root: Path, published: list[ControlRecord]
) -> None:
    result = calibrate("--history", root, "--apply")
    assert result.exit_code == 1
    assert "This history is too short to tell" in result.stdout
    assert "It takes 10,000 user-days" in result.stdout
    assert "nothing was published, for the history is too short" in result.stderr
    assert published == []


def test_the_budget_is_the_setting_where_none_is_given(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARCELWATCH_ALERTS_PER_1000_USER_DAYS", "250")
    assert "250 per 1,000 are 30.0 alerts" in calibrate("--history", root).stdout


def test_files_are_calibrated_on_through_a_mapping_and_rejects_are_counted(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_bytes(b"\n".join([*Office(people=5, days=5).values, b"{}"]))
    result = calibrate("--events", log)
    assert result.exit_code == 0, result.output
    assert "carrier 'vnx': 5 days, 2 of them warm-up; 15 user-days count" in result.stdout
    assert "access-events: 1 of 301 records rejected" in result.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param([], "give either --events FILE or --history DIR", id="neither"),
        pytest.param(["--history", "nowhere"], "there is no history in nowhere", id="no history"),
        pytest.param(["--events", "nowhere"], "there is no file nowhere", id="no file"),
        pytest.param(["--history", "a", "--directory", "b"], "--directory: only with --events", id="both"),
        pytest.param(["--events", "a", "--alerts-per-1000-user-days", "0"], "0<x<=1000", id="no budget"),
    ],
)
def test_bad_arguments_end_with_what_and_the_remedy(args: list[str], says: str) -> None:
    result = calibrate(*args)
    assert result.exit_code != 0
    assert says in result.stderr


def test_files_without_one_readable_access_are_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_bytes(b"{}\n{}")
    result = calibrate("--events", log)
    assert result.exit_code == 1
    assert "nothing to calibrate on" in result.stderr
