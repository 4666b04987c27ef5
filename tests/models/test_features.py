"""A footprint counts what it says, the same however the log is replayed, in little room whatever a person does."""

from __future__ import annotations

from math import log1p
from typing import Any

import msgspec
import pytest

from detectors.base import Touch
from detectors.testing import DAY, HOUR, at, touch, views, work
from models.features import (
    DAY_FEATURES,
    HOUR_FEATURES,
    KNOWN_DAYS,
    LONG_CLOSED,
    LONG_IDLE,
    MOST_KINDS,
    Bucket,
    Diary,
    Footprint,
)


def counted(*rows: Touch) -> dict[str, float]:
    """What an hour of these touches holds, by feature."""
    footprint = Footprint()
    for row in rows:
        footprint.add(row)
    return dict(zip(HOUR_FEATURES, footprint.vector(), strict=True))


def lived(diary: Diary, *rows: Touch) -> list[Bucket]:
    """The buckets of touches, the last hour closed as well."""
    buckets = []
    for row in rows:
        if row.st >= diary.ends:
            buckets.append(diary.turn(row))
        diary.now.add(row)
    buckets.append(diary.close())
    return [bucket for bucket in buckets if bucket is not None]


def of_day(bucket: Bucket, name: str) -> float:
    return bucket.day_vector[DAY_FEATURES.index(name)]


NOW = at(hour=9)


@pytest.mark.parametrize(
    ("row", "features"),
    [
        (touch(NOW, parcel="p"), {"first", "first_nobody"}),
        (touch(NOW, parcel="p", others=(1,)), {"first", "first_others"}),
        (touch(NOW, parcel="p", others=(1,), idle=LONG_IDLE), {"first", "first_others", "long_idle"}),
        (touch(NOW, parcel="p", seen=NOW - DAY), set()),
        (touch(NOW, parcel="p", seen=1, closed=NOW - LONG_CLOSED), {"long_closed"}),
        (touch(NOW, parcel="p", seen=1, closed=NOW - LONG_CLOSED + 1), set()),
        (touch(NOW, parcel="p", seen=1, context=True), {"unexplained", "unexplained_share"}),
        (touch(NOW, parcel="p", seen=1, context=True, explanation="scan"), set()),
        (touch(NOW, "reveal", "p", seen=1), {"reveals"}),
        (touch(NOW, "print", "p", seen=1), {"exports", "export_rows"}),
        (touch(NOW, parcel="p", seen=1, device=7), {"devices"}),
        (touch(NOW, parcel="p", seen=1, place=7), {"places"}),
    ],
)
def test_a_touch_of_a_parcel_counts_for_what_it_is(row: Touch, features: set[str]) -> None:
    found = {name: value for name, value in counted(row).items() if value}
    one = {"parcels", "records", *features}
    assert found == {name: 1.0 if name == "unexplained_share" else log1p(1) for name in one}


def test_accesses_without_a_parcel_count_rows_and_calls() -> None:
    found = counted(
        touch(NOW, "export", records=500),
        touch(NOW, "export", records=0),
        touch(NOW, "search"),
        touch(NOW, "search", failed=True),
    )
    assert {name: value for name, value in found.items() if value} == {
        "records": log1p(500),
        "export_rows": log1p(500),
        "exports": log1p(1),
        "searches": log1p(2),
        "failed": log1p(1),
    }


def test_devices_and_places_are_counted_once_and_only_so_many() -> None:
    rows = [touch(NOW, device=1 + n % 50, place=1 + n % 3) for n in range(500)]
    found = counted(*rows)
    assert (found["devices"], found["places"]) == (log1p(MOST_KINDS), log1p(3))


def test_a_day_is_the_sum_of_its_hours_and_knows_how_many_there_were() -> None:
    buckets = lived(
        Diary(), *views(at(hour=9), parcels=30, minutes=30), *views(at(hour=14), parcels=12, minutes=30)
    )
    assert [round(pow(2.718281828, b.hour_vector[0])) - 1 for b in buckets] == [30, 12]
    assert [of_day(bucket, "parcels") for bucket in buckets] == [log1p(30), log1p(42)]
    assert [of_day(bucket, "active_hours") for bucket in buckets] == [log1p(1), log1p(2)]
    assert buckets[0].day == buckets[1].day


