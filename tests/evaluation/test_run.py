"""Accesses come into the log where their time is, in the log's own fields, and nothing of the log is lost."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from streams.admit.local_time import Zones
from streams.evaluation.background import FileBackground, SimulatedBackground
from streams.evaluation.log import LogError, Style, read_log
from streams.evaluation.run import fixed_keys, label, merged, said
from streams.evaluation.scene import Act
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.history.files import FileError
from streams.history.touches import Spool
from tests.evaluation.office import NO_ZONES, Office, Says, log_of, ms

OFFICE = Office(people=30, days=20)
LOG = log_of(OFFICE)


def act(day: int, hour: float, **others: object) -> Act:
    made = Act(ms(day, hour), 420, 3, "view", ("VN100001",), 1, Style())
    return made._replace(**others)  # type: ignore[arg-type]  # fields by name


def test_added_accesses_stand_where_their_time_is_and_none_of_the_log_is_lost() -> None:
    added = [act(day, 3.5 + day) for day in range(20)] + [act(25, 9)]
    values = [value for _, chunk in merged(OFFICE, LOG, added) for value in chunk]
    times = [orjson.loads(value)["time"] for value in values]
    assert times == sorted(times)
    assert set(OFFICE.values) < set(values)
    assert len(values) == len(OFFICE.values) + len(added)
    assert list(merged(OFFICE, LOG, [])) == list(OFFICE.chunks())


def test_an_added_access_has_the_fields_of_the_log() -> None:
    [(_, first), *_] = merged(
        OFFICE, LOG, [act(-1, 9, found=False, style=Style(site="HN-03", fields=("name",)))]
    )
    assert orjson.loads(first[0]) == {
        "id": "added-0",
        "time": "2026-03-01T09:00:00.000+07:00",
        "carrier": "vnx",
        "actor": LOG.people[3][1],
        "action": "view",
        "parcels": ["VN100001"],
        "records": 1,
        "outcome": "not_found",
        "site": "HN-03",
        "fields": ["name"],
    }


def test_the_pipeline_admits_what_is_added_and_its_messages_name_the_person() -> None:
    leak = act(15, 11)
    with Spool() as spool:
        numbers = label(OFFICE, LOG, [leak], spool, zones=NO_ZONES, progress=lambda _: None)
        [message] = said(spool, numbers, (Says(when=lambda touch: touch.time == leak.time),))
    assert message.person == 3
    assert message.detector == "says"
    assert message.time == message.first == message.last == leak.time
    assert message.score == 1.0


def test_keys_are_the_same_in_every_evaluation() -> None:
    once, again = (fixed_keys(["vnx", "bank"]).cipher("vnx").staff("nv001") for _ in range(2))
    assert once == again


def test_a_simulated_carrier_has_context_directory_and_no_leak() -> None:
    background = SimulatedBackground(20, 3)
    log = read_log(background, NO_ZONES, 0.3)
    assert log.has_context
    assert log.devices
    assert len(log.staff) == len(log.people) >= 20
    assert {topic for topic, _ in background.chunks()} == {ACCESS_EVENTS, PARCEL_CONTEXT}


def test_records_that_cannot_be_read_are_counted_and_stay_in_the_log() -> None:
    office = Office(people=5)
    office.values[3] = b'{"time":"2026-03-02T09:00:00+07:00"}'
    office.values[7] = b"not JSON"
    log = log_of(office)
    assert log.left_out == {"missing_field": 1, "not_json": 1}
    assert len(log.time) == len(office.values) - 2
    assert sum(len(values) for _, values in merged(office, log, [])) == len(office.values)


def test_an_unsorted_log_is_understood() -> None:
    office = Office(people=5)
    office.values.reverse()
    log = log_of(office)
    assert (log.time[1:] >= log.time[:-1]).all()
    assert (log.touch_time[1:] >= log.touch_time[:-1]).all()


def test_a_carriers_time_zone_decides_its_days() -> None:
    log = read_log(Office(people=5), Zones({"vnx": "Asia/Tokyo"}), 0.6)
    assert set(log.offset.tolist()) == {540}


def test_a_log_that_cannot_be_read_at_all_says_why() -> None:
    office = Office(people=2, days=1)
    office.values = [b"{}"] * 3
    with pytest.raises(LogError, match=r"missing_field 3.*backtest"):
        log_of(office)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no file .*log\.csv"):
        FileBackground(tmp_path / "log.csv")


def test_files_keep_in_step_by_event_time(tmp_path: Path) -> None:
    events, context = tmp_path / "events.ndjson", tmp_path / "context.ndjson"
    office = Office(people=60)
    events.write_bytes(b"\n".join(office.values))
    line = '{{"time":"{}","carrier":"vnx","parcel":"VN1","kind":"accepted"}}\n'
    days = [line.format(f"2026-03-{day:02d}T08:00:00+07:00") * 1_000 for day in range(2, 30)]
    context.write_text("".join(days))
    topics = [topic for topic, _ in FileBackground(events, context).chunks()]
    # Neither is read to its end before the other begins.
    assert topics.index(ACCESS_EVENTS) < len(topics) - 1 - topics[::-1].index(PARCEL_CONTEXT)
    assert topics.index(PARCEL_CONTEXT) < len(topics) - 1 - topics[::-1].index(ACCESS_EVENTS)
