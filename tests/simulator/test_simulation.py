"""The simulator writes what can be trusted as a carrier's log."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta

import msgspec
import orjson

from streams.flow.events import CONTEXT_KINDS, AccessEvent, ContextEvent, StaffRecord
from streams.simulator import (
    SimulationConfig,
    simulate,
)
from tests.simulator.runs import ACTIONS, FIELDS, SMALL, WEEK, Run, dump, in_shift


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    assert dump(SMALL) == dump(SimulationConfig(**vars(SMALL)))
    assert dump(SMALL) != dump(SimulationConfig(**{**vars(SMALL), "seed": 2}))


def test_records_come_in_time_order_within_the_days_asked_for(week: Run) -> None:
    times = [record["time"] for _, record in week.records]
    assert times == sorted(times)
    assert times[0].startswith("2026-03-26T00")
    assert times[-1].startswith("2026-04-01T23")
    assert all(stamp.endswith("+07:00") for stamp in times)


def test_events_can_be_read_twice_and_the_truth_without_reading_them() -> None:
    simulation = simulate(SMALL)
    truth = simulation.truth
    assert list(simulation.events()) == list(simulation.events())
    assert simulation.truth == truth
    assert truth


def test_a_year_of_days_begins_at_once_since_only_one_day_is_held() -> None:
    simulation = simulate(SimulationConfig(staff=30, days=365, parcels_per_courier=5))
    first_days = itertools.takewhile(lambda item: item[1]["time"] < "2026-03-04", simulation.events())
    assert sum(1 for _ in first_days) > 500


def test_records_grow_with_staff_and_days() -> None:
    def size(staff: int, days: int) -> int:
        config = SimulationConfig(staff=staff, days=days, parcels_per_courier=10, leaks=(), lookalikes=())
        return sum(1 for _ in simulate(config).events())

    one = size(100, 1)
    assert 1.7 < size(200, 1) / one < 2.3
    assert 2.5 < size(100, 3) / one < 3.5


def test_daylight_saving_never_turns_the_order_round() -> None:
    config = SimulationConfig(
        staff=30,
        days=3,
        start=date(2026, 10, 24),
        time_zone="Europe/Berlin",
        country="DE",
        parcels_per_courier=5,
    )
    instants = [datetime.fromisoformat(record["time"]) for _, record in simulate(config).events()]
    assert instants == sorted(instants)
    assert {str(at.utcoffset()) for at in instants} == {"2:00:00", "1:00:00"}


def test_every_record_keeps_its_contract(week: Run) -> None:
    for records, contract in ((week.access, AccessEvent), (week.context, ContextEvent)):
        for record in records:
            msgspec.json.decode(orjson.dumps(record), type=contract)
            assert set(record) <= set(contract.__struct_fields__)
    for event in week.access:
        assert event["action"] in ACTIONS
        assert set(event["fields"]) <= FIELDS
        assert event["outcome"] in ("success", "not_found")
        assert 0 <= event["records"] <= 50_000
        assert event["actor"] in week.people
    assert {record["kind"] for record in week.context} <= set(CONTEXT_KINDS)
    for person in week.simulation.directory:
        msgspec.convert(person, StaffRecord, strict=True)
        assert set(person) <= set(StaffRecord.__struct_fields__)


def test_event_ids_are_unique(week: Run) -> None:
    assert len(week.by_id) == len(week.access)


def test_no_session_or_device_tells_who_it_belongs_to(week: Run) -> None:
    for event in week.access:
        assert event["actor"] not in event["session"] + event["device"]


def test_parcels_go_through_their_statuses_in_order(week: Run) -> None:
    order = {"accepted": 0, "departed": 1, "arrived": 1, "assigned": 2, "out_for_delivery": 3, "delivered": 4}
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for record in week.context:
        if record["kind"] in order:
            kinds[record["parcel"]].append(record["kind"])
    whole = [seen for seen in kinds.values() if seen[0] == "accepted" and seen[-1] == "delivered"]
    assert len(whole) > 1_000
    for seen in whole:
        # A failed delivery repeats its two steps; apart from that nothing goes backwards.
        steps = [order[kind] for kind, _ in itertools.groupby(seen)]
        assert all(b >= a or (a, b) == (3, 2) for a, b in itertools.pairwise(steps)), seen


def test_people_who_do_not_leak_keep_to_their_shifts(week: Run) -> None:
    humans = [e for e in week.access if e["id"] not in week.leaked and not week.people[e["actor"]]["service"]]
    assert len(humans) > 50_000
    late = [event for event in humans if not in_shift(event, week.people[event["actor"]])]
    assert late == []


def test_weekends_are_quieter_and_holidays_almost_empty() -> None:
    run = Run(
        SimulationConfig(
            staff=60, days=8, start=date(2026, 4, 24), parcels_per_courier=15, leaks=(), lookalikes=()
        )
    )
    per_day = Counter(e["time"][:10] for e in run.access if not run.people[e["actor"]]["service"])
    friday, sunday_and_kings, liberation = (per_day[f"2026-04-{day}"] for day in (24, 26, 30))
    assert per_day["2026-04-25"] < friday
    assert sunday_and_kings < 0.1 * friday
    assert liberation < 0.15 * friday


def test_a_courier_carries_forty_to_a_hundred_and_twenty_parcels() -> None:
    run = Run(SimulationConfig(staff=60, days=2, lookalikes=(), leaks=()))
    loads: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for event in run.access:
        if event["action"] == "scan" and run.people[event["actor"]]["role"] == "courier":
            loads[event["actor"], event["time"][:10]].update(event["parcels"])
    sizes = sorted(len(parcels) for parcels in loads.values())
    assert sizes[len(sizes) // 10] >= 40
    assert sizes[len(sizes) * 9 // 10] <= 120


def test_a_call_centre_agent_takes_about_sixty_calls_each_with_its_reason(week: Run) -> None:
    calls: Counter[tuple[str, str]] = Counter()
    for event in week.access:
        if (
            event["system"] == "call-centre-crm"
            and event["action"] == "view"
            and event["id"] not in week.leaked
        ):
            assert event["reason"]["kind"] == "call"
            calls[event["actor"], event["time"][:10]] += 1
    assert 45 < sum(calls.values()) / len(calls) < 75


def explained_share(run: Run) -> tuple[float, Counter[str]]:
    """Share of parcel touches by honest humans that context at most 10 minutes late explains."""
    staff: dict[tuple[str, str], str] = {}
    sites: dict[tuple[str, str], str] = {}
    for record in run.context:
        for actor in record.get("staff", ()):
            staff.setdefault((record["parcel"], actor), record["time"])
        if "site" in record:
            sites.setdefault((record["parcel"], record["site"]), record["time"])
    tickets = {(record["parcel"], record["ticket"]) for record in run.context if "ticket" in record}
    total, unexplained = 0, Counter[str]()
    for event in run.access:
        if event["id"] in run.leaked or run.people[event["actor"]]["service"]:
            continue
        until = (datetime.fromisoformat(event["time"]) + timedelta(minutes=10)).isoformat(
            timespec="milliseconds"
        )
        for parcel in event["parcels"]:
            total += 1
            if not (
                event["action"] == "scan"
                or staff.get((parcel, event["actor"]), "9") <= until
                or sites.get((parcel, event["site"]), "9") <= until
                or (parcel, event.get("reason", {}).get("id")) in tickets
            ):
                unexplained[event["actor"]] += 1
    return 1 - unexplained.total() / total, unexplained


def test_more_than_nine_touches_in_ten_are_explained_and_the_rest_is_spread_thin() -> None:
    run = Run(SimulationConfig(staff=120, days=3, parcels_per_courier=40, leaks=(), lookalikes=()))
    share, unexplained = explained_share(run)
    assert 0.9 < share < 0.999
    assert len(unexplained) > 60
    desks = [n for actor, n in unexplained.items() if run.people[actor]["role"] != "key_account_manager"]
    assert max(desks) <= 25


def test_without_leaks_the_rest_stays_the_same_to_the_byte(week: Run) -> None:
    clean = Run(SimulationConfig(**{**vars(WEEK), "leaks": ()}))
    assert {line["label"] for line in clean.truth} == {"benign"}
    honest = [item for item in week.records if item[1].get("id") not in week.leaked]
    assert clean.records == honest
    assert len(week.records) > len(honest)
