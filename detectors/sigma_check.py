"""Whether a set of rules may run: every control record that carries one is held to this before it takes effect."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detectors import patterns
from detectors.correlation import COMPARE, LONGEST, NUMERIC, TYPES, VALUED, Correlation
from detectors.presence import Presence
from detectors.sigma import (
    DEEPEST,
    MOST_NODES,
    MOST_ROWS,
    MOST_RULES,
    PARTS,
    RULE_NAME,
    SEVERITIES,
    Node,
    Rule,
    RuleSet,
    rows_needed,
)
from detectors.touch_fields import ABSENT, FIELDS, FLAG, MOMENT, NUMBER, PSEUDONYM, TOKEN

_FLAGS = re.compile(r"\(\?[ims]{1,3}\)")
#: Characters of a title and a description.
LONGEST_TEXT = 500
_TOKEN = re.compile(r"[A-Za-z0-9]{1,8}\.[A-Za-z0-9_.-]{1,255}")
#: Most rules a correlation may refer to, largest number that is compared with (beyond, floats skip whole numbers), and
#: most distinct values that are counted (their sample is taken by a hash of 32 bits).
MOST_SLOTS, LARGEST, MOST_DISTINCT = 16, 1 << 53, 1_000_000_000


def fault(rules: RuleSet) -> tuple[str, str] | None:
    """What keeps a set from running: the rule's name, and what is wrong and how to mend it; None when nothing does."""
    if len(rules.rules) > MOST_RULES:
        return "", f"a carrier may have {MOST_RULES} rules, not {len(rules.rules)}; leave some out"
    before: dict[str, Rule] = {}
    for rule in rules.rules:
        if wrong := _rule_fault(rule, before):
            return rule.name, wrong
        before[rule.name] = rule
    if (rows := rows_needed(rules)) > MOST_ROWS:
        return "", (
            f"the windows of all correlations together may hold {rows} rows of one person; at most {MOST_ROWS} are "
            "allowed: lower thresholds to 60 or less, group by actor alone, or load fewer correlations"
        )
    return None


def _rule_fault(rule: Rule, before: dict[str, Rule]) -> str:
    if not RULE_NAME.fullmatch(rule.name):
        return "its name has 1 to 48 small letters, digits and underscores, and begins with a letter"
    if rule.name in before:
        return "another rule has the same name; names are unique"
    if rule.level not in SEVERITIES:
        return f"its level is one of {', '.join(SEVERITIES)}"
    if rule.confidence not in (1, 2, 3):
        return "its confidence is 1, 2 or 3"
    for what in ("title", "title_vi", "description", "id"):
        if len(getattr(rule, what)) > LONGEST_TEXT:
            return f"its {what} has more than {LONGEST_TEXT} characters; shorten it"
    if (rule.when is None) == (rule.correlation is None):
        return "it has either a detection or a correlation"
    if rule.when is not None:
        return node_fault(rule.when)
    assert rule.correlation is not None, "there is one of the two"
    return _correlation_fault(rule.correlation, before)


def node_fault(node: Node) -> str:
    """What is wrong with a condition; empty when nothing is."""
    for number, (one, depth) in enumerate(_nodes(node)):
        if number >= MOST_NODES:
            return f"it has more than {MOST_NODES:,} conditions; split it into several rules"
        if depth > DEEPEST:
            return f"it is nested more than {DEEPEST} deep; write it flatter"
        if wrong := _one_fault(one):
            return wrong
    return ""


def _nodes(node: Node) -> Iterator[tuple[Node, int]]:
    stack = [(node, 1)]
    while stack:
        one, depth = stack.pop()
        yield one, depth
        stack.extend((arg, depth + 1) for arg in one.args)


def _one_fault(node: Node) -> str:
    op, value = node.op, node.value
    if op in ("and", "or", "not"):
        parts = len(node.args) == 1 if op == "not" else bool(node.args)
        return "" if parts else f"a condition {op} has no or too many parts"
    if node.args:
        return f"a condition {op} has no parts"
    if wrong := field_fault(node.field):
        return wrong
    kind = FIELDS[node.field].kind
    if op in ("null", "exists"):
        return ""
    if op in PARTS or kind == MOMENT:
        if op not in PARTS or kind != MOMENT:
            return f"{'|'.join(PARTS)} are parts of `time`, and time is compared by these alone"
        return "" if _is_number(value) else f"time|{op} is compared with a number"
    if kind == PSEUDONYM:
        return (
            f"{node.field} is a pseudonym: it can be grouped by, counted and tested with exists, not compared"
        )
    if kind == TOKEN:
        return _token_fault(node)
    if kind == FLAG:
        return "" if op == "eq" and isinstance(value, bool) else f"{node.field} is true or false"
    if kind == NUMBER:
        number = op in COMPARE and _is_number(value)
        return "" if number else f"{node.field} is a number: write one, with lt, lte, gt, gte or none"
    return _text_fault(node)


