"""The rights (ACLs) each process needs on the broker: listed, granted by script, looked at before a start."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import structlog
from kafka import KafkaAdminClient
from kafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from streams.flow.topics import (
    ACTOR_LOG,
    ALERTS,
    CONTROL,
    PARCEL_LOG,
    REJECTED,
    topic_specs,
)
from streams.kafka.topic_admin import TopicError, admin_client
from streams.settings import Settings

T = TypeVar("T")
log = structlog.get_logger(__name__)

Role = Literal["operator", "worker", "tell", "history", "sender", "analyst"]
Operation = Literal["READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"]

ROLES: dict[Role, str] = {
    "operator": "topics create, topics check, doctor",
    "worker": "worker",
    "tell": "tell",
    "history": "history write",
    "sender": "the carrier's systems, and replay",
    "analyst": "verdict, suppress, watch, calibrate, model, honeytoken, rejected",
}
assert set(ROLES) == set(get_args(Role))


class RightsError(TopicError):
    """The user lacks rights; says which, on what, and the command that grants them."""


@dataclass(frozen=True)
class Right:
    """What one role may do with one topic or consumer group.

    Attributes:
        kind: of the resource.
        name: of the resource, literally.
        operations: as Kafka names them; READ and WRITE let describe, too.
    """

    kind: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]


def rights(settings: Settings, role: Role) -> tuple[Right, ...]:
    """The least that lets a role do its work, once the topics exist (only `operator` creates them)."""
    every = [spec.name for spec in topic_specs(settings)]
    changelogs = [name for name in every if name.endswith("-changelog")]
    # What carriers send comes first, then what people decide.
    carriers = every[: every.index(CONTROL)]
    group, tell = settings.app_id, f"{settings.app_id}-tell"
    if role == "operator":
        topics = {name: {"CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"} for name in every}
        return (
            *_topics(every, topics),
            Right("group", group, ("DESCRIBE",)),
            Right("group", tell, ("DESCRIBE",)),
        )
    if role == "worker":
        reads = {*every[: every.index(REJECTED)], PARCEL_LOG, ACTOR_LOG, *changelogs}
        writes = {PARCEL_LOG, ACTOR_LOG, REJECTED, ALERTS, *changelogs}
        topics = {
            name: {"DESCRIBE_CONFIGS"}
            | ({"READ"} if name in reads else set())
            | ({"WRITE"} if name in writes else set())
            for name in every
        }
        return (*_topics(every, topics), Right("group", group, ("READ",)))
    if role == "tell":
        return (Right("topic", ALERTS, ("READ",)), Right("group", tell, ("READ",)))
    if role == "history":
        return (Right("topic", ACTOR_LOG, ("READ",)),)
    if role == "sender":
        return tuple(Right("topic", name, ("WRITE",)) for name in every if name in carriers)
    topics = {name: {"WRITE"} for name in carriers}
    topics |= {CONTROL: {"READ", "WRITE"}, REJECTED: {"READ", "WRITE"}, ALERTS: {"READ"}}
    return _topics(every, topics)


def _topics(order: list[str], operations: dict[str, set[str]]) -> tuple[Right, ...]:
    return tuple(
        Right("topic", name, tuple(op for op in get_args(Operation) if op in operations[name]))
        for name in order
        if name in operations
    )


def grant_script(settings: Settings, role: Role, user: str) -> Iterator[str]:
    """Lines of a shell script that grants a role's rights to `user` with Kafka's own `kafka-acls.sh`."""
    together: dict[tuple[str, tuple[Operation, ...]], list[str]] = {}
    for right in rights(settings, role):
        together.setdefault((right.kind, right.operations), []).append(right.name)
    for (kind, operations), names in together.items():
        yield (
            f'kafka-acls.sh --bootstrap-server {settings.broker} --command-config "$ADMIN" --add '
            f"--allow-principal {shlex.quote(f'User:{user}')} "
            + " ".join(f"--operation {operation.title().replace('_', '')}" for operation in operations)
            + " "
            + " ".join(f"--{kind} {name}" for name in names)
        )


def check_rights(settings: Settings, role: Role, timeout: float = 10.0) -> None:
    """See that this process's user has what `role` needs, before work is begun that would fail half-way.

    A broker without an authorizer allows everything; of a topic that does not exist nothing is said.

    Raises:
        RightsError: naming every right that is missing.
        TopicError: no broker answers.
    """
    needed = rights(settings, role)
    with admin_client(settings, timeout) as admin:
        try:
            had = _had(admin, needed)
        except KafkaError as exc:
            raise TopicError(f"{settings.broker} does not say what this user may do: {exc}") from None
    missing = [
        f"{' and '.join(lacking)} on {right.kind} {right.name}"
        for right in needed
        if (may := had.get((right.kind, right.name))) is not None
        and (lacking := [operation for operation in right.operations if operation not in may])
    ]
    if missing:
        user = settings.broker_security.username or "ANONYMOUS"
        raise RightsError(
            f"user {user} of {settings.broker} lacks {', '.join(missing)}; grant it as the broker's administrator: "
            f"`parcelwatch topics acls {role} --user {user}` prints the commands"
        )


def patiently(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """The answer about a group; on a young cluster the coordinator is only made when first asked for."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except CoordinatorNotAvailableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def allowed(settings: Settings, role: Role) -> None:
    """`check_rights` for a process that may start before its broker.

    Raises:
        RightsError: as `check_rights` does.
    """
    try:
        check_rights(settings, role, timeout=3.0)
    except RightsError:
        raise
    except TopicError as exc:
        # Its own loop goes on trying, and says what it waits for.
        log.warning("rights on the broker could not be looked at", broker=settings.broker, reason=str(exc))


def _of_group(admin: KafkaAdminClient, name: str) -> tuple[str, ...] | None:
    allowed_here = patiently(lambda: admin.describe_groups([name]))[name]["authorized_operations"]
    return None if allowed_here is None else tuple(allowed_here)


def _had(admin: KafkaAdminClient, needed: tuple[Right, ...]) -> dict[tuple[str, str], set[str]]:
    """Operations allowed by kind and name; without those of which the broker does not speak."""
    had: dict[tuple[str, str], set[str]] = {}
    for topic in admin.describe_topics([right.name for right in needed if right.kind == "topic"]):
        if (
            topic["authorized_operations"] is not None
            or topic["error_code"] == TopicAuthorizationFailedError.errno
        ):
            had["topic", topic["name"]] = set(topic["authorized_operations"] or ())
    for right in needed:
        if right.kind == "group":
            try:
                found = _of_group(admin, right.name)
            except GroupAuthorizationFailedError:
                found = ()
            if found is not None:
                had["group", right.name] = set(found)
    return had
