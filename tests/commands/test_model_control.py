"""Models are switched by carrier, only ones that load, and back to the last that was active."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from models.registry import ModelError, Registry
from streams.cli import main
from streams.flow.control import ControlRecord
from streams.kafka import control
from streams.kafka.control import Entry, new_record
from streams.kafka.decisions import models
from streams.settings import Settings

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@dataclass
class Topic:
    """The control topic, without a broker: what is published is read back."""

    entries: list[Entry]

    def publish(self, settings: Settings, record: ControlRecord) -> tuple[int, int]:
        self.entries.append(Entry(record, 0, len(self.entries), 0))
        return 0, len(self.entries) - 1

    @property
    def values(self) -> list[str]:
        return [entry.record.value for entry in self.entries]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    topic = Topic([])
    monkeypatch.setattr(control, "publish", topic.publish)
    monkeypatch.setattr(control, "read", lambda *_: iter(topic.entries))
    return topic


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """SHA-256 of the models that load."""
    stored = {A, B, C}

    def load(self: Registry, sha: str) -> object:
        if sha not in stored:
            raise ModelError(f"{sha[:8]} is damaged; restore it from a backup")
        return SimpleNamespace(day=SimpleNamespace(trained_on=SimpleNamespace(carriers=("vnx",))))

    monkeypatch.setattr(Registry, "names", lambda self: sorted({A, B, C}))
    monkeypatch.setattr(Registry, "load", load)
    return stored


Run = Callable[..., Result]


@pytest.fixture
def run(topic: Topic, stored: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    return lambda *args, carrier="vnx", why="r": CliRunner().invoke(
        main, ["model", *args, "--carrier", carrier, "--why", why]
    )


def test_a_model_is_tried_out_beside_the_active_one_and_then_takes_its_place(run: Run, topic: Topic) -> None:
    assert "not in shadow at present" in run("promote", A[:8]).stderr
    assert run("shadow", B[:8]).exit_code == 0
    assert models(topic.entries, "vnx")[:2] == (A, B)
    promoted = run("promote", B)
    assert promoted.exit_code == 0, promoted.output
    assert f"takes the say from {A[:12]}" in promoted.output
    assert promoted.stderr == ""
    assert topic.values == [f"active:{A}", f"shadow:{B}", f"active:{B}"]
    assert models(topic.entries, "vnx") == (B, "", (A,))
    assert all(entry.record.by and entry.record.why == "r" for entry in topic.entries)


def test_a_rollback_goes_to_the_last_active_one_before_and_a_second_further_back(
    run: Run, topic: Topic
) -> None:
    for sha in (A, B, C):
        run("promote", sha)
    other = new_record("model", "post", datetime.now(UTC), value=f"active:{C}")
    topic.entries.append(Entry(other, 1, 0, 0))
    assert run("rollback").exit_code == 0
    assert run("rollback").exit_code == 0
    assert topic.values[-2:] == [f"active:{B}", f"active:{A}"]
    nothing = run("rollback")
    assert nothing.exit_code == 1
    assert "none was active for vnx before this one; `parcelwatch model off`" in nothing.output


def test_what_was_switched_off_is_rolled_back_to(run: Run, topic: Topic) -> None:
    run("promote", A)
    assert run("off").exit_code == 0
    assert models(topic.entries, "vnx").active == ""
    assert "none is active for vnx" in run("off").output
    assert run("rollback").exit_code == 0
    assert topic.values == [f"active:{A}", "off", f"active:{A}"]


def test_a_model_that_does_not_load_is_switched_to_by_no_way(
    run: Run, topic: Topic, stored: set[str]
) -> None:
    run("promote", A)
    run("promote", B)
    stored.clear()
    for args in (("promote", C), ("shadow", C), ("rollback",)):
        result = run(*args)
        assert result.exit_code == 1
        assert "is damaged; restore it from a backup" in result.output
    assert len(topic.entries) == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("promote", "abc"), "the first 8 to 64 characters"),
        (("promote", "../../etc/x"), "names no model"),
        (("shadow", "d" * 64), "there is no model"),
        (("promote", A), "is active for vnx already"),
        (("shadow", A), "what has a say is not tried out"),
        (("shadow", B), "is in shadow for vnx already"),
    ],
)
def test_what_cannot_be_switched_is_said_and_nothing_is_recorded(
    run: Run, topic: Topic, args: tuple[str, ...], said: str
) -> None:
    run("promote", A)
    run("shadow", B)
    result = run(*args)
    assert result.exit_code == 1
    assert said in result.output
    assert len(topic.entries) == 2


def test_an_empty_reason_and_a_carrier_without_the_models_days_are_named(run: Run, topic: Topic) -> None:
    assert "--why: an empty reason" in run("promote", A, why=" ").output
    assert topic.entries == []
    assert "it was trained on vnx, not on post" in run("promote", A, carrier="post").stderr
    assert topic.values == [f"active:{A}"]
