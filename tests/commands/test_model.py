"""`parcelwatch model` shows what there is, refuses what cannot be used, and tells drift from chance."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models.registry import Registry
from streams.cli import main
from tests.model_rows import pair
from tests.people_history import write_history


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARCELWATCH_BROKER", "127.0.0.1:1")
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    return Registry(tmp_path / "models")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["model", *map(str, arguments)])


def stored(folder: Registry, seed: int = 1, made: str = "2026-11-24T10:00:00+00:00") -> str:
    return folder.save(pair(seed), made, {"days_above_3": 0.002}).sha256


def test_list_shows_the_newest_first(folder: Registry) -> None:
    old, new = stored(folder), stored(folder, 2, "2026-12-01T10:00:00+00:00")
    result = run("list")
    assert result.exit_code == 0
    assert 0 < result.output.index(new[:12]) < result.output.index(old[:12])
    assert "0.200%" in result.output


def test_no_model_is_no_error_to_list() -> None:
    assert "`parcelwatch train` makes one" in run("list").output


def test_show_says_what_the_card_does(folder: Registry) -> None:
    sha = stored(folder)
    result = run("show", sha[:8])
    assert result.output.startswith(sha)
    for text in ("unsupervised", "400", "days_above_3: 0.002", "scikit-learn"):
        assert text in result.output


def test_check_uses_the_folder_it_is_given(folder: Registry, tmp_path: Path) -> None:
    sha = stored(Registry(tmp_path / "elsewhere"))
    assert run("check", sha[:12]).exit_code == 1
    result = run("check", sha[:12], "--models", tmp_path / "elsewhere")
    assert f"{sha} can be used" in result.output


def test_check_fails_on_a_damaged_model(folder: Registry) -> None:
    sha = stored(folder)
    path = folder.root / f"{sha}.skops"
    path.write_bytes(path.read_bytes()[:-1])
    result = run("check", sha)
    assert result.exit_code == 1
    assert "is damaged" in result.stderr


def test_drift_is_told_apart_from_an_unchanged_life(folder: Registry, tmp_path: Path) -> None:
    write_history(tmp_path / "history", days=26)
    assert CliRunner().invoke(main, ["train"]).exit_code == 0
    [own] = folder.names()
    same = run("drift", own, "--history", tmp_path / "history", "--since", "2026-03-16")
    assert "0 of 20 features shifted: no need to train again" in same.output
    others = run("drift", stored(folder), "--history", tmp_path / "history")
    assert "train again with `parcelwatch train`" in others.output
    assert others.output.splitlines()[1].endswith("shifted ")


@pytest.mark.parametrize("verb", ["show", "check", "drift"])
def test_a_model_that_is_not_there_is_named(verb: str) -> None:
    result = run(verb, "0" * 12)
    assert result.exit_code == 1
    assert "there is no model 000000000000" in result.stderr


def test_commands_that_switch_models_are_part_of_the_group() -> None:
    assert {"list", "show", "check", "drift", "shadow", "promote", "rollback", "off"} <= set(
        run("--help").output.split()
    )
