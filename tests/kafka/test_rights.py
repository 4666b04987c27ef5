"""The list of rights is one list: the script grants it, the documentation shows it, and nobody gets more."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from streams.flow.topics import topic_specs
from streams.kafka.rights import ROLES, Role, grant_script, rights
from streams.settings import Settings

SETTINGS = Settings(app_id="watch")
PAGE = Path(__file__).parents[2] / "docs/broker-security.md"
TOPICS = {spec.name for spec in topic_specs(Settings())}


def granted(role: Role, user: str) -> set[tuple[str, str, str]]:
    """Kind, name and operation of every right that the script's lines add up to."""
    found = set()
    for line in grant_script(SETTINGS, role, user):
        words = shlex.split(line)
        assert words[:3] == ["kafka-acls.sh", "--bootstrap-server", SETTINGS.broker]
        assert f"User:{user}" in words
        pairs = list(itertools.pairwise(words))
        operations = [value for option, value in pairs if option == "--operation"]
        kinds = [(option[2:], value) for option, value in pairs if option in ("--topic", "--group")]
        found |= {(kind, name, operation) for kind, name in kinds for operation in operations}
    return found


@pytest.mark.parametrize("role", ROLES)
def test_the_script_grants_the_rights_of_a_role_and_no_others(role: Role) -> None:
    wanted = {
        (right.kind, right.name, operation.title().replace("_", ""))
        for right in rights(SETTINGS, role)
        for operation in right.operations
    }
    assert granted(role, "O'Brien; rm -rf /") == wanted


@pytest.mark.parametrize("role", ROLES)
def test_only_the_operator_creates_and_nobody_writes_where_he_has_no_business(role: Role) -> None:
    operations = {
        (right.name, operation) for right in rights(SETTINGS, role) for operation in right.operations
    }
    assert (role == "operator") == any(operation == "CREATE" for _, operation in operations)
    writers = {
        "control": {"analyst"},
        "alerts": {"worker"},
        "parcel-log": {"worker"},
        "actor-log": {"worker"},
    }
    for topic, may in writers.items():
        assert ((topic, "WRITE") in operations) == (role in may)


@pytest.mark.parametrize("role", ROLES)
def test_the_documentation_names_what_a_role_may_read_and_write(role: Role) -> None:
    [row] = re.findall(rf"^\| `{role}` \| .*? \| (.*) \| .* \|$", PAGE.read_text(), re.MULTILINE)
    named = set(re.findall(r"`([a-z-]+)`", row))
    if "what a sender writes" in row:
        named |= {right.name for right in rights(Settings(), "sender")}
    wanted = {
        right.name
        for right in rights(Settings(), role)
        if right.kind == "topic"
        and {"READ", "WRITE"} & set(right.operations)
        and not right.name.endswith("-changelog")
    }
    assert named & TOPICS == wanted
