"""Off hours finds exports and long reading when nobody works, and leaves shifts, overtime and habit alone."""

from __future__ import annotations

import msgspec
import pytest

from detectors.base import Normal, Person
from detectors.off_hours import OffHours
from detectors.testing import CLERK, NOBODY, Watch, at, colleagues, office, touch, views, work

DETECTOR = OffHours()
WEEKS = [day for day in range(-28, 0) if day % 7 < 5]
NIGHTS = Person("k1.staff.night", "vnx", role="hub_staff", shifts=("22-06",), status="active")
DAYS = Person("k1.staff.day", "vnx", role="depot_clerk", shifts=("08-17",), status="active")
AWAY = msgspec.structs.replace(CLERK, status="on_leave")
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office that works Monday to Friday from nine to five."""
    return office(DETECTOR)


def veteran(normal: Normal, who: Person = CLERK) -> Watch:
    """A person with four ordinary weeks behind him."""
    watch = Watch(DETECTOR, normal)
    watch.see(*work(WEEKS, who=who))
    assert not watch.alerts
    return watch


@pytest.mark.parametrize("records", [20, 500, 5_000])
@pytest.mark.parametrize("when", [at(0, 2), at(5, 14), at(6, 11)], ids=["night", "saturday", "sunday"])
def test_alerts_on_an_export_at_a_time_never_worked(normal: Normal, when: int, records: int) -> None:
    told = veteran(normal).see(touch(when, "export", records=records))
    assert [alert.activity for alert in told] == [1]
    assert told[0].first == when
    assert told[0].records == records
    assert "never works" in told[0].finding.en


def test_alerts_on_small_exports_that_add_up(normal: Normal) -> None:
    assert veteran(normal).see(*(touch(at(0, 2 + n / 10), "export", records=7) for n in range(3)))


def test_alerts_outside_the_roster_from_the_first_hour() -> None:
    told = Watch(DETECTOR, NOBODY).see(touch(at(0, 2), "export", records=100, who=DAYS))
    assert told
    assert "outside the roster" in told[0].finding.en


def test_alerts_during_leave_by_day(normal: Normal) -> None:
    told = veteran(normal).see(touch(at(0, 11), "export", records=50, who=AWAY))
    assert told
    assert "on leave" in told[0].finding.en


def test_alerts_on_a_public_holiday(normal: Normal) -> None:
    told = veteran(normal).see(touch(at(0, 11), "export", records=50, holiday=True))
    assert told
    assert "public holiday" in told[0].finding.en


def test_alerts_on_long_unexplained_reading_at_night(normal: Normal) -> None:
    assert veteran(normal).see(*views(at(0, 2), parcels=120, minutes=60))


def test_alerts_on_a_newcomer_at_night_where_his_peers_are_known(normal: Normal) -> None:
    assert Watch(DETECTOR, normal).see(touch(at(0, 3), "export", records=300))


def test_alerts_on_a_night_export_after_a_week_without_peers_or_roster() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*work(WEEKS[-5:]))
    assert watch.see(touch(at(0, 2), "export", records=60))


def test_alerts_where_a_batch_account_works_all_night() -> None:
    batch = [touch(at(day, hour), parcel=f"k1.b{day}.{hour}") for day in WEEKS for hour in range(24)]
    normal = colleagues(DETECTOR, batch, *(work(WEEKS) for _ in range(19)))
    assert veteran(normal).see(touch(at(0, 2), "export", records=100))


def test_the_sentences_name_records_time_and_shares(normal: Normal) -> None:
    finding = veteran(normal).see(touch(at(5, 14), "export", records=1_234))[0].finding
    for part in (
        "1,234 shipment records",
        "around 14:00 local time on a Saturday",
        "active then on 0.0% of days",
        "peers on",
    ):
        assert part in finding.en
    for part in ("1,234 bản ghi", "khoảng 14:00 giờ địa phương, thứ Bảy", "0.0% số ngày", "đồng nghiệp"):
        assert part in finding.vi


def test_silent_on_one_strange_night_of_ordinary_work(normal: Normal) -> None:
    assert not veteran(normal).see(*views(at(0, 1), parcels=40, minutes=120))


def test_silent_on_explained_work_on_a_swapped_shift() -> None:
    assert not Watch(DETECTOR, NOBODY).see(
        *views(at(0, 23), parcels=900, minutes=300, who=DAYS, explanation="scan")
    )


def test_silent_on_a_night_shift_by_roster() -> None:
    watch = Watch(DETECTOR, NOBODY)
    assert not watch.see(
        *(touch(at(0, hour), "export", records=100, who=NIGHTS) for hour in (22, 23, 26, 29))
    )


def test_silent_on_a_night_shift_by_peers() -> None:
    nights = [list(work(WEEKS, start=0, hours=6)) for _ in range(4)]
    nights = [[*life, *(touch(at(day, 3), "export", records=60) for day in WEEKS)] for life in nights]
    normal = colleagues(DETECTOR, *(sorted(life, key=lambda row: row.time) for life in nights))
    assert not Watch(DETECTOR, normal).see(touch(at(0, 3), "export", records=60))


def test_silent_on_an_hour_of_overtime(normal: Normal) -> None:
    assert not veteran(normal).see(touch(at(0, 17.5), "export", records=100))
    assert not veteran(normal, DAYS).see(touch(at(0, 17.9), "export", records=100, who=DAYS))


def test_silent_on_an_export_in_working_hours(normal: Normal) -> None:
    assert not veteran(normal).see(touch(at(0, 11), "export", records=400))


def test_silent_on_whoever_exports_each_night() -> None:
    life = [touch(at(day, 2), "export", records=500) for day in WEEKS]
    watch = Watch(DETECTOR, office(DETECTOR))
    watch.see(*life)
    before = len(watch.alerts)
    assert not [alert for alert in watch.see(touch(at(0, 2), "export", records=500)) if alert.activity == 1]
    assert before


def test_silent_on_the_usual_export_by_whoever_works_late(normal: Normal) -> None:
    watch = veteran(normal)
    for day in range(10):
        watch.see(touch(at(day, 17), "export", records=100 + day))
    assert not watch.see(touch(at(10, 21), "export", records=120))
    assert watch.see(touch(at(11, 23), "export", records=1_000))


def test_silent_on_a_declared_service_account(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(touch(at(0, 3), "export", records=9_000, who=SERVICE))


def test_silent_where_a_young_log_has_not_seen_this_weekday() -> None:
    mondays_and_tuesdays = colleagues(DETECTOR, *(work([-7, -6]) for _ in range(30)))
    assert not Watch(DETECTOR, mondays_and_tuesdays).see(touch(at(2, 11), "export", records=80))


def test_hours_are_the_carriers_not_greenwichs(normal: Normal) -> None:
    # Ten in the morning in Hanoi is three at night in Greenwich.
    assert not veteran(normal).see(touch(at(0, 10), "export", records=100))
