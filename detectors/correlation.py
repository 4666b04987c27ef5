"""Correlations of rules over one person's touches: sliding windows of event time in little, bounded space.

A window ends at the latest touch that matched and is `timespan` long, both ends included. Nothing is cut at boundaries
of the clock. Touches that come late are counted as long as the window has not passed them.

| type | metric | bounded by |
|---|---|---|
| event_count | matches | exact up to a threshold of 60; beyond, counts are merged by 1/32 of the time span |
| value_sum, value_avg | sum, mean of a field | exact up to 64 matches; beyond, merged by 1/32 of the time span |
| value_count | distinct values | exact up to a threshold of 60; beyond, a sample by hash (Gibbons 2001), 15 % off |
| value_percentile, value_median | linear between ranks (type 7 of Hyndman and Fan 1996) | of the latest 64 matches |
| temporal | how many of the rules matched | exact |
| temporal_ordered | 1 when all matched in order, each later than the one before | exact while touches come in order |

What is merged leaves the window when its latest does: up to 1/32 of the time span late, so that rather too much counts.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from itertools import count
from math import ceil, floor
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from zlib import crc32

import msgspec

from detectors.base import Touch
from detectors.presence import Presence, holds
from detectors.touch_fields import value_of

TYPES = (
    "event_count", "value_count", "value_sum", "value_avg", "value_percentile", "value_median", "temporal",
    "temporal_ordered",
)  # fmt: skip
#: Types whose metric is about a field, and those where the field is a number.
NUMERIC = ("value_sum", "value_avg", "value_percentile", "value_median")
VALUED = ("value_count", *NUMERIC)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lt,
    "lte": le,
    "gt": gt,
    "gte": ge,
    "eq": eq,
    "neq": ne,
}
#: Rows a window may have, the highest threshold it is exact for, parts of a window that merged rows fall into, and
#: values of further group-by fields that are followed at once where order or presence count.
MOST, EXACT, PARTS, GROUPS = 64, 60, 32, 8
#: Longest window, seconds: a person is at rest once it has passed.
LONGEST = 7 * 86_400
_FAR = 1 << 30
Row = list[int | float | None]


class Correlation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What to make of matches of other rules.

    Attributes:
        type: see TYPES. rules: names of the rules. timespan: seconds.
        op, count: what the metric is held against.
        groups: for each rule, the fields to group by besides the person; aliases are resolved.
        fields: for each rule, the field the metric is about.
        percentile: 0 to 100. presence: an expression over the rules instead of a count, for `temporal`.
    """

    type: str
    rules: tuple[str, ...]
    timespan: int
    op: str = "gte"
    count: float = 1
    groups: tuple[tuple[str, ...], ...] = ()
    fields: tuple[str, ...] = ()
    percentile: float = 50
    presence: Presence | None = None

    def __post_init__(self) -> None:
        # 3 and 3.0 are equal, but not in the bytes that the hash of the rules is made of.
        for name in ("count", "percentile"):
            msgspec.structs.force_setattr(self, name, float(getattr(self, name)))

    def words(self) -> str:
        """The metric in words."""
        return f"{self.type} of {self.fields[0]}" if self.fields else self.type


class Window(msgspec.Struct, array_like=True):
    """Rows of one correlation, each with its time first, in ms after `base`; the latest last."""

    base: int = 0
    rows: list[Row] = []


def capacity(about: Correlation) -> int:
    """Rows a window of this correlation may come to hold."""
    grouped = GROUPS if any(about.groups) else 1
    if about.type.startswith("temporal"):
        return len(about.rules) * grouped
    if about.type in ("event_count", "value_count") and about.count <= EXACT:
        return min(MOST, (max(0, floor(about.count)) + 2) * grouped)
    return MOST


def observe(
    about: Correlation, window: Window, touch: Touch, slots: list[int], children: frozenset[int] = frozenset()
) -> tuple[float | None, int]:
    """Take in a touch that the rules numbered `slots` matched; `children` are those that are correlations themselves.

    A touch that several rules match is counted once; what correlations found counts by itself.

    Returns:
        The metric if the condition holds now, else None; event time (ms) of the first touch in the window.
    """
    if not window.rows:
        window.base = touch.time
    at = touch.time - window.base
    if at > _FAR:
        _rebase(about, window, at - about.timespan * 1000)  # small numbers take fewer bytes at rest
        at = touch.time - window.base
    now = max(at, int(window.rows[-1][0] or 0)) if window.rows else at
    start = now - about.timespan * 1000
    born = 3 if about.type == "temporal_ordered" else 0
    if window.rows and (born or (window.rows[0][0] or 0) < start):
        window.rows = [row for row in window.rows if (row[born] or 0) >= start]
    if at < start:
        return None, touch.time
    groups: list[int] = []
    counted: set[tuple[int, Any]] = set()
    # Later rules of a sequence first: one touch is never two steps of it.
    for slot in sorted(slots, reverse=True):
        group = _group(about, touch, slot)
        if group is not None:
            value = value_of(about.fields[slot])(touch) if about.fields else None
            single = not about.type.startswith("temporal") and slot not in children
            if not single or (group, value) not in counted:
                _take(about, window, slot, at, group, value)
            if single:
                counted.add((group, value))
            groups.append(group)
    for group in reversed(groups):
        metric = _metric(about, window, group, start)
        if metric is not None and (about.presence or COMPARE[about.op](metric, about.count)):
            return metric, window.base + min((int(row[born] or 0) for row in window.rows), default=at)
    return None, touch.time


def _rebase(about: Correlation, window: Window, shift: int) -> None:
    window.base += shift
    for row in window.rows:
        row[0] = int(row[0] or 0) - shift
        if about.type == "temporal_ordered":
            row[3], row[4] = int(row[3] or 0) - shift, None if row[4] is None else row[4] - shift


