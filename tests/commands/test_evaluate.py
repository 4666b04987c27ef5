"""`parcelwatch evaluate` tells its figures on the terminal, as JSON and as a page, and refuses what it cannot do."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from tests.evaluation.office import Office


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)


def evaluate(*args: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *args])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """One run over a small CSV whose name is hostile."""
    folder = tmp_path_factory.mktemp("evaluate")
    log = folder / "<script>alert(1)<&script>.csv.gz"
    rows = [orjson.loads(value) for value in Office().values]
    lines = ["when,who,what", *(f"{row['time']},{row['actor']},{row['parcels'][0]}" for row in rows)]
    log.write_bytes(gzip.compress("\n".join(lines).encode()))
    result = evaluate(
        *("--events", str(log), "--map", "time=when", "--map", "actor=who", "--map", "parcels=what"),
        *("--set", "carrier=mine", "--set", "action=view", "--seeds", "1", "--episodes", "1"),
        *("--json", str(folder / "report.json"), "--html", str(folder / "report.html")),
    )
    return result, folder


def test_the_terminal_shows_methods_shapes_and_what_was_left_out(told: tuple[Result, Path]) -> None:
    result, _ = told
    assert result.exit_code == 0, result.output
    for text in (
        "parcelwatch",
        "isolation forest",
        "Hard variant",
        "bulk_export",
        "left out: borrowed_login",
    ):
        assert text in result.output


def test_json_holds_parameters_figures_and_seeds(told: tuple[Result, Path]) -> None:
    data = orjson.loads((told[1] / "report.json").read_bytes())
    assert data["parameters"]["seeds"] == [1]
    assert data["parameters"]["warm_up"] == 0.6
    assert set(data["variants"]) == {"standard", "hard"}
    recall = data["variants"]["standard"]["methods"]["parcelwatch"]["recall"]
    assert recall["min"] <= recall["median"] <= recall["max"]
    assert len(recall["seeds"]) == 1


def test_the_page_needs_nothing_else_and_escapes_what_comes_from_files(told: tuple[Result, Path]) -> None:
    page = (told[1] / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == 6
    assert "http-equiv" not in page
    assert 'src="' not in page
    assert "<link" not in page


def test_no_person_and_no_parcel_is_named_in_a_report(told: tuple[Result, Path]) -> None:
    result, folder = told
    for text in (result.output, (folder / "report.json").read_text(), (folder / "report.html").read_text()):
        assert "nv0" not in text
        assert "VN1" not in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        pytest.param([], "give one of --events FILE, --history DIR and --simulate", id="nothing"),
        pytest.param(["--events", "a.csv", "--simulate"], "give one of", id="both"),
        pytest.param(["--events", "a.csv", "--history", "b"], "give one of", id="a history and files"),
        pytest.param(["--history", "nowhere"], "there is no history in nowhere", id="no history"),
        pytest.param(["--history", "b", "--context", "a.csv"], "brings its own", id="context of a history"),
        pytest.param(["--simulate", "--context", "a.csv"], "leave them out", id="files for a simulation"),
        pytest.param(["--simulate", "--staff", "3"], "staff = 3", id="too few staff"),
        pytest.param(["--events", "nowhere.csv"], "there is no file nowhere.csv", id="no file"),
        pytest.param(["--simulate", "--warm-up", "1"], "warm-up", id="nothing left to test on"),
        pytest.param(["--simulate", "--json", "no/such/report.json"], "there is no folder", id="no folder"),
        pytest.param(["--simulate", "--map", "time"], "--map 'time'", id="a bad mapping"),
    ],
)
def test_bad_arguments_end_with_what_and_the_remedy(args: list[str], says: str) -> None:
    result = evaluate(*args)
    assert result.exit_code != 0
    assert says in result.output
    assert "Traceback" not in result.output


def test_a_log_too_short_is_said_in_one_line(tmp_path: Path) -> None:
    log = tmp_path / "short.ndjson"
    log.write_bytes(b"\n".join(Office(people=3, days=2).values))
    result = evaluate("--events", str(log))
    assert result.exit_code == 1
    assert "give a longer log" in result.output
