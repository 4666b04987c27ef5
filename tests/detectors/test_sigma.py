"""Conditions and windows of rules: what the oracle cannot show, being in time or in space."""

from __future__ import annotations

import random
import re
import time
from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors import patterns
from detectors.base import Touch
from detectors.correlation import MOST, Correlation, capacity
from detectors.sigma import MOST_ROWS, Engine, Node, RuleSet, State, compile_node, rows_needed
from detectors.sigma_check import fault, node_fault
from detectors.testing import DAY, HOUR, MINUTE, at, touch
from tests.rule_sets import RULES, VIEWED, a_rule

NINE = at()
#: The machine may be busy; what takes too long is told by its own test.
quick = settings(max_examples=30, deadline=None)


def views(*times: int, **more: object) -> list[Touch]:
    return [touch(NINE + ms, "view", f"P{n}", **more) for n, ms in enumerate(times)]  # type: ignore[arg-type]  # fields of a touch


def fired(about: Correlation, touches: list[Touch]) -> list[float | None]:
    """The metric at each touch, None where it does not hold."""
    engine, state = Engine(RuleSet((VIEWED, a_rule("c", about=about)))), State()
    found = []
    for one in touches:
        matches = engine.step(state, one)
        found.append(matches[0].metric if matches else None)
    return found


def seconds(*numbers: float) -> list[int]:
    return [int(number * 1_000) for number in numbers]


def test_a_window_slides_and_includes_both_of_its_ends() -> None:
    about = Correlation("event_count", ("viewed",), 60, count=2)
    assert fired(about, views(*seconds(0, 60, 121, 150))) == [None, 2, None, 2]


def test_a_window_does_not_care_for_boundaries_of_the_clock() -> None:
    late = 59 * MINUTE + 50_000
    about = Correlation("event_count", ("viewed",), 60, count=3)
    assert fired(about, views(late, late + 9_000, late + 30_000))[-1] == 3


def test_a_touch_that_comes_late_counts_while_the_window_is_open_and_not_after() -> None:
    about = Correlation("event_count", ("viewed",), 60, count=2)
    assert fired(about, views(*seconds(100, 50, 30))) == [None, 2, None]


def test_thousands_of_matches_take_no_more_rows_than_promised_and_err_by_a_32nd_of_the_span() -> None:
    about = Correlation("event_count", ("viewed",), 3_600, count=1_000)
    engine, state = Engine(RuleSet((VIEWED, a_rule("c", about=about)))), State()
    rng, times, now = random.Random(1), [], NINE
    for _ in range(6_000):
        now += rng.randrange(6_000)
        times.append(now)
        got = engine.step(state, touch(now, "view", "P"))
        [window] = state.windows.values()
        assert len(window.rows) <= MOST
        exact = sum(now - 3_600_000 <= t for t in times)
        longest = sum(now - 3_600_000 * 33 // 32 <= t for t in times)
        metric = sum(row[2] or 0 for row in window.rows)
        assert exact <= metric <= longest
        assert bool(got) == (metric >= 1_000)


def test_distinct_values_beyond_the_exact_threshold_are_estimated_from_a_sample() -> None:
    about = Correlation("value_count", ("viewed",), 86_400, count=400, fields=("parcel",))
    many = views(*range(0, 2_000_000, 1_000))
    first = next(n for n, metric in enumerate(fired(about, many), 1) if metric)
    assert 400 * 0.6 < first < 400 * 1.5
    same = [touch(NINE + n, "view", f"P{n % 100}") for n in range(3_000)]
    assert not any(fired(about, same))


def test_a_percentile_is_of_the_latest_64_values() -> None:
    about = Correlation("value_median", ("viewed",), 86_400, count=0, fields=("records",))
    low = views(*range(1_000, 101_000, 1_000), records=1)
    high = [touch(one.time + 200_000, "view", one.parcel, records=9) for one in low]
    assert fired(about, low + high)[-1] == 9


def test_a_sequence_is_found_whatever_lies_between_and_only_in_order() -> None:
    two = a_rule("out", Node("like", "action", "export"), output=False)
    about = Correlation("temporal_ordered", ("viewed", "out"), 60, count=2)
    engine = Engine(RuleSet((VIEWED, two, a_rule("c", about=about))))

    def run(*steps: tuple[float, str]) -> bool:
        state = State()
        found = [engine.step(state, touch(NINE + int(at * 1_000), action, "P")) for at, action in steps]
        return any(found)

    assert run((0, "view"), (30, "view"), (70, "export"))
    assert not run((0, "export"), (30, "view"))
    assert not run((0, "view"), (61, "export"))
    assert not run((5, "view"), (5, "export")), "one moment has no order"
    assert run((5, "view"), (6, "view"), (6, "export")), "but the earlier view comes before"


@pytest.mark.parametrize("groups", [(("site",), ("channel",)), (("channel",), ("site",))])
def test_a_touch_in_several_groups_counts_in_each(groups: tuple[tuple[str, ...], ...]) -> None:
    about = Correlation("event_count", ("viewed", "seen"), 60, count=2, groups=groups)
    engine = Engine(RuleSet((VIEWED, a_rule("seen", VIEWED.when, output=False), a_rule("c", about=about))))
    state = State()
    touches = [touch(NINE + n, "view", f"P{n}", site=f"S{n}", channel=1) for n in range(3)]
    assert [len(engine.step(state, one)) for one in touches] == [0, 1, 1]


def test_a_group_the_log_does_not_name_counts_nowhere() -> None:
    about = Correlation("event_count", ("viewed",), 60, count=2, groups=(("site",),))
    assert fired(about, views(0, 1_000)) == [None, None]
    assert fired(about, views(0, 1_000, site="S1")) == [None, 2]


@quick
@given(st.integers(0, 2**32))
@example(1)
def test_whatever_one_person_does_rules_remember_a_bounded_number_of_rows(seed: int) -> None:
    rng = random.Random(seed)
    engine, state, now = Engine(RULES), State(), NINE
    for _ in range(300):
        now += rng.choice((0, 1, 1_000, MINUTE, HOUR, -HOUR, 2 * DAY if rng.random() < 0.02 else 5))
        action, site = rng.choice(("view", "export")), f"S{rng.randrange(40)}"
        engine.step(
            state, touch(now, action, f"P{rng.randrange(999)}", site=site, records=rng.choice((1, 5_000)))
        )
        rows = sum(len(window.rows) for window in state.windows.values())
        assert rows <= rows_needed(RULES) <= MOST_ROWS
        for window in state.windows.values():
            assert all((a[0] or 0) <= (b[0] or 0) for a, b in pairwise(window.rows))
    size = len(msgspec.msgpack.encode(state))
    assert size <= 20 * rows_needed(RULES) + 300
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State) == state


