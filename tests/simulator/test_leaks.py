"""Planted leaks are what they are called, and the truth beside them is the truth."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from datetime import datetime

import pytest

from streams.simulator import (
    LEAKS,
    LOOKALIKES,
    SimulationConfig,
    simulate,
)
from tests.simulator.runs import WEEK, Run, in_shift, minutes


def test_every_leak_is_planted_as_often_as_asked_each_by_somebody_else(week: Run) -> None:
    leaks = [line for line in week.truth if line["label"] == "leak"]
    assert Counter(line["shape"] for line in leaks) == Counter(WEEK.leak_counts)
    assert week.simulation.left_out == {}
    actors = [line["actor"] for line in week.truth]
    assert len(set(actors)) == len(actors)


@pytest.mark.parametrize("shape", [*LEAKS, *LOOKALIKES])
def test_the_truth_agrees_with_the_events_it_names(week: Run, shape: str) -> None:
    for line, events in week.planted(shape):
        assert set(line) == {
            "label", "shape", "carrier", "actor", "start", "end", "parcels", "records", "event_ids"
        }  # fmt: skip
        assert {event["actor"] for event in events} == ({line["actor"]} if events else set())
        shown = [event for event in events if event["outcome"] == "success"]
        assert line["parcels"] == len({parcel for event in shown for parcel in event["parcels"]})
        assert line["records"] == sum(event["records"] for event in shown)
        if events:
            assert line["start"] <= min(event["time"] for event in events)
            assert line["end"] >= max(event["time"] for event in events)


def test_bulk_read_is_a_hundred_to_two_thousand_parcels_within_the_hour(week: Run) -> None:
    for line, events in week.planted("bulk_read"):
        assert 100 <= line["parcels"] <= 2_000
        assert 5 < minutes(line) <= 60
        assert {event["action"] for event in events} <= {"view", "list"}
        assert all(in_shift(event, week.people[line["actor"]]) for event in events)


def test_bulk_export_is_few_calls_with_many_rows(week: Run) -> None:
    for line, events in week.planted("bulk_export"):
        assert 500 <= line["records"] <= 50_000
        assert line["parcels"] <= 5
        assert len(events) <= 4
        assert {event["action"] for event in events} == {"export"}


def test_off_hours_exports_lie_outside_the_shift_or_on_a_day_off(week: Run) -> None:
    for line, events in week.planted("off_hours"):
        assert 20 <= line["records"] <= 5_000
        worked = {
            e["time"][:10] for e in week.access if e["actor"] == line["actor"] and e["id"] not in week.leaked
        }
        for event in events:
            assert not in_shift(event, week.people[line["actor"]]) or event["time"][:10] not in worked


def test_unrelated_parcels_never_pass_the_site_of_whoever_looks(week: Run) -> None:
    sites: defaultdict[str, set[str]] = defaultdict(set)
    for record in week.context:
        if "site" in record:
            sites[record["parcel"]].add(record["site"])
    for line, events in week.planted("unrelated_parcel"):
        assert 5 <= line["parcels"] <= 30
        assert len({event["time"][:10] for event in events}) >= 3
        assert all(event["site"] not in sites[event["parcels"][0]] for event in events)
    for line, events in week.planted("label_unsealing"):
        assert 8 <= line["parcels"] <= 40
        assert {event["action"] for event in events} <= {"reveal", "print"}
        assert all(event["site"] not in sites[event["parcels"][0]] for event in events)


def test_low_and_slow_takes_fifteen_to_forty_each_working_day(week: Run) -> None:
    for _, events in week.planted("low_and_slow"):
        per_day = Counter(event["time"][:10] for event in events)
        assert len(per_day) >= 4
        assert all(15 <= count <= 40 for count in per_day.values())


def test_enumeration_misses_often_and_the_missing_never_exist(week: Run) -> None:
    existing = {record["parcel"] for record in week.context}
    for _, events in week.planted("enumeration"):
        missed = {event["parcels"][0] for event in events if event["outcome"] == "not_found"}
        assert 150 <= len(events) <= 600
        assert 0.2 < len(missed) / len(events) < 0.6
        assert not missed & existing


def test_sequence_goes_from_search_to_reveal_to_taking_away_to_a_new_device(week: Run) -> None:
    for line, events in week.planted("sequence"):
        steps = [action for action, _ in itertools.groupby(event["action"] for event in events)]
        assert steps[:2] == ["search", "reveal"]
        assert steps[2] in ("export", "print")
        usual = {
            e["device"] for e in week.access if e["actor"] == line["actor"] and e["id"] not in week.leaked
        }
        assert events[0]["device"] in usual
        assert events[-1]["device"] not in usual


def test_borrowed_login_is_at_two_places_at_once(week: Run) -> None:
    for line, events in week.planted("borrowed_login"):
        assert 50 <= line["parcels"] <= 200
        own = [e for e in week.access if e["actor"] == line["actor"] and e["id"] not in week.leaked]
        assert not {event["device"] for event in events} & {event["device"] for event in own}
        assert not {event["site"] for event in events} & {event["site"] for event in own}
        same_day = [e["time"] for e in own if e["time"][:10] == line["start"][:10]]
        assert min(same_day) < line["start"] < max(same_day)


def test_a_service_account_in_human_hands_uses_the_ui_at_a_human_pace(week: Run) -> None:
    for line, events in week.planted("service_account"):
        assert week.people[line["actor"]]["service"]
        assert {event["channel"] for event in events} == {"ui"}
        stamps = [datetime.fromisoformat(event["time"]) for event in events]
        assert all(20 <= (b - a).total_seconds() <= 130 for a, b in itertools.pairwise(stamps))


def test_leavers_do_nothing_but_leak(week: Run) -> None:
    for line, events in week.planted("leaver"):
        assert 30 <= line["parcels"] <= 300
        assert [e["id"] for e in week.access if e["actor"] == line["actor"]] == [e["id"] for e in events]


def test_what_does_not_fit_into_the_run_is_named_with_its_reason() -> None:
    simulation = simulate(SimulationConfig(staff=20, parcels_per_courier=10, leaks=(("bulk_read", 50),)))
    assert "not planted" in simulation.left_out["bulk_read"]
    assert "month" in simulation.left_out["month_end_export"]
    assert 0 < sum(line["shape"] == "bulk_read" for line in simulation.truth) < 50
