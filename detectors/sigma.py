"""Rules an organisation writes itself, in Sigma: as plain structures, and how they are held against touches.

`streams/rules` makes the structures from Sigma's YAML, and a control record carries them. Nothing here knows YAML.

References: Sigma specification 2.1.0 (SigmaHQ, 2025), detection and correlation rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fnmatch import translate
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from detectors import patterns
from detectors.base import CRITICAL, HIGH, LOW, MEDIUM, Finding, Touch
from detectors.correlation import COMPARE, Correlation, Window, capacity, observe, window_ends
from detectors.touch_fields import value_of

#: Severity of a rule's alerts by its level. OCSF's Informational would weigh nothing, so that it counts as low.
SEVERITIES = {"informational": LOW, "low": LOW, "medium": MEDIUM, "high": HIGH, "critical": CRITICAL}
#: A rule is a detector of this name, a point, and its own name: so alerts, verdicts and suppressions call it.
PREFIX = "rule."
RULE_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
#: Bounds of a carrier's rules: of their number, of conditions in one, of their depth, and of rows all windows of one
#: person may hold, some 12 bytes each.
MOST_RULES, MOST_NODES, DEEPEST, MOST_ROWS = 64, 1_000, 40, 320
#: Seconds without a further match after which a rule's episode is over, if its time span is not longer.
QUIET = 3_600
PARTS: dict[str, Callable[[datetime], int]] = {
    "minute": lambda at: at.minute,
    "hour": lambda at: at.hour,
    "day": lambda at: at.day,
    "week": lambda at: at.isocalendar().week,
    "month": lambda at: at.month,
    "year": lambda at: at.year,
}


class Node(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A condition.

    | op | about | value |
    |---|---|---|
    | and, or, not | `args` | |
    | eq | a number, a flag, or text as it is (cased) | |
    | like, likec | text, whatever its case or as it is | with `*`, `?` and `[…]` as `fnmatch` has them |
    | re | text that contains a match | a pattern, flags in front as `(?is)` |
    | lt, lte, gt, gte | a number | |
    | null, exists | whether the field has no value; whether it has one | |
    | minute, hour, day, week, month, year | that part of local time | a number |
    """

    op: str
    field: str = ""
    value: str | int | float | bool | None = None
    args: tuple[Node, ...] = ()


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One rule: a condition on a touch, or a correlation of rules before it.

    Attributes:
        name: unique within a carrier. id: Sigma's UUID.
        title, title_vi: what alerts say. level: see SEVERITIES. confidence: 1 to 3, by Sigma's status.
        output: whether it alerts, or only feeds correlations.
    """

    name: str
    id: str
    title: str
    level: str
    when: Node | None = None
    correlation: Correlation | None = None
    confidence: int = 2
    output: bool = True
    title_vi: str = ""
    description: str = ""

    @property
    def quiet(self) -> int:
        """Seconds without a match after which an episode is over."""
        return max(QUIET, self.correlation.timespan if self.correlation else 0)


class RuleSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules of a carrier; one that is referred to stands before those that refer to it."""

    rules: tuple[Rule, ...] = ()

    def version(self) -> str:
        """Hash of the contents."""
        return blake2b(msgspec.json.encode(self), digest_size=16).hexdigest()


class State(msgspec.Struct, array_like=True):
    """What rules remember of one person, as long as a window or an episode is open.

    Attributes:
        version: of the set it belongs to.
        windows: of correlations, by tag. fired: event time (ms) of the latest match of a rule that alerts, and how
            many there were since it was last quiet, by tag.
    """

    version: str = ""
    windows: dict[str, Window] = {}
    fired: dict[str, tuple[int, int]] = {}


class Live:
    """One rule, ready to run; what an alert needs to know of it.

    Attributes:
        name, tag, summary, quiet: as a detector has them. The tag changes with the rule and what it refers to.
    """

    def __init__(self, rule: Rule, before: dict[str, Live]) -> None:
        self.rule = rule
        self.name = PREFIX + rule.name
        self.summary = rule.title
        self.quiet = rule.quiet
        self.match = compile_node(rule.when) if rule.when else None
        self.slots = [before[name] for name in rule.correlation.rules] if rule.correlation else []
        self.needs = frozenset(live.rule.name for live in self.slots)
        self.children = frozenset(n for n, live in enumerate(self.slots) if live.rule.correlation)
        content = msgspec.json.encode(rule) + b"".join(live.tag.encode() for live in self.slots)
        self.tag: str = f"{self.name}-{blake2b(content, digest_size=6).hexdigest()}"
        # The hash alone, in states: with names they would be longer than what they hold.
        self.key = self.tag[-12:]


class Match(msgspec.Struct, frozen=True):
    """A rule that alerts has matched.

    Attributes:
        times: matches since the rule was last quiet. metric: what the correlation came to; None without one.
        since: event time (ms) of the first touch that counts.
    """

    live: Live
    times: int
    metric: float | None
    since: int

    def report(self, touch: Touch) -> Finding:
        """Put the match into numbers and words."""
        rule, about = self.live.rule, self.live.rule.correlation
        measures, baseline = {"matches": float(self.times), "records": float(touch.records)}, {}
        what = what_vi = ""
        if about is not None and self.metric is not None:
            measures[about.type], baseline[about.op] = self.metric, about.count
            what = f" {about.words()} came to {self.metric:,.6g} within {about.timespan:,} seconds."
            what_vi = f" {about.words()} đạt {self.metric:,.6g} trong {about.timespan:,} giây."
        en = f"{rule.title}: rule {rule.name} matched {self.times:,} times.{what} {rule.description}"
        vi = f"{rule.title_vi or rule.title}: quy tắc {rule.name} khớp {self.times:,} lần.{what_vi}"
        return Finding(
            severity=SEVERITIES[rule.level], score=0.0, confidence=rule.confidence, evidence=self.times,
            window=about.timespan if about else 0, since=self.since, measures=measures, baseline=baseline,
            parcels=(touch.parcel,) if touch.parcel else (), en=en.strip(), vi=vi,
        )  # fmt: skip


