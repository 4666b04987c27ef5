"""Topics on the broker as `streams.flow.topics` wants them: created when absent, compared when there, never
altered."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from streams.broker_security import BrokerSecurity
from streams.flow.connection import login_problem_now
from streams.flow.topics import TopicSpec, topic_specs
from streams.settings import Settings

#: Settings that may be more generous than asked for without anything breaking; -1 stands for no limit.
_AT_LEAST = frozenset({"retention.ms", "max.message.bytes"})


#: How a user gets the rights (ACLs) it lacks.
GRANT = "grant what `parcelwatch topics acls` lists for its role"


class TopicError(Exception):
    """The broker cannot be reached, or topics cannot be had as needed; says which, and how to mend it."""


@dataclass(frozen=True)
class Problem:
    """One way in which a topic is not as needed.

    Attributes:
        text: what it is and what it should be.
        remedy: what to do.
        fatal: whether running like this would lose or tear data; what is not fatal merely keeps less.
    """

    text: str
    remedy: str
    fatal: bool = True


@dataclass(frozen=True)
class TopicState:
    """A topic as wanted, as found, and the difference.

    Attributes:
        spec: how it must be.
        partitions, replication: as found; 0 when the topic does not exist.
        problems: what is wrong; empty when all is well.
    """

    spec: TopicSpec
    partitions: int = 0
    replication: int = 0
    problems: tuple[Problem, ...] = field(default=())

    @property
    def exists(self) -> bool:
        """Whether the broker has the topic."""
        return self.partitions > 0


@contextmanager
def admin_client(settings: Settings, timeout: float = 10.0) -> Iterator[KafkaAdminClient]:
    """A Kafka admin client, closed on exit.

    Args:
        timeout: seconds to wait for the first answer, and for each one after that.

    Raises:
        TopicError: no broker answers.
    """
    hint = "start one (`parcelwatch broker` for a local one) or set PARCELWATCH_BROKER to yours"
    if problem := _unreachable(settings.broker, timeout):
        raise TopicError(
            f"no Kafka broker answers at {settings.broker} within {timeout:g} s ({problem}); {hint}"
        )
    # Asked first: the client below would try a wrong password again until its time is out.
    if settings.broker_security != BrokerSecurity() and (problem := login_problem_now(settings, timeout)):
        raise TopicError(problem)
    milliseconds = int(timeout * 1000)
    try:
        admin = KafkaAdminClient(
            **settings.kafka_client,
            client_id="parcelwatch-admin",
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
        )
    except KafkaError as exc:
        if problem := login_problem_now(settings):
            raise TopicError(problem) from None
        raise TopicError(
            f"what listens at {settings.broker} gives no Kafka answer within {timeout:g} s "
            f"({type(exc).__name__}); {hint}"
        ) from None
    try:
        yield admin
    finally:
        admin.close()


def ensure_topics(settings: Settings, timeout: float = 30.0) -> tuple[str, ...]:
    """Create the topics that are missing and make sure that the others can be worked with. Safe to repeat.

    Existing topics are never altered: their settings belong to whoever runs the cluster.

    Returns:
        Names of the topics that were created.

    Raises:
        TopicError: no broker answers, a topic cannot be created, or one exists in a way that would lose data.
    """
    with admin_client(settings, timeout) as admin:
        try:
            states = _compare(admin, settings)
            created = _create(admin, settings, [state.spec for state in states if not state.exists])
        except KafkaError as exc:
            raise TopicError(f"topics on {settings.broker} cannot be set up: {exc}") from None
    fatal = [
        f"topic {state.spec.name}: {problem.text}; {problem.remedy}"
        for state in states
        for problem in state.problems
        if state.exists and problem.fatal
    ]
    if fatal:
        raise TopicError("\n".join(fatal))
    return created


def check_topics(settings: Settings, timeout: float = 10.0) -> tuple[TopicState, ...]:
    """Compare every topic with how it must be: partitions, replication and the settings relied on.

    Raises:
        TopicError: no broker answers, or it does not let topics be described.
    """
    with admin_client(settings, timeout) as admin:
        return compare_topics(admin, settings)


def compare_topics(admin: KafkaAdminClient, settings: Settings) -> tuple[TopicState, ...]:
    """`check_topics` over a client that is already connected."""
    try:
        return _compare(admin, settings)
    except KafkaError as exc:
        raise TopicError(f"topics on {settings.broker} cannot be described: {exc}") from None


def _unreachable(bootstrap: str, timeout: float) -> str:
    """Why no bootstrap server accepts a connection; empty when one does.

    Asked before the client is made: a client that cannot bootstrap leaves its thread and sockets behind,
    and does not say that a host is unknown.
    """
    deadline = time.monotonic() + timeout
    while True:
        problems = []
        for server in bootstrap.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                remaining = max(0.1, deadline - time.monotonic())
                socket.create_connection((host.strip("[]"), int(port)), remaining).close()
            except UnicodeError:
                return f"{host!r} is not a host name"
            except OSError as exc:
                problems.append(exc.strerror or "timed out")
            else:
                return ""
        if time.monotonic() >= deadline:
            return ", ".join(problems)
        time.sleep(min(0.2, timeout))


def _create(admin: KafkaAdminClient, settings: Settings, specs: Sequence[TopicSpec]) -> tuple[str, ...]:
    if not specs:
        return ()
    wanted = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": settings.replication,
            "configs": spec.config,
        }
        for spec in specs
    }
    answer = admin.create_topics(wanted, raise_errors=False)
    created, failed = [], []
    for topic in answer["topics"]:
        if topic["error_code"] == 0:
            created.append(topic["name"])
        # Another worker was quicker: that is the wanted end state.
        elif topic["error_code"] != TopicAlreadyExistsError.errno:
            reason = topic["error_message"] or for_code(topic["error_code"]).__name__
            failed.append(f"topic {topic['name']} cannot be created: {reason}")
    if failed:
        raise TopicError(
            "\n".join(failed) + f"\nthe rest was created; mend this (PARCELWATCH_REPLICATION is "
            f"{settings.replication}) and run `parcelwatch topics create` again"
        )
    admin.wait_for_topics(list(wanted))
    return tuple(created)


def _compare(admin: KafkaAdminClient, settings: Settings) -> tuple[TopicState, ...]:
    specs = topic_specs(settings)
    names = [spec.name for spec in specs]
    described = admin.describe_topics(names)
    if hidden := sorted(
        t["name"] for t in described if t["error_code"] == TopicAuthorizationFailedError.errno
    ):
        raise TopicError(
            f"this user may not see {', '.join(hidden)} at {settings.broker}; {GRANT}, or create the topics "
            "first as one who may (`parcelwatch topics create`)"
        )
    found = {topic["name"]: topic for topic in described if topic["error_code"] == 0}
    configs: dict[str, Any] = {}
    if found:
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, spec.name, dict.fromkeys(spec.config))
            for spec in specs
            if spec.name in found
        ]
        configs = admin.describe_configs(resources, config_filter="all")["topic"]
    return tuple(_state(spec, found.get(spec.name), configs.get(spec.name, {}), settings) for spec in specs)


def _state(
    spec: TopicSpec, topic: dict[str, Any] | None, config: dict[str, Any], settings: Settings
) -> TopicState:
    if topic is None:
        missing = Problem("does not exist", "run `parcelwatch topics create`")
        return TopicState(spec, problems=(missing,))
    partitions = len(topic["partitions"])
    replication = min((len(p["replica_nodes"]) for p in topic["partitions"]), default=0)
    problems = []
    if partitions != spec.partitions:
        problems.append(
            Problem(
                f"has {partitions} partitions, needs {spec.partitions}",
                f"set PARCELWATCH_PARTITIONS={partitions} if all topics have that many; otherwise delete the "
                "topic, with what is in it, and run `parcelwatch topics create`",
            )
        )
    if replication < settings.replication:
        problems.append(
            Problem(
                f"has {replication} replicas, needs {settings.replication}",
                "raise it with kafka-reassign-partitions.sh, or lower PARCELWATCH_REPLICATION",
                fatal=False,
            )
        )
    leaderless = sum(p["leader_id"] < 0 for p in topic["partitions"])
    if leaderless:
        problems.append(
            Problem(
                f"{leaderless} partitions have no leader", "bring the brokers holding them back", fatal=False
            )
        )
    for key, wanted in spec.config.items():
        value = str(config.get(key, {}).get("value"))
        if not _suffices(key, value, wanted):
            problems.append(
                Problem(
                    f"has {key}={value}, needs {'at least ' if key in _AT_LEAST else ''}{wanted}",
                    f"kafka-configs.sh --bootstrap-server {settings.broker} --entity-type topics "
                    f"--entity-name {spec.name} --alter --add-config {key}={wanted}",
                    fatal=key != "retention.ms",
                )
            )
    return TopicState(spec, partitions, replication, tuple(problems))


def _suffices(key: str, value: str, wanted: str) -> bool:
    """Whether a topic's setting does what is wanted.

    >>> _suffices("retention.ms", "-1", "1000"), _suffices("retention.ms", "999", "1000")
    (True, False)
    >>> _suffices("cleanup.policy", "compact,delete", "compact")
    False
    """
    if key not in _AT_LEAST:
        return value == wanted
    try:
        number = int(value)
    except ValueError:
        return False
    return number == -1 or number >= int(wanted)
