"""Carriers' rules as control records carry them, for tests that need no YAML."""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.correlation import Correlation
from detectors.sigma import Node, Rule, RuleSet


def a_rule(name: str, when: Node | None = None, about: Correlation | None = None, **more: Any) -> Rule:
    """A rule with defaults."""
    return Rule(
        name, f"00000000-0000-4000-8000-{len(name):012d}", f"Title of {name}", "medium", when, about, **more
    )


def on(**fields: str) -> Node:
    """Fields equal these texts."""
    return Node("and", args=tuple(Node("like", field, value) for field, value in fields.items()))


VIEWED = a_rule("viewed", on(action="view"), output=False)
EXPORTED = a_rule("exported", on(action="export"))
OFTEN = a_rule("often", about=Correlation("event_count", ("viewed",), 3_600, count=3))
RULES = RuleSet((
    VIEWED, EXPORTED, OFTEN,
    a_rule("then_out", about=Correlation("temporal_ordered", ("viewed", "exported"), 86_400, count=2)),
    a_rule("much", about=Correlation("value_sum", ("viewed", "exported"), 86_400, count=10, fields=("records",) * 2)),
    a_rule("wide", about=Correlation(
        "value_count", ("viewed",), 7_200, count=2, fields=("parcel",), groups=(("site",),))),
    a_rule("again", about=Correlation("event_count", ("often",), 86_400, count=2)),
))  # fmt: skip
#: The same, one stricter and one gone.
CHANGED = RuleSet((
    VIEWED, EXPORTED, a_rule("often", about=Correlation("event_count", ("viewed",), 3_600, count=2)), *RULES.rules[4:6],
))  # fmt: skip


def loaded(rules: RuleSet) -> dict[str, Any]:
    """Fields of the control record that loads them."""
    return {"value": rules.version(), "rules": msgspec.to_builtins(rules)}
