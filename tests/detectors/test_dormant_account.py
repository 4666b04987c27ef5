"""Dormant account finds leavers and long silent accounts that take data, and leaves those who return to work alone."""

from __future__ import annotations

import msgspec
import pytest

from detectors.base import CRITICAL, HIGH, LOW, MEDIUM, Normal, Person
from detectors.dormant_account import MEMORY, DormantAccount
from detectors.habits import second
from detectors.testing import CLERK, NOBODY, Watch, at, colleagues, office, touch, views, work

DETECTOR = DormantAccount()
LEFT = msgspec.structs.replace(CLERK, status="left")
AWAY = msgspec.structs.replace(CLERK, status="on_leave")
SERVICE = Person("k1.svc", "vnx", role="service", service=True)
WEEKS = [day for day in range(-84, -56) if day % 7 < 5]


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office at work for months without a pause."""
    return colleagues(DETECTOR, *(work([day for day in range(-84, 0) if day % 7 < 5]) for _ in range(4)))


def silent_for_eight_weeks(normal: Normal) -> Watch:
    """A clerk with four ordinary weeks, then nothing for eight."""
    watch = Watch(DETECTOR, normal)
    watch.see(*work(WEEKS))
    assert not watch.alerts
    return watch


def test_alerts_on_the_first_parcel_of_a_leaver_without_any_history() -> None:
    told = Watch(DETECTOR, NOBODY).see(touch(at(), parcel="k1.p", who=LEFT))
    assert [alert.activity for alert in told] == [1]
    assert told[0].finding.severity == MEDIUM
    assert told[0].finding.confidence == 3
    assert "somebody who left" in told[0].finding.en
    assert "đã nghỉ việc" in told[0].finding.vi


def test_alerts_on_a_leaver_more_severely_the_more_was_read() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*views(at(), parcels=60, minutes=60, who=LEFT))
    assert watch.alerts[-1].finding.severity == HIGH
    assert watch.see(touch(at(hour=11), "export", records=6_000, who=LEFT))[-1].finding.severity == CRITICAL


def test_alerts_on_explained_and_service_work_of_a_leaver_too() -> None:
    assert Watch(DETECTOR, NOBODY).see(touch(at(), parcel="k1.p", who=LEFT, explanation="scan"))
    gone = msgspec.structs.replace(SERVICE, status="left")
    assert Watch(DETECTOR, NOBODY).see(touch(at(), parcel="k1.p", who=gone))


def test_alerts_on_many_first_touches_after_long_silence(normal: Normal) -> None:
    told = silent_for_eight_weeks(normal).see(*views(at(), parcels=150, minutes=90))
    assert told
    assert told[0].finding.severity == LOW
    assert told[-1].finding.severity == MEDIUM
    assert told[0].first == at()
    # Friday at five, ten weeks on a Monday at nine.
    assert told[0].finding.measures["silence"] == 58
    assert "silent for 58 days" in told[0].finding.en
    assert "suốt 58 ngày" in told[0].finding.vi


@pytest.mark.parametrize("peers", [True, False])
def test_alerts_on_an_export_as_the_first_act_after_long_silence(normal: Normal, peers: bool) -> None:
    told = silent_for_eight_weeks(normal if peers else NOBODY).see(touch(at(), "export", records=40))
    assert told
    assert told[0].finding.severity == MEDIUM


def test_alerts_on_an_account_never_used_before_that_reads_twice_a_busy_day(normal: Normal) -> None:
    told = Watch(DETECTOR, normal).see(*views(at(), parcels=150, minutes=90))
    assert told
    assert "never used before" in told[0].finding.en


def test_silent_on_a_parent_who_returns_and_reads_as_his_peers_do(normal: Normal) -> None:
    assert not silent_for_eight_weeks(normal).see(*work(range(5)))


def test_silent_on_a_return_to_a_peak_day_of_explained_work(normal: Normal) -> None:
    assert not silent_for_eight_weeks(normal).see(*work([0], parcels=400, explanation="assigned"))


def test_silent_after_two_weeks_of_holiday(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*work(range(-42, -15)))
    assert not watch.see(*views(at(), parcels=150, minutes=90))


def test_silent_on_who_comes_every_other_month(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for month in range(-240, 0, 40):
        watch.see(*work(range(month, month + 6)))
    assert not watch.alerts
    assert not watch.see(*views(at(10), parcels=150, minutes=90))


def test_silent_on_seasonal_staff_among_their_like() -> None:
    seasons = [[*work(range(start, start + 8), parcels=20)] for start in range(-400, 0, 60)]
    normal = colleagues(DETECTOR, *([row for season in seasons for row in season] for _ in range(4)))
    assert not silent_for_eight_weeks(normal).see(*views(at(), parcels=150, minutes=90))


def test_silent_on_a_new_hire_in_training(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for day in range(5):
        assert not watch.see(*views(at(day), parcels=40, minutes=480))


def test_silent_on_newcomers_of_a_young_log() -> None:
    assert not Watch(DETECTOR, office(DETECTOR)).see(*views(at(), parcels=400, minutes=90))


def test_silent_on_leavers_who_log_in_and_get_nothing() -> None:
    rows = [touch(at(), "login", who=LEFT), touch(at(hour=10), "view", who=LEFT, failed=True)]
    assert not Watch(DETECTOR, NOBODY).see(*rows)


def test_silent_on_people_on_leave_and_on_quarterly_jobs(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*work(WEEKS, who=SERVICE))
    assert not watch.see(touch(at(), "export", records=9_000, who=SERVICE))
    assert not Watch(DETECTOR, NOBODY).see(touch(at(), "export", records=40, who=AWAY))


def test_silent_on_who_was_hired_again(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(touch(at(), parcel="k1.p", who=LEFT))
    assert not [alert for alert in watch.see(*work(range(1, 6))) if alert.activity != 3]


def test_a_day_with_a_case_is_no_baseline(normal: Normal) -> None:
    watch = silent_for_eight_weeks(normal)
    watch.see(*views(at(), parcels=500, minutes=90))
    watch.end_day()
    assert max(watch.state.past) <= 30
    assert len(watch.state.past) <= MEMORY
    assert not {"dormant.reads", "dormant.exported"} & {name for name, _ in watch.lessons[-1]}


def test_one_odd_day_is_not_the_usual() -> None:
    assert second([3, 90, 7]) == 7
    assert second([9]) == 0
