"""The simulator: what it writes can be trusted as a carrier's log, and the truth beside it is the truth."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter, defaultdict
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner

from streams.commands.simulate import command
from streams.flow.events import CONTEXT_KINDS, AccessEvent, ContextEvent, StaffRecord
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.simulator import (
    LEAKS,
    LOOKALIKES,
    SimulationConfig,
    SimulationError,
    parse_counts,
    simulate,
)

Record = dict[str, Any]
ACTIONS = {
    "search",
    "view",
    "list",
    "export",
    "print",
    "download",
    "reveal",
    "update",
    "scan",
    "call",
    "login",
}
FIELDS = {"name", "phone", "address", "cod", "contents"}
SMALL = SimulationConfig(staff=30, days=1, parcels_per_courier=10)
#: Thursday to Wednesday, a weekend and the end of a month among them.
WEEK = SimulationConfig(
    staff=120,
    days=7,
    start=date(2026, 3, 26),
    seed=5,
    leaks=tuple((name, 2) for name in LEAKS),
    parcels_per_courier=20,
)


class Run:
    """A simulation read to its end, taken apart for the tests."""

    def __init__(self, config: SimulationConfig) -> None:
        self.simulation = simulate(config)
        self.records = list(self.simulation.events())
        self.access = [record for topic, record in self.records if topic == ACCESS_EVENTS]
        self.context = [record for topic, record in self.records if topic == PARCEL_CONTEXT]
        self.by_id = {event["id"]: event for event in self.access}
        self.people = {person["actor"]: person for person in self.simulation.directory}
        self.truth = self.simulation.truth
        self.leaked = {uid for line in self.truth if line["label"] == "leak" for uid in line["event_ids"]}

    def planted(self, shape: str) -> list[tuple[Record, list[Record]]]:
        return [
            (line, [self.by_id[uid] for uid in line["event_ids"]])
            for line in self.truth
            if line["shape"] == shape
        ]


@pytest.fixture(scope="module")
def week() -> Run:
    return Run(WEEK)


def dump(config: SimulationConfig) -> bytes:
    simulation = simulate(config)
    lines = [orjson.dumps(item) for item in simulation.events()]
    return b"\n".join(
        [*lines, *map(orjson.dumps, simulation.directory), *map(orjson.dumps, simulation.truth)]
    )


def minutes(line: Record) -> float:
    span = datetime.fromisoformat(line["end"]) - datetime.fromisoformat(line["start"])
    return span.total_seconds() / 60


def in_shift(event: Record, person: Record, slack: timedelta = timedelta(minutes=40)) -> bool:
    at = datetime.fromisoformat(event["time"])
    for shift in person["shifts"]:
        first, last = (int(hour) for hour in shift.split("-"))
        for day in (at.date() - timedelta(days=1), at.date()):
            start = datetime.combine(day, time(first), at.tzinfo)
            if start - slack <= at <= start + timedelta(hours=(last - first) % 24) + slack:
                return True
    return False


# --- the same again, and in order -----------------------------------------------------------------------


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


# --- the contracts --------------------------------------------------------------------------------------


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


# --- ordinary work --------------------------------------------------------------------------------------


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


# --- leaks ----------------------------------------------------------------------------------------------


def test_without_leaks_the_rest_stays_the_same_to_the_byte(week: Run) -> None:
    clean = Run(SimulationConfig(**{**vars(WEEK), "leaks": ()}))
    assert {line["label"] for line in clean.truth} == {"benign"}
    honest = [item for item in week.records if item[1].get("id") not in week.leaked]
    assert clean.records == honest
    assert len(week.records) > len(honest)


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


# --- look-alikes ----------------------------------------------------------------------------------------


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


# --- settings and the command ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"staff": 3}, "staff = 3: must be 20 to"),
        ({"days": 0}, "days = 0"),
        ({"carrier": "VN X"}, "lower-case"),
        ({"country": "XX"}, "ISO 3166"),
        ({"start": date(9999, 12, 31)}, "start .year. = 9999"),
        ({"time_zone": "Hanoi"}, "Asia/Ho_Chi_Minh"),
        ({"leaks": ("bulk_raed",)}, "known are bulk_read"),
        ({"leaks": (("bulk_read", -1),)}, "cannot be negative"),
        ({"lookalikes": ("party",)}, "'party' is unknown"),
    ],
)
def test_a_bad_setting_is_refused_with_its_value_and_the_remedy(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SimulationError, match=says):
        SimulationConfig(**change)


def test_counts_read_all_none_and_lists() -> None:
    assert dict(parse_counts("all=2", LEAKS, "leaks")) == dict.fromkeys(LEAKS, 2)
    assert parse_counts("", LEAKS, "leaks") == ()
    with pytest.raises(SimulationError, match="whole number"):
        parse_counts("bulk_read=many", LEAKS, "leaks")


def test_the_command_writes_the_four_files_and_says_what_it_left_out(tmp_path: Any) -> None:
    options = [
        "--staff",
        "30",
        "--leaks",
        "bulk_export,leaver",
        "--lookalikes",
        "migration_batch,month_end_export",
    ]
    for out, extra in (("plain", []), ("packed", ["--gzip"])):
        result = CliRunner().invoke(command, [str(tmp_path / out), *options, *extra])
        assert result.exit_code == 0, result.output
        assert "left out: month_end_export" in result.output
    for name in ("access", "context", "directory", "truth"):
        plain = (tmp_path / "plain" / f"{name}.ndjson").read_bytes()
        assert gzip.decompress((tmp_path / "packed" / f"{name}.ndjson.gz").read_bytes()) == plain
    ids = {
        orjson.loads(line)["id"] for line in (tmp_path / "plain" / "access.ndjson").read_bytes().splitlines()
    }
    truth = [orjson.loads(line) for line in (tmp_path / "plain" / "truth.ndjson").read_bytes().splitlines()]
    assert {line["shape"] for line in truth} == {"bulk_export", "leaver", "migration_batch"}
    assert all(line["event_ids"] and ids.issuperset(line["event_ids"]) for line in truth)
    assert len(list((tmp_path / "plain").iterdir())) == 4


def test_the_command_replaces_nothing_unless_told_to(tmp_path: Any) -> None:
    (tmp_path / "truth.ndjson").write_text("precious")
    options = [str(tmp_path), "--staff", "20", "--leaks", "none", "--lookalikes", "none"]
    refused = CliRunner().invoke(command, options)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.output
    assert (tmp_path / "truth.ndjson").read_text() == "precious"
    assert CliRunner().invoke(command, [*options, "--overwrite"]).exit_code == 0
    assert (tmp_path / "truth.ndjson").read_text() == ""


def test_the_command_names_an_unknown_leak(tmp_path: Any) -> None:
    result = CliRunner().invoke(command, [str(tmp_path / "out"), "--leaks", "bulk_raed"])
    assert result.exit_code == 2
    assert "'bulk_raed' is unknown; known are bulk_read" in result.output
    assert not (tmp_path / "out").exists()
