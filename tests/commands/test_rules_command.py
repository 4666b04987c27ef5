"""`parcelwatch rules` says what is wrong where, refuses what fails its own examples, and loads through a real Kafka."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.kafka.broker import Broker
from streams.kafka.control import read
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.rules.parse import load
from streams.settings import Settings

SHIPPED = Path(__file__).parents[2] / "deploy" / "rules"
WHY = ("--why", "our first rules", "--by", "an")
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, app_id: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    ring = Keyring()
    ring.add_carrier(app_id)
    ring.save(tmp_path / "keys.toml")
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARCELWATCH_BROKER", "127.0.0.1:1")
    return lambda *args: CliRunner().invoke(main, ["rules", *map(str, args)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "rules"))


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of our own: the topic is used under its true name."""
    with Broker(tmp_path_factory.mktemp("rules")) as own:
        ensure_topics(Settings(broker=own.bootstrap, partitions=2))
        yield own.bootstrap


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / f"{name}.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_check_counts_what_is_good_and_needs_no_broker(run: Run, folder: Path) -> None:
    result = run("check", folder)
    assert result.exit_code == 0
    assert "19 rules, 10 of them alert" in result.output


def test_check_names_every_fault_with_file_and_line(run: Run, folder: Path) -> None:
    change(folder, "bulk_export_at_night", "records|gte: 50", "recrods|gte: 50")
    change(folder, "many_devices", "group-by: actor", "group-by: device")
    result = run("check", folder)
    assert result.exit_code == 1
    assert "many_devices.yml:" in result.output
    assert "group-by must contain actor" in result.output


def test_check_says_which_rule_has_no_example(run: Run, folder: Path) -> None:
    path = folder / "many_devices.yml"
    path.write_text(path.read_text().partition("parcelwatch:\n")[0])
    assert "without an example: many_devices" in run("check", folder).output


def test_test_shows_the_example_that_fails_and_what_was_expected(run: Run, folder: Path) -> None:
    assert run("test", folder).output == "32 examples, 0 failed\n"
    change(folder, "bulk_export_at_night", "records|gte: 50", "records|gte: 500")
    result = run("test", folder)
    assert result.exit_code == 1
    assert "FAILED  bulk_export_at_night: an export of 400 records" in result.output
    assert "32 examples, 1 failed" in result.output
    assert run("test", folder, "-v").output.count("passed  ") == 31


def test_load_refuses_rules_that_fail_their_examples_before_anything_is_sent(
    run: Run, folder: Path, app_id: str
) -> None:
    change(folder, "bulk_export_at_night", "records|gte: 50", "records|gte: 500")
    result = run("load", folder, "--carrier", app_id, *WHY)
    assert result.exit_code == 1
    assert "examples of bulk_export_at_night fail" in result.output


def test_load_without_a_broker_says_so(
    run: Run, folder: Path, app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.sender.BROKER_TIMEOUT", 2.0)
    result = run("load", folder, "--carrier", app_id, *WHY)
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output


@pytest.mark.broker
def test_rules_are_loaded_changed_listed_and_unloaded_through_kafka(
    run: Run, folder: Path, app_id: str, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_BROKER", bootstrap)
    first = run("load", folder, "--carrier", app_id, *WHY)
    assert first.exit_code == 0, first.output
    assert "new: bulk_export_at_night" in first.output
    assert "recorded by an as control/" in first.output
    rules = load(folder).rules
    [entry] = read(Settings(broker=bootstrap, partitions=2))
    assert (entry.record.rules, entry.record.value) == (rules, rules.version())

    change(folder, "bulk_export_at_night", "level: high", "level: low")
    (folder / "many_devices.yml").unlink()
    second = run("load", folder, "--carrier", app_id, *WHY)
    assert "changed: bulk_export_at_night\n" in second.output
    assert "no longer loaded: read_on_a_device, many_devices\n" in second.output
    listed = run("list").output
    assert "as rule.bulk_export_at_night" in listed
    assert "our first rules" in listed
    assert "many_devices" not in listed
    assert "17 rules loaded" in listed

    assert run("unload", "--carrier", app_id, *WHY).exit_code == 0
    assert run("list").output == "0 rules loaded\n"
    assert "none are loaded" in run("unload", "--carrier", app_id, *WHY).output