def test_days_are_local_and_begin_empty() -> None:
    buckets = lived(Diary(), touch(at(hour=23.5), parcel="a"), touch(at(1, 0.5), parcel="b"))
    assert [bucket.day for bucket in buckets] == [buckets[0].day, buckets[0].day + 1]
    assert of_day(buckets[1], "parcels") == log1p(1)


def test_hours_are_of_order_time_not_of_event_time() -> None:
    late = touch(at(hour=9.2), parcel="b")
    late.st = at(hour=11.5)
    buckets = lived(Diary(), touch(at(hour=9.1), parcel="a"), late)
    assert buckets[1].hour - buckets[0].hour == 2


def test_work_at_an_hour_never_worked_is_odd_once_the_person_is_known() -> None:
    for days, odd in ((KNOWN_DAYS - 2, False), (KNOWN_DAYS - 1, True)):
        diary = Diary()
        lived(diary, *work(range(days)))
        [usual] = lived(diary, *views(at(days, 10), parcels=20, minutes=30))
        [night] = lived(diary, *views(at(days + 1, 3), parcels=20, minutes=30))
        index = HOUR_FEATURES.index("odd_hours")
        assert usual.hour_vector[index] < log1p(1)
        assert (night.hour_vector[index] > log1p(20)) == odd


def test_a_day_above_the_persons_own_stands_out_and_one_below_does_not() -> None:
    diary = Diary()
    lived(diary, *work(range(10), parcels=20))
    before = msgspec.msgpack.encode(diary)
    much = lived(diary, *views(at(10, 9), parcels=200, minutes=50))[-1]
    assert of_day(much, "first_above_own") == pytest.approx(log1p(200) - log1p(20), abs=0.02)
    again = msgspec.msgpack.decode(before, type=Diary)
    little = lived(again, *views(at(10, 9), parcels=2, minutes=50))[-1]
    assert of_day(little, "first_above_own") == of_day(little, "records_above_own") == 0


def test_what_is_exported_when_a_month_is_settled_is_not_held_against_the_own_days() -> None:
    diary = Diary()
    lived(diary, *work(range(10), parcels=20))
    found = {}
    for day in (26, 29):  # 28 and 31 March 2026; the latter is the month's last working day
        [bucket] = lived(diary, touch(at(day, 10), "export", records=40_000))
        found[day] = of_day(bucket, "records_above_own")
    assert found[26] > 5
    assert found[29] == 0


def rows_of_a_fortnight() -> list[Touch]:
    rows = list(work(range(14), parcels=25, device=3, place=4, context=True))
    return [*rows, touch(at(14, 2), "export", records=900, device=9)]


def test_a_diary_stored_and_read_at_any_moment_goes_on_byte_for_byte() -> None:
    kept, stored = Diary(), Diary()
    kept_buckets: list[Any] = []
    stored_buckets: list[Any] = []
    for row in rows_of_a_fortnight():
        for diary, buckets in ((kept, kept_buckets), (stored, stored_buckets)):
            if row.st >= diary.ends:
                buckets.append(diary.turn(row))
            diary.now.add(row)
        raw = msgspec.msgpack.encode(stored)
        stored = msgspec.msgpack.decode(raw, type=Diary)
        assert msgspec.msgpack.encode(stored) == raw == msgspec.msgpack.encode(kept)
    assert stored_buckets == kept_buckets


def test_an_hour_closed_by_time_is_the_hour_closed_by_the_next_touch() -> None:
    by_touch, by_time = Diary(), Diary()
    rows = rows_of_a_fortnight()
    touched = lived(by_touch, *rows)
    timed = []
    for row in rows:
        if row.st >= by_time.ends:
            timed.append(by_time.close())
            by_time.turn(row)
        by_time.now.add(row)
    timed.append(by_time.close())
    assert [bucket for bucket in timed if bucket] == touched
    assert msgspec.msgpack.encode(by_time) == msgspec.msgpack.encode(by_touch)


def test_a_diary_stays_small_whatever_the_person_does() -> None:
    diary = Diary()
    for day in range(30):
        for hour in range(24):
            for n in range(40):
                row = touch(
                    at(day, hour) + n * HOUR // 50, "export", f"p{n}", records=10**12, device=n * 99_991 + 1,
                    place=n * 99_991 + 7, others=(1,), idle=10**9, closed=1, context=True,
                )  # fmt: skip
                if row.st >= diary.ends:
                    diary.turn(row)
                diary.now.add(row)
    assert len(msgspec.msgpack.encode(diary)) < 500
