"""Bulk read finds mass reading and exports early, and leaves peak days and bulk jobs alone."""

from __future__ import annotations

import pytest

from detectors.base import Normal, Person
from detectors.bulk_read import BulkRead
from detectors.testing import CLERK, NOBODY, Watch, at, colleagues, office, touch, views, work

DETECTOR = BulkRead()
WEEKS = [day for day in range(-14, 0) if day % 7 < 5]
KEY_ACCOUNT = Person("k1.staff.kam", "vnx", role="key_account_manager", status="active")
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office in which everybody opens 30 parcels a day and exports nothing."""
    return office(DETECTOR)


def veteran(normal: Normal, **habits: int) -> Watch:
    """A person with ten ordinary days behind him."""
    watch = Watch(DETECTOR, normal)
    watch.see(*work(WEEKS, **habits))
    assert not watch.alerts
    return watch


@pytest.mark.parametrize(
    ("parcels", "minutes", "within"), [(100, 10, 25), (400, 30, 40), (2_000, 60, 50), (100, 60, 60)]
)
def test_alerts_on_a_bulk_read_before_much_is_gone(
    normal: Normal, parcels: int, minutes: int, within: int
) -> None:
    told: list[int] = []
    watch = veteran(normal)
    for number, row in enumerate(views(at(hour=10), parcels=parcels, minutes=minutes), start=1):
        told += [number] * len(watch.see(row))
    assert told
    assert told[0] <= within


@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("records", [500, 50_000])
def test_alerts_on_an_export_where_nobody_exports(normal: Normal, calls: int, records: int) -> None:
    watch = veteran(normal)
    watch.see(*(touch(at(hour=10 + n / 5), "export", records=-(-records // calls)) for n in range(calls)))
    watch.pass_time(at(hour=14))
    closed = watch.alerts[-1]
    assert closed.detector == "bulk_read"
    assert closed.records >= records
    assert closed.finding.severity == (5 if records >= 5_000 else 4)
    assert closed.first == at(hour=10)


def test_alerts_on_a_newcomer_on_his_first_day(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    assert watch.see(*views(at(hour=10), parcels=200, minutes=30))


def test_alerts_before_anything_is_known_of_anybody() -> None:
    watch = Watch(DETECTOR, NOBODY)
    assert watch.see(*views(at(hour=10), parcels=400, minutes=30))
    assert "no history yet" in watch.alerts[0].finding.en
    assert Watch(DETECTOR, NOBODY).see(touch(at(), "export", records=10_000))


def test_alerts_again_after_earlier_leaks_taught_nothing(normal: Normal) -> None:
    watch = veteran(normal)
    found = [bool(watch.see(*views(at(day, 10), parcels=300, minutes=30))) for day in range(0, 28, 7)]
    assert found == [True] * 4
    taught = [dict(lessons) for lessons in watch.lessons[len(WEEKS) :]]
    assert all("bulk.parcels.1h" not in day for day in taught)


def test_alerts_teach_nothing_on_the_day_after_either(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(touch(at(0, 16.9), "export", records=20_000))
    watch.see(*work([1, 2]))
    watch.end_day()
    taught = [dict(lessons) for lessons in watch.lessons[len(WEEKS) :]]
    assert [day.get("bulk.records.1d") for day in taught] == [None, 0, 0]


def test_alerts_begin_with_the_first_touch_of_the_burst(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*views(at(hour=9), parcels=3, minutes=50))
    start = at(hour=10)
    watch.see(*views(start, parcels=500, minutes=20))
    assert watch.alerts[0].first == start
    assert watch.alerts[0].records <= 60


def test_alerts_grow_with_the_case_and_close_after_quiet(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*views(at(hour=10), parcels=1_000, minutes=40))
    watch.pass_time(at(hour=14))
    assert watch.alerts[0].activity == 1
    assert watch.alerts[-1].activity == 3
    severities = [alert.finding.severity for alert in watch.alerts]
    assert severities == sorted(severities)
    assert len({alert.uid for alert in watch.alerts}) == 1
    assert len(watch.alerts) <= 9


def test_silent_on_ordinary_work_after_what_was_told(normal: Normal) -> None:
    """The day's window still holds the export when its episode is over: it is not told twice."""
    watch = veteran(normal)
    watch.see(touch(at(hour=10), "export", records=6_000))
    watch.pass_time(at(hour=12))
    before = len(watch.alerts)
    assert not watch.see(*views(at(hour=13), parcels=10, minutes=60), touch(at(hour=15), "search", records=5))
    assert len(watch.alerts) == before


