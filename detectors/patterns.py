"""Which regular expressions are safe to run on values that somebody else chose: a pattern must not take for ever."""

from __future__ import annotations

import re

#: Characters a pattern may have, and a value that is matched.
LONGEST = 200
LONGEST_VALUE = 256
#: Repeats without end (`*`, `+`, `{2,}`): with k of them a match of n characters takes up to n^(k+1) steps.
MOST_UNBOUNDED = 2
#: Repeats with an end (`?`, `{2,5}`) and groups of alternatives: each multiplies the ways to match.
MOST_BOUNDED = 6
#: Times a bounded repeat may repeat.
MOST_TIMES = 64
_REPEAT = re.compile(r"[*+?]|\{(\d*)(,?)(\d*)\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")


def fault(pattern: str) -> str:
    """Why a pattern is refused; empty when it is safe and valid.

    A backtracking matcher, as Python's is, can be made to take exponential time by a repeat within a repeat, and
    polynomial time of a high degree by many repeats in a row. Both are refused, and so is what is not regular.

    >>> fault("HN-[0-9]+")
    ''
    >>> fault("(a+)+$")
    'it repeats a group that itself repeats or chooses, which can take exponential time; write the group out'
    """
    if len(pattern) > LONGEST:
        return f"it has {len(pattern)} characters; at most {LONGEST} are allowed"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as exc:
        return f"it is no regular expression: {exc}"
    return _costs(pattern)


def _costs(pattern: str) -> str:
    groups: list[bool] = []  # of each open group: whether it repeats or chooses within
    unbounded = bounded = at = 0
    closed: bool | None = None  # the group that ended just before
    while at < len(pattern):
        if repeat := _REPEAT.match(pattern, at):
            if closed:
                return (
                    "it repeats a group that itself repeats or chooses, which can take exponential time; "
                    "write the group out"
                )
            if _endless(repeat):
                unbounded += 1
            elif not _fixed(repeat):
                bounded += 1
            if max(int(times or 0) for times in repeat.group(1, 3)) > MOST_TIMES:
                return f"it repeats more than {MOST_TIMES} times; use *, + or fewer"
            groups = [True] * len(groups)
            at = repeat.end()
            if pattern[at : at + 1] in {"?", "+"}:
                at += 1
            closed = None
            continue
        char = pattern[at]
        closed = None
        if char == "\\":
            if pattern[at + 1 : at + 2].isdigit():
                return "it refers back to a group, which can take exponential time; write the text out"
            at += 2
        elif char == "[" and (span := _CLASS.match(pattern, at)):
            at = span.end()
        elif char == "(":
            if pattern.startswith("(?", at) and not pattern.startswith("(?:", at):
                return "of groups that begin with (?, only (?: is allowed; flags are the modifiers i, m and s"
            groups.append(False)
            at += 3 if pattern.startswith("(?:", at) else 1
        elif char == ")":
            closed = groups.pop() if groups else None
            at += 1
        else:
            if char == "|":
                bounded += 1
                groups = [True] * len(groups)
            at += 1
    if unbounded > MOST_UNBOUNDED:
        return f"it has {unbounded} repeats without end; at most {MOST_UNBOUNDED} are allowed"
    if bounded > MOST_BOUNDED:
        return f"it has {bounded} optional parts and alternatives; at most {MOST_BOUNDED} are allowed: use a list"
    return ""


def _endless(repeat: re.Match[str]) -> bool:
    return repeat[0] in ("*", "+") or (repeat[2] == "," and not repeat[3])


def _fixed(repeat: re.Match[str]) -> bool:
    return repeat[0] != "?" and (not repeat[2] or repeat[1] == repeat[3])