class Engine:
    """Runs a carrier's rules over touches.

    Args:
        rules: without fault, see `sigma_check.fault`.
    """

    def __init__(self, rules: RuleSet) -> None:
        self.version = rules.version()
        self.live: dict[str, Live] = {}
        for rule in rules.rules:
            self.live[rule.name] = Live(rule, self.live)
        self._order = list(self.live.values())
        self._keys = {live.key for live in self._order}

    def step(self, state: State, touch: Touch) -> list[Match]:
        """Take in a touch; the rules that alert on it."""
        if state.version != self.version:
            self._adopt(state)
        hits: dict[str, float | None] = {}
        found: list[Match] = []
        for live in self._order:
            since = touch.time
            if live.match is not None:
                if not live.match(touch):
                    continue
                metric = None
            else:
                if hits.keys().isdisjoint(live.needs):
                    continue
                slots = [n for n, source in enumerate(live.slots) if source.rule.name in hits]
                about = live.rule.correlation
                assert about is not None, "a rule has a condition or a correlation"
                window = state.windows.setdefault(live.key, Window())
                metric, since = observe(about, window, touch, slots, live.children)
                if not window.rows:
                    del state.windows[live.key]
                if metric is None:
                    continue
            hits[live.rule.name] = metric
            if live.rule.output:
                found.append(self._count(state, live, touch.time, metric, since))
        return found

    @staticmethod
    def _count(state: State, live: Live, time: int, metric: float | None, since: int) -> Match:
        last, times = state.fired.get(live.key, (time, 0))
        if time - last > live.quiet * 1000:
            times = 0
        state.fired[live.key] = (max(time, last), times + 1)
        return Match(live, times + 1, metric, since)

    def _adopt(self, state: State) -> None:
        """Keep what rules that are as they were remember; those that are new or changed begin afresh."""
        state.version = self.version
        state.windows = {key: window for key, window in state.windows.items() if key in self._keys}
        state.fired = {key: fired for key, fired in state.fired.items() if key in self._keys}

    def ends(self, state: State) -> int:
        """Event time (ms) from which nothing that is remembered matters any more."""
        ends = 0
        for live in self._order:
            if (window := state.windows.get(live.key)) and live.rule.correlation:
                ends = max(ends, window_ends(live.rule.correlation, window))
            if fired := state.fired.get(live.key):
                ends = max(ends, fired[0] + live.quiet * 1000)
        return ends


def walk(node: Node) -> Iterator[Node]:
    """A condition and all within it."""
    yield node
    for arg in node.args:
        yield from walk(arg)


def rows_needed(rules: RuleSet) -> int:
    """Rows the windows of one person may come to hold."""
    return sum(capacity(rule.correlation) for rule in rules.rules if rule.correlation)


def compile_node(node: Node) -> Callable[[Touch], bool]:
    """A condition as a function of a touch.

    >>> from detectors.testing import at, touch
    >>> night = Node("and", args=(Node("like", "action", "EX*"), Node("lt", "hour", 6)))
    >>> [compile_node(night)(touch(at(hour=hour), "export")) for hour in (3, 9)]
    [True, False]
    """
    op, wanted = node.op, node.value
    if op in ("and", "or", "not"):
        args = [compile_node(arg) for arg in node.args]
        if op == "not":
            return lambda touch: not args[0](touch)
        return args[0] if len(args) == 1 else _joined(args, every=op == "and")
    get = value_of(node.field)
    if op in ("null", "exists"):
        return lambda touch: (get(touch) is None) == (op == "null")
    if op in PARTS:
        part = PARTS[op]
        return lambda touch: part(datetime.fromtimestamp(get(touch) / 1000, UTC)) == wanted
    if op in ("like", "likec", "re"):
        return _text(get, op, str(wanted))
    compare = COMPARE[op]
    return lambda touch: (value := get(touch)) is not None and compare(value, wanted)


def _joined(args: list[Callable[[Touch], bool]], *, every: bool) -> Callable[[Touch], bool]:
    """All or any of some conditions; one or two, as most are, without a generator."""
    first, last = args[0], args[-1]
    if len(args) <= 2:
        return (lambda touch: first(touch) and last(touch)) if every else (lambda t: first(t) or last(t))
    together = all if every else any
    return lambda touch: together(arg(touch) for arg in args)


def _text(get: Callable[[Touch], Any], op: str, wanted: str) -> Callable[[Touch], bool]:
    if op == "like" and not set("*?[") & set(wanted):
        plain = wanted.lower()
        return lambda touch: (value := get(touch)) is not None and value.lower() == plain
    regex = re.compile(wanted if op == "re" else translate(wanted if op == "likec" else wanted.lower()))
    found = regex.search if op == "re" else regex.match
    fold = op == "like"

    @lru_cache(maxsize=1_024)
    def matches(value: str) -> bool:
        # What is matched is short: roles, sites, actions. The same ones come again and again.
        text = value[: patterns.LONGEST_VALUE]
        return found(text.lower() if fold else text) is not None

    return lambda touch: (value := get(touch)) is not None and matches(value)