def test_alerts_on_a_second_export_after_the_first_was_told(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(touch(at(hour=10), "export", records=6_000))
    watch.pass_time(at(hour=12))
    assert watch.see(touch(at(hour=15), "export", records=2_000))


def test_the_sentences_name_count_window_limit_and_baselines(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(touch(at(hour=10), "export", records=12_345))
    finding = watch.alerts[0].finding
    for part in (
        "12,345 shipment records",
        "within 5 minutes",
        "limit of 250",
        "busiest days it was 0",
        "peers",
    ):
        assert part in finding.en
    for part in ("12,345 bản ghi", "trong vòng 5 phút", "ngưỡng 250", "đồng nghiệp"):
        assert part in finding.vi


def test_silent_on_a_peak_day_that_doubles_everything(normal: Normal) -> None:
    assert not veteran(normal).see(*work([0], parcels=60))


def test_silent_on_a_couriers_assigned_route_and_a_sick_colleagues() -> None:
    watch = Watch(DETECTOR, NOBODY)
    assert not watch.see(*views(at(hour=6), parcels=220, minutes=1, action="list", explanation="assigned"))


def test_silent_on_thousands_of_scans() -> None:
    watch = Watch(DETECTOR, NOBODY)
    assert not watch.see(*views(at(hour=6), parcels=4_000, minutes=480, action="scan", explanation="scan"))


def test_silent_on_a_claims_campaign_with_its_tickets(normal: Normal) -> None:
    assert not veteran(normal).see(*views(at(hour=9), parcels=300, minutes=400, explanation="ticket"))


def test_silent_on_work_in_hand_opened_again_and_again(normal: Normal) -> None:
    watch = veteran(normal)
    again = [touch(at(0, 10) + n * 1_000, parcel=f"k1.parcel.{n}", seen=at(-3)) for n in range(1_000)]
    assert not watch.see(*again)


def test_silent_on_a_role_that_exports_every_day() -> None:
    lives = [
        [touch(at(day, 16), "export", records=800 + 40 * n, who=KEY_ACCOUNT) for day in WEEKS]
        for n in range(6)
    ]
    watch = Watch(DETECTOR, colleagues(DETECTOR, *lives))
    watch.see(*lives[0])
    assert not watch.see(touch(at(0, 16), "export", records=1_400, who=KEY_ACCOUNT))
    assert watch.see(touch(at(7, 16), "export", records=20_000, who=KEY_ACCOUNT))


def test_silent_on_a_month_end_export_by_those_who_export_daily() -> None:
    lives = [
        [touch(at(day, 16), "export", records=800, who=KEY_ACCOUNT) for day in range(11, 28)]
        for _ in range(6)
    ]
    watch = Watch(DETECTOR, colleagues(DETECTOR, *lives))
    watch.see(*lives[0])
    assert not watch.see(touch(at(29, 16), "export", records=24_000, who=KEY_ACCOUNT))


def test_silent_on_a_declared_service_account() -> None:
    assert not Watch(DETECTOR, NOBODY).see(*views(at(hour=1), parcels=20_000, minutes=60, who=SERVICE))


def test_silent_on_a_person_who_reads_in_bulk_every_day(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for day in WEEKS:
        watch.see(*views(at(day, 10), parcels=100, minutes=55))
    watch.pass_time(at(0))
    assert not watch.see(*views(at(0, 10), parcels=120, minutes=55))


def test_reads_of_a_day_with_a_case_count_for_the_person_up_to_the_limit_only(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*views(at(hour=10), parcels=2_000, minutes=30))
    limit = watch.alerts[-1].finding.measures["limit"]
    watch.end_day()
    assert watch.state.past[0][-1] <= max(limit, 45)


def test_step_is_silent_for_the_first_touch_of_anybody() -> None:
    assert DETECTOR.step(DETECTOR.initial(), touch(at(), parcel="k1.p", who=CLERK), NOBODY) == 0
