"""From pySigma's condition tree to the plain one that travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detectors.presence import Presence
from detectors.sigma import Node
from detectors.touch_fields import FIELDS, FLAG, MOMENT, NUMBER, TOKEN

if TYPE_CHECKING:
    from sigma.types import SigmaString

MODIFIERS = frozenset(
    (
        "startswith", "endswith", "contains", "all", "exists", "cased", "re", "i", "m", "s", "ignorecase", "multiline",
        "dotall", "lt", "lte", "gt", "gte", "neq", "minute", "hour", "day", "week", "month", "year",
    )
)  # fmt: skip
#: Modifiers people will try, and why they are refused.
REFUSED = {
    "cidr": "addresses are kept as pseudonyms alone; group or count by network",
    "fieldref": "no two fields of a touch hold the same kind of value, but site and home_site: use at_home_site",
    "expand": "there are no placeholders; write the values as a list",
}
#: A value that needs more is no rule but a list.
MOST_VALUES = 500


class ConditionError(Exception):
    """A condition that cannot be used: what, and how to mend it.

    Attributes:
        field: the field it is about, or empty.
    """

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


def check_keys(detection: Any) -> None:
    """Refuse modifiers that are not supported, in a detection as YAML has it. Raises ConditionError."""
    if isinstance(detection, list):
        for one in detection:
            check_keys(one)
    if not isinstance(detection, dict):
        return
    for key, value in detection.items():
        field, *modifiers = str(key).split("|")
        if isinstance(value, list) and len(value) > MOST_VALUES:
            raise ConditionError(f"{field} has more than {MOST_VALUES} values; split the rule", field)
        for modifier in modifiers:
            if modifier not in MODIFIERS:
                why = REFUSED.get(modifier, f"there are: {', '.join(sorted(MODIFIERS))}")
                raise ConditionError(f"the modifier {modifier[:32]} is not supported: {why}", field)
        if not modifiers or isinstance(value, dict | list):
            check_keys(value)


def condition(tree: Any) -> Node:
    """A parsed condition of pySigma as a plain tree.

    Raises:
        ConditionError: it says something that a touch cannot be held against.
    """
    from sigma import conditions as of

    if isinstance(tree, of.ConditionAND | of.ConditionOR | of.ConditionNOT):
        op = {of.ConditionAND: "and", of.ConditionOR: "or", of.ConditionNOT: "not"}[type(tree)]
        return Node(op, args=tuple(condition(arg) for arg in tree.args if arg is not None))
    if isinstance(tree, of.ConditionFieldEqualsValueExpression):
        return _comparison(tree.field, tree.value)
    raise ConditionError(
        "keywords without a field search the text of a log line, which a touch has not; name a field"
    )


def _comparison(field: str, value: Any) -> Node:
    from sigma import types as of

    kind = FIELDS[field].kind if field in FIELDS else ""
    if isinstance(value, of.SigmaExists):
        return Node("exists" if value.exists else "null", field)
    if isinstance(value, of.SigmaNull):
        return Node("null", field)
    if isinstance(value, of.SigmaRegularExpression):
        flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
        return Node("re", field, f"(?{flags}){value.regexp.original}" if flags else value.regexp.original)
    if isinstance(value, of.SigmaTimestampPart):
        return Node(value.timestamp_part.name.lower(), field, value.number)
    if isinstance(value, of.SigmaCompareExpression):
        if isinstance(value.number, of.SigmaTimestampPart) or kind == MOMENT:
            raise ConditionError(
                "parts of time are compared for equality; use the field hour, or a list", field
            )
        return Node(value.op.name.lower(), field, value.number.number)
    if isinstance(value, of.SigmaNumber):
        return Node("eq", field, value.number) if kind == NUMBER else Node("like", field, f"{value.number}")
    if isinstance(value, of.SigmaBool):
        return Node("eq", field, value.boolean) if kind == FLAG else Node("like", field, str(value.boolean))
    if isinstance(value, of.SigmaString):
        cased = isinstance(value, of.SigmaCasedString)
        return _text(field, kind, value, cased=cased)
    raise ConditionError(f"a value of {field} is a {type(value).__name__}, which is not supported", field)


def _text(field: str, kind: str, value: SigmaString, *, cased: bool) -> Node:
    if not value.s:
        return Node("null", field)
    plain = "".join(value.s) if all(isinstance(part, str) for part in value.s) else None  # type: ignore[arg-type]  # they are
    if plain is not None:
        if kind == FLAG and plain.lower() in ("true", "false"):
            return Node("eq", field, plain.lower() == "true")
        if kind == NUMBER:
            return Node("eq", field, _number(field, plain))
        if kind == TOKEN:
            return Node("eq", field, plain)
    return Node("likec" if cased else "like", field, "".join(map(_glob, value.s)))


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConditionError(f"{field} is a number, and {text[:32]!r} is none", field) from None


def _glob(part: Any) -> str:
    from sigma.types import SpecialChars

    if isinstance(part, str):
        return "".join(f"[{char}]" if char in "[*?" else char for char in part)
    if part is SpecialChars.WILDCARD_MULTI:
        return "*"
    if part is SpecialChars.WILDCARD_SINGLE:
        return "?"
    raise ConditionError("placeholders are not supported; write the values as a list")


def presence(tree: Any, slots: dict[str, int]) -> Presence:
    """A condition in words over rules, as a plain tree. Raises ConditionError."""
    from sigma import correlations as of

    if isinstance(tree, of.SigmaRuleReference):
        return Presence("rule", slots[tree.reference])
    if isinstance(tree, of.CorrelationConditionNOT):
        raise ConditionError("`not` in a correlation would have to wait for what does not come; leave it out")
    op = "and" if isinstance(tree, of.CorrelationConditionAND) else "or"
    return Presence(op, args=tuple(presence(arg, slots) for arg in tree.args))