def test_a_window_that_is_open_for_months_keeps_small_numbers() -> None:
    engine, state = (
        Engine(RuleSet((VIEWED, a_rule("c", about=Correlation("event_count", ("viewed",), 7 * 86_400))))),
        State(),
    )
    for day in range(200):
        engine.step(state, touch(NINE + day * DAY, "view", "P"))
    [window] = state.windows.values()
    assert all(0 <= (row[0] or 0) < 1 << 31 for row in window.rows)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*$", "(a|aa)+$", ".*.*.*=", "(a?){30}a{30}", "a?a?a?a?a?a?a?a{7}", r"(a)\1", "(?=a)b", "a{9999}",
     "((a{1,9}){1,9}){1,9}", "x" * 201, "("],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    assert patterns.fault(pattern)


@quick
@given(
    st.from_regex(
        r"([ab.](\*|\+|\?|\{1,3\}|\{2,\})?|\((\?:)?[ab.]{1,2}(\|[ab])?\)(\*|\+|\?)?){1,12}", fullmatch=True
    )
)
def test_what_is_allowed_is_quick_on_the_worst_value(pattern: str) -> None:
    if not patterns.fault(pattern):
        compiled = re.compile(pattern)
        began = time.process_time()
        for value in ("a" * 256, "ab" * 128, "a" * 255 + "!"):
            compiled.search(value)
        assert time.process_time() - began < 2


def test_a_pattern_is_run_once_for_a_value_it_has_seen() -> None:
    match = compile_node(Node("re", "site", "HN-[0-9]+$"))
    assert [match(touch(NINE, site=site)) for site in ("HN-03", "hn-03", "", "HN-03")] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("part", "value"), [("minute", 0), ("hour", 9), ("day", 2), ("week", 10), ("month", 3), ("year", 2026)]
)
def test_parts_of_time_are_local(part: str, value: int) -> None:
    assert compile_node(Node(part, "time", value))(touch(NINE))
    assert not compile_node(Node(part, "time", value + 1))(touch(NINE))
    assert not node_fault(Node(part, "time", value))


_trees = st.recursive(
    st.builds(
        Node, st.text(max_size=6), st.text(max_size=9), st.none() | st.integers() | st.text(max_size=9)
    ),
    lambda inner: st.builds(
        Node, st.sampled_from(("and", "or", "not", "x")), args=st.lists(inner).map(tuple)
    ),
    max_leaves=10,
)


@quick
@given(_trees | st.just(Node("and")))
def test_a_condition_either_has_a_fault_or_runs(node: Node) -> None:
    if not fault(RuleSet((a_rule("r", node),))):
        compile_node(node)(touch(NINE, "view", "P1"))


def test_the_capacity_of_a_correlation_follows_its_threshold() -> None:
    assert capacity(Correlation("event_count", ("a",), 60, count=5)) == 7
    assert capacity(Correlation("event_count", ("a",), 60, count=5_000)) == MOST
    assert capacity(Correlation("temporal", ("a", "b"), 60)) == 2


@pytest.mark.parametrize("number", [10**400, -(10**400), 2.0**60])
def test_a_number_no_touch_can_reach_is_a_fault_not_an_error(number: float) -> None:
    assert "is a number" in node_fault(Node("gte", "records", number))


@pytest.mark.parametrize("threshold", [1e9, 1e12, 1e15])
def test_a_threshold_of_distinct_values_either_has_a_fault_or_runs(threshold: float) -> None:
    about = Correlation("value_count", ("viewed",), 60, count=threshold, fields=("parcel",))
    rules = RuleSet((VIEWED, a_rule("c", about=about)))
    assert (fault(rules) is None) == (threshold == 1e9)
    if fault(rules) is None:
        assert fired(about, views(0, 1)) == [None, None]
