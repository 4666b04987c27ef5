"""What the control records amount to: the verdict that counts, what is in force, how good each detector is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.flow.control import ControlRecord
from streams.kafka.alert_log import Episode
from streams.kafka.control import Entry, new_record
from streams.kafka.decisions import Standing, latest_verdicts, report, switches, wilson
from tests.decisions import NOW, ON, TOKEN, VERDICT


def entries(*records: ControlRecord) -> list[Entry]:
    return [Entry(record, 0, offset, 0) for offset, record in enumerate(records)]


def uid(name: str) -> str:
    """An alert's uid that can be told from another's."""
    return name.encode().hex().rjust(32, "0")


def test_the_latest_verdict_on_an_alert_counts() -> None:
    first, second, third = (
        new_record("verdict", "vnx", NOW, **{**VERDICT, "alert": uid(name), "value": value})
        for name, value in (("a", "benign"), ("b", "benign"), ("a", "true_positive"))
    )
    found = latest_verdicts(entries(first, second, third))
    assert list(found.items()) == [(uid("b"), second), (uid("a"), third)]


def test_a_suppression_is_in_force_until_it_ends_is_lifted_or_is_replaced() -> None:
    def record(hours: int, **more: str) -> ControlRecord:
        return new_record("suppress", "vnx", NOW + timedelta(hours=hours), **{**ON, **more})

    late = "2026-12-15T00:00:00Z"
    given = entries(
        record(0), record(0, detector="bulk_read"), record(1, until=late),
        record(2, value="off", until="", detector="bulk_read"), record(3, actor="", detector="crowd"),
        new_record("watch", "vnx", NOW, **ON),
        # Long after its end: it was over already, nothing was lifted.
        new_record("suppress", "vnx", datetime(2026, 12, 2, tzinfo=UTC), detector="crowd", value="off", why="x"),
    )  # fmt: skip
    found = switches(given, "suppress")
    assert [one.entry.offset for one in found] == [0, 1, 2, 4]
    soon, later = NOW + timedelta(hours=4), datetime(2026, 12, 10, tzinfo=UTC)
    assert [one.state(soon) for one in found] == ["replaced", "lifted", "in force", "in force"]
    assert [one.state(later) for one in found] == ["replaced", "lifted", "in force", "ended"]
    assert [one.state(later + timedelta(days=9)) for one in found][2] == "ended"
    assert len(switches(given, "watch")) == 1


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_interval_holds_the_ratio_and_narrows_with_more_verdicts(hits: int, misses: int) -> None:
    low, high = wilson(hits, hits + misses)
    assert 0 <= low < high <= 1
    if hits + misses:
        assert low - 1e-12 <= hits / (hits + misses) <= high + 1e-12
        wider = wilson(hits * 4, (hits + misses) * 4)
        assert wider[1] - wider[0] < high - low


def test_the_interval_is_that_of_wilson() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20.
    for hits, of, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


def test_the_report_counts_each_alert_once_under_its_detector_and_marks_only_what_is_sure() -> None:
    def episode(name: str, detector: str) -> Episode:
        return Episode(uid(name), "vnx", TOKEN, detector, "High", 1, 0, 1, 0, "", 1)

    def verdict(name: str, detector: str, value: str) -> ControlRecord:
        return new_record(
            "verdict", "vnx", NOW, **{**VERDICT, "alert": uid(name), "detector": detector, "value": value}
        )

    alerts = [*(episode(f"g{n}", "good") for n in range(30)), *(episode(f"b{n}", "bad") for n in range(10))]
    told = {one.uid: one for one in (*alerts, episode("f", "few"), episode("n", "never"))}
    judged = [verdict(f"g{n}", "good", "true_positive") for n in range(29)]
    judged += [
        verdict("b0", "bad", "true_positive"),
        verdict("b1", "bad", "benign"),
        verdict("f", "few", "benign"),
    ]
    judged += [verdict(f"b{n}", "bad", "false_positive") for n in range(2, 9)]
    judged += [verdict("old", "bad", "false_positive")]
    rows = report(latest_verdicts(entries(*judged)), told)
    assert rows == [
        Standing("bad", 11, 1, 8, 1), Standing("few", 1, 0, 0, 1), Standing("good", 30, 29, 0, 0),
        Standing("never", 1, 0, 0, 0),
    ]  # fmt: skip
    assert [row.mark for row in rows] == ["not mature", "too few verdicts", "mature", "no verdicts"]
    assert Standing("one", 9, 1, 0, 0).mark == "too few verdicts"
    assert rows[0].ratio == 0.9
    assert rows[3].ratio is None
