"""Checks that ask the broker: is it there, are the topics right, who consumes them and how far behind."""

from __future__ import annotations

from collections.abc import Callable

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from streams.doctor.check import Check, green, red, yellow
from streams.flow.topics import (
    ACCESS_EVENTS,
    ACTOR_LOG,
    ALERTS,
    CONTROL,
    PARCEL_CONTEXT,
    PARCEL_LOG,
    STAFF_DIRECTORY,
)
from streams.kafka.rights import patiently
from streams.kafka.topic_admin import TopicError, TopicState, admin_client, compare_topics
from streams.settings import Settings

OLDEST_BROKER = (3, 0)
#: Records that one worker works off in a few seconds; more than this is worth a look.
MUCH_LAG = 100_000
#: Seconds a group's coordinator may take to come; doctor has to answer within ten.
PATIENCE = 3.0
WORKER_TOPICS = (ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY, CONTROL, PARCEL_LOG, ACTOR_LOG)


def check_kafka(settings: Settings, timeout: float) -> list[Check]:
    """Broker, topics, and the consumer groups of `worker` and `tell`."""
    try:
        with admin_client(settings, timeout) as admin:
            broker = _asked("broker", settings, lambda: [_check_broker(admin, settings)])
            return [
                *broker,
                *_asked("topics", settings, lambda: _check_topics(compare_topics(admin, settings))),
                *_asked("worker group", settings, lambda: _check_worker_group(admin, settings)),
                *_asked("tell group", settings, lambda: _check_tell_group(admin, settings)),
            ]
    except TopicError as exc:
        text, _, remedy = str(exc).partition("; ")
        unasked = [
            yellow(name, "not asked: no broker answers", "make the broker answer first")
            for name in ("topics", "lag")
        ]
        return [red("broker", text, remedy), *unasked]


def _asked(name: str, settings: Settings, check: Callable[[], list[Check]]) -> list[Check]:
    try:
        return check()
    except (KafkaError, TopicError) as exc:
        detail = f"{settings.broker} does not answer this: {type(exc).__name__}"
        return [red(name, detail, "look at the broker's log, and at the rights (ACLs) of this user")]


def _check_broker(admin: KafkaAdminClient, settings: Settings) -> Check:
    brokers = admin.describe_cluster()["brokers"]
    version = min(tuple(admin.get_broker_version_data(b["broker_id"]).broker_version) for b in brokers)
    text = ".".join(map(str, version))
    many = "1 broker" if len(brokers) == 1 else f"{len(brokers)} brokers"
    if version < OLDEST_BROKER:
        return yellow(
            "broker",
            f"Kafka {text} at {settings.broker}",
            "upgrade to Kafka 3.0 or newer; older is not tested",
        )
    if len(brokers) < settings.replication:
        return red(
            "broker",
            f"{many} up at {settings.broker}, replication is {settings.replication}",
            "bring the missing brokers back, or lower PARCELWATCH_REPLICATION",
        )
    return green("broker", f"Kafka {text} at {settings.broker}, {many}")


def _check_topics(states: tuple[TopicState, ...]) -> list[Check]:
    missing = [state.spec.name for state in states if not state.exists]
    if missing:
        return [red("topics", f"missing: {', '.join(missing)}", "run `parcelwatch topics create`")]
    wrong = [
        (red if problem.fatal else yellow)(f"topic {state.spec.name}", problem.text, problem.remedy)
        for state in states
        for problem in state.problems
    ]
    return wrong or [green("topics", f"all {len(states)} as needed")]


def _check_worker_group(admin: KafkaAdminClient, settings: Settings) -> list[Check]:
    return _check_group(admin, settings.app_id, WORKER_TOPICS, "worker")


def _check_tell_group(admin: KafkaAdminClient, settings: Settings) -> list[Check]:
    if not settings.receivers:
        return []
    return _check_group(admin, f"{settings.app_id}-tell", (ALERTS,), "tell")


def _check_group(admin: KafkaAdminClient, group: str, topics: tuple[str, ...], process: str) -> list[Check]:
    members = len(patiently(lambda: admin.describe_groups([group]), PATIENCE)[group]["members"])
    committed = patiently(lambda: admin.list_group_offsets([group]), PATIENCE)[group]
    found = {
        topic["name"]: topic for topic in admin.describe_topics(list(topics)) if topic["error_code"] == 0
    }
    partitions = [
        TopicPartition(name, partition["partition_index"])
        for name, topic in found.items()
        for partition in topic["partitions"]
    ]
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
    start = f"start one: `parcelwatch {process}`"
    if members:
        checks = [green(f"{process} group", f"{members} live in group {group}")]
    elif committed:
        checks = [red(f"{process} group", f"nobody is in group {group}, but somebody was", start)]
    else:
        checks = [yellow(f"{process} group", f"nobody has ever worked in group {group}", start)]
    for topic in found:
        lag = 0
        for tp in (tp for tp in partitions if tp.topic == topic):
            # What was never committed begins at the log's start, as does what retention has cut off
            # meanwhile.
            done = max(committed[tp].offset if tp in committed else 0, starts[tp].offset)
            lag += max(0, ends[tp].offset - done)
        checks.append(_judge_lag(topic, lag, members, process))
    return checks


def _judge_lag(topic: str, lag: int, members: int, process: str) -> Check:
    name, detail = f"lag {topic}", f"{lag:,} records behind"
    if lag and not members:
        return red(name, f"{detail} and nobody consuming", f"start `parcelwatch {process}`")
    if lag > MUCH_LAG:
        return yellow(
            name,
            detail,
            f"ask again in a minute; if it grows, look at the log of {process} or run more of them",
        )
    return green(name, detail)
