"""`parcelwatch train` makes, of a history, a model that is stored and described, or says what it lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from models.registry import Registry
from streams.cli import main
from tests.people_history import DAYS, PEOPLE, leak_days, write_history
from tests.senders import DAY, HOUR, MONDAY


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARCELWATCH_BROKER", "127.0.0.1:1")
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("histories")
    write_history(root / "benign")
    write_history(root / "leaky", leaks=True)
    write_history(root / "short", days=4)
    return root


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def verdict(person: int, day: int, value: str = "true_positive", **more: Any) -> dict[str, Any]:
    start = MONDAY + day * DAY + 3 * HOUR
    return {
        "time": "2026-11-24T10:00:00Z", "carrier": "vnx", "kind": "verdict", "actor": PEOPLE[person].token,
        "detector": "bulk_read", "alert": f"{person}-{day}", "value": value, "start_time": start,
        "end_time": start + HOUR // 2,
    } | more  # fmt: skip


def written(path: Path, *records: object) -> Path:
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    path.write_bytes(b"\n".join(lines))
    return path


def sha_of(result: Result) -> str:
    return result.output.split("stored as ")[1][:64]


def test_a_history_becomes_a_model_that_is_stored_and_named(histories: Path, tmp_path: Path) -> None:
    result = train("--history", histories / "benign", "--carrier", "vnx")
    assert result.exit_code == 0, result.output
    pair = Registry(tmp_path / "models").load(sha_of(result))
    assert pair.day.trained_on.carriers == ("vnx",)
    assert pair.day.trained_on.first_day == "2026-03-02"
    assert pair.day.trained_on.persons == len(PEOPLE)
    assert f"{len(PEOPLE):,} people" in result.output
    assert f"{len(PEOPLE) * DAYS} person-days on {DAYS} days" in result.output
    assert "held out: surprise" in result.output
    assert f"parcelwatch model shadow {sha_of(result)[:12]} --carrier vnx" in result.output


def test_the_days_held_out_are_not_trained_on(histories: Path, tmp_path: Path) -> None:
    result = train("--history", histories / "benign")
    about = Registry(tmp_path / "models").load(sha_of(result)).day.trained_on
    trained = round(DAYS * 0.8)
    assert about.rows == trained * len(PEOPLE)
    assert f"{(DAYS - trained) * len(PEOPLE)} held out" in result.output


def test_the_same_history_gives_the_same_model(histories: Path, tmp_path: Path) -> None:
    first = train("--history", histories / "benign", "--models", tmp_path / "a")
    second = train("--history", histories / "benign", "--models", tmp_path / "b")
    assert sha_of(first) == sha_of(second)
    other = train("--history", histories / "benign", "--since", "2026-03-03", "--models", tmp_path / "a")
    assert sha_of(other) != sha_of(first)


def test_verdicts_make_a_model_that_finds_the_leaks_that_were_held_out(
    histories: Path, tmp_path: Path
) -> None:
    file = written(tmp_path / "v.ndjson", *(verdict(*one) for one in leak_days()), verdict(0, 0, "benign"))
    result = train("--history", histories / "leaky", "--verdicts", file)
    assert result.exit_code == 0, result.output
    assert f"verdicts: {len(set(leak_days()))} true positives, 1 others" in result.output
    card = Registry(tmp_path / "models").card(sha_of(result))
    assert card.kind == "supervised"
    assert card.evaluation["held_out_leak_days"] > 0
    assert card.evaluation["leak_days_above_2"] == 1
    assert card.evaluation["days_above_3"] < 0.02


def test_the_last_verdict_on_an_alert_counts(histories: Path, tmp_path: Path) -> None:
    records = [verdict(*one) for one in leak_days()] + [
        verdict(*one, "false_positive") for one in leak_days()
    ]
    result = train("--history", histories / "leaky", "--verdicts", written(tmp_path / "v.ndjson", *records))
    assert result.exit_code == 1
    assert f"verdicts: 0 true positives, {len(set(leak_days()))} others" in result.output
    assert "too few verdicts to learn from: 0 person-hours are confirmed leaks" in result.output


def test_verdicts_on_people_of_another_history_are_counted(histories: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "v.ndjson", verdict(0, 1, actor="k9.staff.nobody"))
    result = train("--history", histories / "benign", "--verdicts", file)
    assert "1 of persons who are not in this history: they teach nothing" in result.output
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{", "is no control record"),
        (b"\xff", "is no control record"),
        (b'{"time":"","carrier":"vnx","kind":"watch"}', "is no verdict"),
        (json.dumps(verdict(0, 1, "perhaps")).encode(), "is no verdict"),
        (json.dumps(verdict(0, 1, start_time=-1)).encode(), "lacks actor, start_time or end_time"),
        (json.dumps(verdict(0, 1, end_time=1)).encode(), "lacks actor, start_time or end_time"),
        (json.dumps(verdict(0, 1, actor="")).encode(), "lacks actor, start_time or end_time"),
    ],
)
def test_a_line_that_is_no_verdict_is_named_by_number_and_never_shown(
    histories: Path, tmp_path: Path, bad: bytes, why: str
) -> None:
    file = written(tmp_path / "v.ndjson", verdict(0, 1), b"", bad)
    result = train("--history", histories / "benign", "--verdicts", file)
    assert result.exit_code == 1
    assert f"v.ndjson, line 3: {why}" in result.stderr
    assert PEOPLE[0].token not in result.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--history", "{short}"], "4 days with people in them, 5 are needed"),
        (
            ["--history", "{benign}", "--until", "2026-03-09"],
            "are needed; wait some days, or give more of them",
        ),
        (
            ["--history", "{benign}", "--carrier", "nobody"],
            "has no touches of the carriers and days asked for",
        ),
        (["--history", "{absent}"], "there is no history in"),
        ([], "there is no history in"),
        (["--history", "{benign}", "--verdicts", "{absent}"], "--verdicts names a file of verdicts"),
        (["--history", "{benign}", "--models", "/dev/null/x"], "cannot write the model to"),
        (["--verdicts", "{absent}", "--carrier", "vnx"], "give --history DIR"),
    ],
)
def test_what_cannot_be_trained_ends_with_one_line_that_says_why(
    histories: Path, arguments: list[str], why: str
) -> None:
    places = {name: histories / name for name in ("benign", "short", "absent")}
    result = train(*(argument.format(**places) for argument in arguments))
    assert result.exit_code in (1, 2)
    assert why in result.stderr
    assert "Traceback" not in result.output


def test_help_does_not_wait_for_scikit_learn() -> None:
    code = "import sys, streams.commands.train, streams.commands.model; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
