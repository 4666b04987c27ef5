"""Benign look-alikes look like leaks and are none."""

from __future__ import annotations

from collections import Counter

import pytest

from streams.simulator import (
    LOOKALIKES,
    SimulationConfig,
    simulate,
)
from tests.simulator.runs import WEEK, Run


def test_every_lookalike_is_in_the_truth_as_benign(week: Run) -> None:
    benign = {line["shape"] for line in week.truth if line["label"] == "benign"}
    assert benign == set(LOOKALIKES)


@pytest.mark.parametrize("name", [name for name in LOOKALIKES if name != "month_end_export"])
def test_a_lookalike_comes_alone_when_asked_for_alone(name: str) -> None:
    config = SimulationConfig(staff=120, parcels_per_courier=10, leaks=(), lookalikes=(name,))
    assert {line["shape"] for line in simulate(config).truth} == {name}


def test_the_peak_day_brings_more_parcels_than_any_other(week: Run) -> None:
    [(line, _)] = week.planted("peak_day")
    accepted = Counter(record["time"][:10] for record in week.context if record["kind"] == "accepted")
    assert line["actor"] == "*"
    assert line["start"][:10] <= max(accepted, key=lambda day: accepted[day]) <= line["end"][:10]


def test_who_covers_for_a_sick_courier_is_assigned_what_he_carries(week: Run) -> None:
    [(line, events)] = week.planted("sick_cover")
    assigned = {
        r["parcel"] for r in week.context if r["kind"] == "assigned" and r["staff"] == [line["actor"]]
    }
    carried = {parcel for event in events if event["action"] == "scan" for parcel in event["parcels"]}
    assert carried <= assigned
    usual = WEEK.parcels_per_courier
    assert len(carried) > 1.2 * usual


def test_a_new_hire_opens_what_the_mentor_opened_minutes_before(week: Run) -> None:
    [(line, events)] = week.planted("new_hire")
    opened = {
        (parcel, e["time"][:10])
        for e in week.access
        if e["actor"] != line["actor"]
        and week.people[e["actor"]]["team"] == week.people[line["actor"]]["team"]
        for parcel in e["parcels"]
    }
    assert all((event["parcels"][0], event["time"][:10]) in opened for event in events)


def test_the_clerks_of_a_shared_terminal_have_one_device(week: Run) -> None:
    planted = week.planted("shared_terminal")
    assert len(planted) > 1
    assert len({event["device"] for _, events in planted for event in events}) == 1


def test_the_migration_is_a_declared_batch_job_at_night(week: Run) -> None:
    [(line, events)] = week.planted("migration_batch")
    assert week.people[line["actor"]]["service"]
    assert line["records"] > 20_000
    assert all("T01" <= event["time"][10:13] <= "T04" and event["channel"] == "batch" for event in events)


def test_the_sorter_on_nights_is_rostered_on_nights(week: Run) -> None:
    [(line, events)] = week.planted("hub_night_shift")
    assert "22-06" in week.people[line["actor"]]["shifts"]
    assert any(event["time"][11:13] in ("22", "23", "00", "01") for event in events)


def test_the_month_end_export_lies_on_the_last_working_day_and_dwarfs_an_evening(week: Run) -> None:
    for line, events in week.planted("month_end_export"):
        assert line["start"].startswith("2026-03-31")
        evenings = [
            e["records"] for e in week.access if e["actor"] == line["actor"] and e["time"] < "2026-03-31"
        ]
        assert min(event["records"] for event in events) > max(evenings)


def test_the_claims_campaign_opens_its_tickets_before_it_looks(week: Run) -> None:
    [(line, events)] = week.planted("claims_campaign")
    opened = {
        record["ticket"]: record["time"] for record in week.context if record["kind"] == "ticket_opened"
    }
    with_reason = [event for event in events if event.get("reason", {}).get("kind") == "ticket"]
    assert line["parcels"] >= 150
    assert all(opened[event["reason"]["id"]] < event["time"] for event in with_reason)