def window_ends(about: Correlation, window: Window) -> int:
    """Event time (ms) from which the window is empty."""
    return window.base + int(window.rows[-1][0] or 0) + about.timespan * 1000 + 1 if window.rows else 0


def _group(about: Correlation, touch: Touch, slot: int) -> int | None:
    """The group a touch belongs to, as a hash; 0 for the person alone, None when the log does not say."""
    fields = about.groups[slot] if about.groups else ()
    if not fields:
        return 0
    values = [value_of(name)(touch) for name in fields]
    return None if None in values else crc32(repr([_folded(value) for value in values]).encode())


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _take(about: Correlation, window: Window, slot: int, at: int, group: int, value: Any) -> None:
    kind, rows = about.type, window.rows
    if kind == "temporal":
        _replace(window, [at, group, slot], slot)
    elif kind == "temporal_ordered":
        _chain(window, at, group, slot)
    elif kind == "event_count":
        _insert(rows, [at, group, 1, 0])
        _bound(about, window, group)
    else:
        if value is None:
            return
        if kind == "value_count":
            digest = crc32(repr(_folded(value)).encode())
            if digest >> (32 - sample_shift(about)) == 0:
                _replace(window, [at, group, digest], digest)
        elif kind in ("value_sum", "value_avg"):
            _insert(rows, [at, group, 1, value])
        else:
            _insert(rows, [at, group, value])
        _bound(about, window, group)
    if len(window.rows) > (most := capacity(about)):
        del window.rows[: len(window.rows) - most]


def sample_shift(about: Correlation) -> int:
    """Of distinct values one in 2**shift is followed, by hash, so that a window at its threshold holds 28 to 60.

    >>> [sample_shift(Correlation("value_count", ("a",), 60, count=n)) for n in (10, 60, 61, 1_000)]
    [0, 0, 1, 5]
    """
    return next(shift for shift in count() if about.count / 2**shift <= EXACT)


def _insert(rows: list[Row], row: Row) -> None:
    if not rows or (rows[-1][0] or 0) <= (row[0] or 0):
        rows.append(row)
    else:
        insort(rows, row, key=lambda other: other[0] or 0)


def _replace(window: Window, row: Row, key: int) -> None:
    """Keep of a group's rows with this key the latest."""
    for index, other in enumerate(window.rows):
        if other[1] == row[1] and other[2] == key:
            if (other[0] or 0) > (row[0] or 0):
                return
            del window.rows[index]
            break
    _insert(window.rows, row)


def _bound(about: Correlation, window: Window, group: int) -> None:
    """Keep a group within its bounds: forget what cannot matter to the threshold, else merge."""
    exact = about.type in ("event_count", "value_count") and about.count <= EXACT
    most = floor(max(about.count, 0)) + 2 if exact else MOST
    if len(window.rows) <= most:
        return
    mine = [row for row in window.rows if row[1] == group]
    if len(mine) <= most:
        return
    if exact or about.type not in ("event_count", "value_sum", "value_avg"):
        window.rows.remove(mine[0])
        return
    width = max(1, about.timespan * 1000 // PARTS)
    merged: dict[tuple[Any, int], Row] = {}
    for row in window.rows:
        before = merged.pop(key := (row[1], (window.base + int(row[0] or 0)) // width), None)
        if before is not None:
            row = [row[0], row[1], (before[2] or 0) + (row[2] or 0), (before[3] or 0) + (row[3] or 0)]
        merged[key] = row
    window.rows = sorted(merged.values(), key=lambda row: row[0] or 0)


def _chain(window: Window, at: int, group: int, slot: int) -> None:
    """Note how late a sequence up to this rule may have begun: rows are end, group, rule, begin, begin of an earlier
    end. Dynamic programming over the rules, so that the shortest sequence is found whatever lies between.
    """
    mine = {row[2]: row for row in window.rows if row[1] == group}
    begin: Any = at
    if slot:
        before = mine.get(slot - 1)
        if before is None:
            return
        # An end at the same moment does not count, but an earlier one at the same rule may.
        begin = before[3] if (before[0] or 0) < at else before[4] if before[0] == at else None
        if begin is None:
            return
    row = mine.get(slot)
    if row is None:
        _insert(window.rows, [at, group, slot, begin, None])
        return
    window.rows.remove(row)
    end, best, earlier = int(row[0] or 0), row[3] or 0, row[4]
    if at > end:
        end, earlier = at, best
    elif at < end:
        earlier = begin if earlier is None else max(earlier, begin)
    best = max(best, begin)
    _insert(window.rows, [end, group, slot, best, earlier])


def _metric(about: Correlation, window: Window, group: int, start: int) -> float | None:
    """The metric of a group, None when there is nothing to measure."""
    rows: list[Any] = [row for row in window.rows if row[1] == group] if about.groups else window.rows
    kind = about.type
    if kind == "temporal":
        present = {row[2] for row in rows}
        return float(len(present)) if about.presence is None or holds(about.presence, present) else None
    if kind == "temporal_ordered":
        last = [row for row in rows if row[2] == len(about.rules) - 1]
        return float(len(about.rules)) if last and last[0][3] >= start else None
    if kind == "event_count":
        return float(sum(row[2] for row in rows))
    if kind == "value_count":
        return float(len(rows) << sample_shift(about))
    if not rows:
        return None
    if kind == "value_sum":
        return float(sum(row[3] for row in rows))
    if kind == "value_avg":
        return float(sum(row[3] for row in rows) / sum(row[2] for row in rows))
    values = sorted(row[2] for row in rows)
    place = (len(values) - 1) * about.percentile / 100
    low, high = values[floor(place)], values[ceil(place)]
    return float(low + (high - low) * (place - floor(place)))