def _text_fault(node: Node) -> str:
    if node.op not in ("like", "likec", "re") or not isinstance(node.value, str):
        return f"{node.field} is text: write text, with startswith, endswith, contains, re, cased or none"
    if node.op != "re":
        too_long = len(node.value) > patterns.LONGEST_VALUE
        return f"a text of more than {patterns.LONGEST_VALUE} characters matches nothing" if too_long else ""
    wrong = patterns.fault(_FLAGS.sub("", node.value, count=1) if _FLAGS.match(node.value) else node.value)
    return f"the pattern of {node.field} is refused: {wrong}" if wrong else ""


def _token_fault(node: Node) -> str:
    if node.op == "eq" and isinstance(node.value, str) and _TOKEN.fullmatch(node.value):
        return ""
    return (
        f"{node.field} is a token, so no rule can match a clear id or a part of one: write the whole token as an alert "
        "has it, or match role, team or site"
    )


def field_fault(name: str) -> str:
    """What is wrong with a field's name; empty when it is one of a touch."""
    if name in FIELDS:
        return ""
    if name in ABSENT:
        return f"there is no field {name}: {ABSENT[name]}"
    return f"there is no field {name[:64]!r}; there are: {', '.join(FIELDS)}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def _correlation_fault(about: Correlation, before: dict[str, Rule]) -> str:
    if about.type not in TYPES:
        return f"its correlation type is one of {', '.join(TYPES)}"
    if not 1 <= len(about.rules) <= MOST_SLOTS or len(set(about.rules)) != len(about.rules):
        return f"it correlates 1 to {MOST_SLOTS} rules, each once"
    if missing := [name for name in about.rules if name not in before]:
        return f"it refers to {missing[0]}, which is not among the rules before it"
    if not 1 <= about.timespan <= LONGEST:
        return (
            f"its timespan is 1 second to {LONGEST // 86_400} days: what a person did longer ago is not kept"
        )
    if about.op not in COMPARE or not _is_number(about.count):
        return f"its condition compares a number of at most {LARGEST:,} by one of {', '.join(COMPARE)}"
    if about.type == "value_count" and about.count > MOST_DISTINCT:
        return f"no more than {MOST_DISTINCT:,} distinct values are counted; lower its threshold"
    if not 0 <= about.percentile <= 100:
        return "its percentile is 0 to 100"
    if about.groups and len(about.groups) != len(about.rules):
        return "it has one list of group-by fields a rule"
    if wrong := next(filter(None, (field_fault(name) for names in about.groups for name in names)), ""):
        return wrong
    if about.presence is not None and (
        about.type != "temporal" or _presence_fault(about.presence, len(about.rules))
    ):
        return "a condition in words belongs to type temporal, and names its rules with and and or"
    return _fields_fault(about, before)


def _fields_fault(about: Correlation, before: dict[str, Rule]) -> str:
    if about.type not in VALUED:
        return f"type {about.type} is about no field; leave field out" if about.fields else ""
    if len(about.fields) != len(about.rules):
        return f"type {about.type} needs the field it is about, in the condition"
    for name, field in zip(about.rules, about.fields, strict=True):
        if before[name].correlation is not None:
            return (
                f"{name} is a correlation and has no field of its own; use event_count, or refer to its rules"
            )
        if wrong := field_fault(field):
            return wrong
        if (kind := FIELDS[field].kind) == MOMENT or (about.type in NUMERIC and kind != NUMBER):
            numbers = ", ".join(name for name, known in FIELDS.items() if known.kind == NUMBER)
            return f"type {about.type} cannot be about {field}, which is a {kind}; numbers are: {numbers}"
    return ""


def _presence_fault(presence: Presence, slots: int, depth: int = 0) -> bool:
    if presence.op == "rule":
        return not 0 <= presence.slot < slots or bool(presence.args)
    if presence.op not in ("and", "or") or not presence.args or depth > DEEPEST:
        return True
    return any(_presence_fault(arg, slots, depth + 1) for arg in presence.args)
