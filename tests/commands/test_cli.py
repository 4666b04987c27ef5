"""Every command explains itself, with an example, and ends plainly when it is used wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streams.cli import COMMANDS, main


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and subcommand with its path."""
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        yield (name,), command
        if isinstance(command, click.Group):
            for inner, subcommand in command.commands.items():
                yield (name, inner), subcommand


ALL = list(commands())
PATHS = [path for path, _ in ALL]


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PARCELWATCH_BROKER", "127.0.0.1:1")
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_says_what_a_command_does(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    usage, _, text = result.output.partition("\n\n")
    assert usage.startswith(f"Usage: main {' '.join(path)}")
    summary = text.strip().partition("\n\n")[0]
    assert summary.endswith((".", ":")), "a summary is a sentence"
    assert all(len(line) <= 110 for line in result.output.splitlines() if "$" not in line)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_that_names_the_command(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert "Example" in result.output
    assert f"parcelwatch {name}" in result.output.partition("Example")[2]


@pytest.mark.parametrize(("path", "command"), ALL, ids=map(" ".join, PATHS))
def test_every_option_says_what_it_is_for(path: tuple[str, ...], command: click.Command) -> None:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts[0]} has no help"


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_an_unknown_option_is_a_usage_error(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--no-such-option"])
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["guess"])
    assert result.exit_code == 2
    assert "No such command 'guess'" in result.stderr


def test_the_overview_lists_every_command_without_loading_any() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, summary in COMMANDS.items():
        assert name in result.output
        assert summary.split()[0] in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("worker",),
        ("tell",),
        ("topics", "no-such-subcommand"),
        ("keys", "list"),
        ("rejected", "list"),
        ("reveal", "x", "--carrier", "vnx", "--reason", "r"),
        ("replay", "/nowhere"),
        ("backtest", "--events", "/nowhere", "--alerts", "/nowhere"),
        ("demo", "--staff", "1"),
        ("simulate", "/dev/null/x"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_said_in_plain_words(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.sender.BROKER_TIMEOUT", 0.3)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (1, 2)
    assert result.stderr.partition("Error: ")[2].strip()
    assert isinstance(result.exception, SystemExit), "a traceback is for us, not for the user"


def test_a_bad_setting_is_named_with_the_remedy_by_every_command_that_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PARCELWATCH_PARTITIONS", "none")
    for arguments in (["worker"], ["tell"], ["topics", "check"], ["demo"], ["keys", "list"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1, arguments
        assert "setting partitions = 'none'" in result.stderr
