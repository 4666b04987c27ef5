"""Whoever digs up parcels closed weeks ago is told of; claims, returns and roles that do so daily are not."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from detectors.base import Normal, Person, Touch
from detectors.long_delivered import LongDelivered
from detectors.testing import NOBODY, Peers, Watch, at, colleagues, office, touch, views, work

DETECTOR = LongDelivered()
WEEKS = [day for day in range(-28, 0) if day % 7 < 5]
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


def old(day: int, parcels: int, hour: float = 9, ago: int = 40, **known: object) -> Iterator[Touch]:
    """Parcels closed so many days ago, each opened for the first time."""
    yield from views(at(day, hour), parcels=parcels, minutes=120, context=True, closed=at(day - ago), **known)


def life(days: list[int], a_day: int) -> Iterator[Touch]:
    """Ordinary days with context, some old parcels in each."""
    for day in days:
        yield from work([day], parcels=10, start=6, hours=2, context=True, explanation="assigned")
        yield from old(day, a_day)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """Colleagues who now and then look at an old parcel."""
    return colleagues(DETECTOR, *(life(WEEKS, n % 3 == 0) for n in range(9)))


def veteran(normal: Normal, a_day: int) -> Watch:
    watch = Watch(DETECTOR, normal)
    watch.see(*life(WEEKS, a_day))
    watch.pass_time(at(0, 0))
    return watch


@pytest.mark.parametrize(("parcels", "severity"), [(8, 2), (20, 3), (60, 4)])
def test_alerts_on_old_parcels_nobody_asks_about(normal: Normal, parcels: int, severity: int) -> None:
    watch = veteran(normal, 0)
    watch.see(*old(0, parcels))
    watch.pass_time(at(0, 20))
    assert watch.alerts
    assert max(alert.finding.severity for alert in watch.alerts) <= severity
    assert watch.alerts[0].first == at()
    assert watch.alerts[0].finding.evidence <= 8


def test_alerts_become_more_severe_as_the_case_grows(normal: Normal) -> None:
    watch = veteran(normal, 0)
    watch.see(*old(0, 120))
    watch.pass_time(at(0, 20))
    severities = [alert.finding.severity for alert in watch.alerts]
    assert severities == sorted(severities)
    assert severities[-1] == 4


def test_alerts_at_once_on_more_than_could_wait(normal: Normal) -> None:
    assert veteran(normal, 0).see(*old(0, 100))


def test_alerts_before_anything_is_known_of_anybody() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*old(0, 12))
    [alert] = watch.pass_time(at(0, 20))
    assert "no history yet" in alert.finding.en
    assert "closed for 21 days or more (up to 40)" in alert.finding.en
    assert "hoàn tất từ 21 ngày trở lên (lâu nhất 40 ngày)" in alert.finding.vi


def test_silent_where_peers_had_learnt_before_there_was_this_detector() -> None:
    others = Peers([[("another", 1)] for _ in range(500)])
    watch = Watch(DETECTOR, Normal(others, others))
    watch.see(*old(0, 9))
    assert not watch.pass_time(at(1))


@pytest.mark.parametrize("explanation", ["ticket", "call", "assigned", "scan"])
def test_silent_on_a_claims_campaign_and_on_returns(normal: Normal, explanation: str) -> None:
    watch = veteran(normal, 0)
    watch.see(*old(0, 300, explanation=explanation))
    assert not watch.pass_time(at(1))


def test_silent_when_tickets_are_entered_within_the_grace(normal: Normal) -> None:
    watch = veteran(normal, 0)
    rows = list(old(0, 30))
    watch.see(*rows)
    for row in rows:
        watch.explain(row, "ticket")
    assert not watch.pass_time(at(1))
    assert DETECTOR.wake(watch.state) == 0


def test_silent_on_a_look_or_two_a_day(normal: Normal) -> None:
    watch = veteran(normal, 2)
    for day in range(10):
        watch.see(*old(day, 3))
    assert not watch.pass_time(at(11))
    assert not watch.alerts


def test_silent_on_a_role_that_looks_into_the_past_daily() -> None:
    claims = colleagues(DETECTOR, *(life(WEEKS, 25) for _ in range(4)))
    watch = Watch(DETECTOR, claims)
    watch.see(*(row for day in range(5) for row in old(day, 30)))
    watch.pass_time(at(6))
    assert not watch.alerts


def test_silent_after_some_days_on_one_whose_duty_it_is(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*life(WEEKS, 15))
    watch.see(*old(0, 20))
    watch.pass_time(at(4))
    assert watch.alerts
    assert all(alert.opened < at(-20) for alert in watch.alerts if alert.activity == 1)


def test_silent_on_parcels_delivered_lately_open_or_in_hand(normal: Normal) -> None:
    watch = veteran(normal, 0)
    watch.see(*old(0, 50, ago=14), *views(at(0, 12), parcels=50, minutes=60, context=True))
    watch.see(*old(0, 50, hour=14, seen=at(-40)))
    assert not watch.pass_time(at(1))


def test_silent_on_a_declared_service_account(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*old(0, 5_000, hour=2, who=SERVICE))
    assert not watch.pass_time(at(1))


def test_silent_on_a_log_without_context() -> None:
    watch = Watch(DETECTOR, office(DETECTOR))
    watch.see(*work(range(5), parcels=300))
    assert not watch.alerts
    assert watch.state.grace.waiting == []


def test_a_case_becomes_its_own_baseline_but_slowly_and_nobody_elses(normal: Normal) -> None:
    watch = veteran(normal, 0)
    taught = len([lesson for day in watch.lessons for lesson in day])
    for day in range(3):
        watch.see(*old(day, 40))
        watch.pass_time(at(day, 20))
    watch.end_day()
    assert max(watch.state.past) <= 10, "of forty a day"
    lessons = [lesson for day in watch.lessons for lesson in day]
    assert len(lessons) == taught + 1, "the last ordinary day is taught, the days with a case are not"


def test_a_person_who_digs_all_day_stays_small(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*(touch(at() + n, parcel=f"k1.p{n:036}", closed=1, context=True) for n in range(3_000)))
    assert len(msgspec.msgpack.encode(watch.state)) < 4_096
    watch.pass_time(at(2))
    watch.end_day()
    assert len(msgspec.msgpack.encode(watch.state)) < 100
