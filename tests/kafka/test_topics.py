"""Topics are created once, never altered, and every difference that matters is named with its remedy."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from kafka.admin import ConfigResource, ConfigResourceType

from streams.cli import main
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, ALERTS, TopicSpec, topic_specs
from streams.kafka import topic_admin
from streams.kafka.broker import Broker
from streams.kafka.topic_admin import TopicError, admin_client, check_topics, ensure_topics
from streams.settings import Settings, SettingsError, load_settings


@pytest.fixture
def settings(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings whose topics nobody else uses: the same specs under names of this test."""
    run = uuid4().hex[:8]

    def own_specs(settings: Settings) -> tuple[TopicSpec, ...]:
        return tuple(dataclasses.replace(spec, name=f"{run}-{spec.name}") for spec in topic_specs(settings))

    monkeypatch.setattr(topic_admin, "topic_specs", own_specs)
    settings = Settings(broker=broker.bootstrap, app_id=f"t{run}", data_dir=tmp_path, partitions=2)
    monkeypatch.setenv("PARCELWATCH_BROKER", settings.broker)
    monkeypatch.setenv("PARCELWATCH_APP_ID", settings.app_id)
    monkeypatch.setenv("PARCELWATCH_PARTITIONS", "2")
    yield settings
    with admin_client(settings) as admin:
        names = [name for name in admin.list_topics() if name.startswith(run)]
        if names:
            admin.delete_topics(names)


def the_name(settings: Settings, topic: str) -> str:
    return next(s.name for s in topic_admin.topic_specs(settings) if s.name.endswith(f"-{topic}"))


def alter(settings: Settings, topic: str, config: dict[str, str]) -> None:
    name = the_name(settings, topic)
    asked = ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(config))
    with admin_client(settings) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)])
        deadline = time.monotonic() + 10
        while True:
            found = admin.describe_configs([asked], config_filter="all")["topic"][name]
            if {key: entry["value"] for key, entry in found.items()} == config:
                return
            assert time.monotonic() < deadline, found


def problems(settings: Settings, topic: str) -> list[str]:
    name = the_name(settings, topic)
    return [p.text for state in check_topics(settings) if state.spec.name == name for p in state.problems]


@pytest.mark.broker
def test_missing_topics_are_created_as_specified_and_a_second_time_none(settings: Settings) -> None:
    assert all(not state.exists and state.problems for state in check_topics(settings))
    specs = topic_admin.topic_specs(settings)
    assert set(ensure_topics(settings)) == {spec.name for spec in specs}
    assert ensure_topics(settings) == ()
    states = check_topics(settings)
    assert [(s.spec.name, s.partitions, s.replication, s.problems) for s in states] == [
        (spec.name, 2, 1, ()) for spec in specs
    ]


@pytest.mark.broker
def test_another_number_of_partitions_stops_the_start(settings: Settings) -> None:
    ensure_topics(settings)
    more = settings.model_copy(update={"partitions": 3})
    with pytest.raises(
        TopicError, match=r"access-events: has 2 partitions, needs 3; set PARCELWATCH_PARTITIONS=2"
    ):
        ensure_topics(more)
    assert problems(more, ACCESS_EVENTS) == ["has 2 partitions, needs 3"]


@pytest.mark.broker
def test_a_setting_that_would_lose_data_stops_the_start(settings: Settings) -> None:
    ensure_topics(settings)
    alter(settings, f"{settings.app_id}-detect-changelog", {"cleanup.policy": "compact,delete"})
    with pytest.raises(
        TopicError, match=r"has cleanup.policy=compact,delete, needs compact; kafka-configs.sh"
    ):
        ensure_topics(settings)


@pytest.mark.broker
def test_shorter_retention_is_named_but_does_not_stop_and_longer_is_fine(settings: Settings) -> None:
    ensure_topics(settings)
    alter(settings, ALERTS, {"retention.ms": "1000"})
    alter(settings, ACTOR_LOG, {"retention.ms": "-1"})
    assert ensure_topics(settings) == ()
    assert problems(settings, ALERTS) == ["has retention.ms=1000, needs at least 31536000000"]
    assert problems(settings, ACTOR_LOG) == []


@pytest.mark.broker
def test_too_few_replicas_are_named(settings: Settings) -> None:
    ensure_topics(settings)
    assert "has 1 replicas, needs 3" in problems(settings.model_copy(update={"replication": 3}), ALERTS)


@pytest.mark.broker
def test_a_topic_the_broker_refuses_is_named_with_the_brokers_reason(settings: Settings) -> None:
    with pytest.raises(
        TopicError, match=r"topic \S+ cannot be created: .*\n(.*\n)*.*PARCELWATCH_REPLICATION is 9"
    ):
        ensure_topics(settings.model_copy(update={"replication": 9}))


@pytest.mark.broker
def test_the_command_creates_checks_and_exits_1_on_red(settings: Settings) -> None:
    runner = CliRunner()
    before = runner.invoke(main, ["topics", "check"])
    assert before.exit_code == 1
    assert "remedy: run `parcelwatch topics create`" in before.output
    created = runner.invoke(main, ["topics", "create"])
    assert created.exit_code == 0, created.output
    assert "11 created, 0 were there already" in created.output
    assert "0 created, 11 were there already" in runner.invoke(main, ["topics", "create"]).output
    after = runner.invoke(main, ["topics", "check"])
    assert after.exit_code == 0, after.output
    assert "11 of 11 topics" in after.output


def test_describe_needs_no_broker_and_names_purpose_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARCELWATCH_PARTITIONS", "6")
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    result = CliRunner().invoke(main, ["topics", "describe"])
    assert result.exit_code == 0
    assert "who read which shipment record" in result.output
    assert "6 partitions, 1 replicas, cleanup.policy=compact" in result.output
    assert "parcelwatch-detect-changelog" in result.output


def test_no_broker_is_said_with_its_setting_and_remedy() -> None:
    settings = Settings(broker="127.0.0.1:1")
    with pytest.raises(TopicError, match=r"no Kafka broker answers at 127.0.0.1:1 .*PARCELWATCH_BROKER"):
        check_topics(settings, timeout=0.3)


@pytest.mark.parametrize("address", ["kafka:x", "kafka", "", "kafka:0", ":9092"])
def test_a_broker_address_that_is_none_is_said_at_once(address: str) -> None:
    with pytest.raises(SettingsError, match=r"setting broker = .* is not host:port"):
        load_settings(broker=address)


def test_a_host_that_does_not_exist_is_said_with_its_remedy() -> None:
    with pytest.raises(TopicError, match=r"answers at kafka.invalid:9092 .*PARCELWATCH_BROKER"):
        check_topics(Settings(broker="kafka.invalid:9092"), timeout=0.1)


def test_every_changelog_is_only_compacted() -> None:
    changelogs = [spec for spec in topic_specs(Settings()) if spec.name.endswith("-changelog")]
    assert len(changelogs) == 3
    assert all(spec.config["cleanup.policy"] == "compact" for spec in changelogs)
