"""Borrowed login finds a login used from elsewhere, and leaves new phones, moves and roaming alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec
import pytest

from detectors.base import HIGH, MEDIUM, Normal, Person, Touch
from detectors.borrowed_login import BorrowedLogin
from detectors.habits import PROBATION, Familiar, taken
from detectors.testing import CLERK, NOBODY, Watch, at, colleagues, office, touch, views, work

DETECTOR = BorrowedLogin()
WEEKS = [day for day in range(-28, 0) if day % 7 < 5]
HOME = {"device": 1, "place": 1, "site": "HN-03"}
AWAY = {"device": 9, "place": 9, "site": "SG-01"}
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office whose clerks each stay with their device."""
    return office(DETECTOR, **HOME)


def veteran(normal: Normal, **where: object) -> Watch:
    """A clerk with four ordinary weeks behind him."""
    watch = Watch(DETECTOR, normal)
    watch.see(*work(WEEKS, **(where or HOME)))
    assert not watch.alerts
    return watch


def by_time(*lives: Iterator[Touch]) -> list[Touch]:
    return sorted(chain(*lives), key=lambda row: row.time)


@pytest.mark.parametrize("parcels", [12, 50, 200])
def test_alerts_on_two_sites_at_once_before_many_records_are_gone(normal: Normal, parcels: int) -> None:
    owner = views(at(hour=9.9), parcels=12, minutes=60, **HOME)
    thief = views(at(hour=10), parcels=parcels, minutes=40, **AWAY)
    told = veteran(normal).see(*by_time(owner, thief))
    assert told
    assert told[0].finding.evidence <= 9
    assert told[0].finding.measures["apart"] >= 2 or parcels == 200
    assert told[0].finding.severity == MEDIUM


def test_alerts_on_a_burst_from_a_new_device_and_network(normal: Normal) -> None:
    told = veteran(normal).see(*views(at(hour=20), parcels=60, minutes=30, device=9, place=9))
    assert told
    assert told[0].finding.evidence == 9
    assert told[0].first == at(hour=20)
    assert told[0].finding.score > 2


def test_alerts_on_a_slow_borrower_by_the_day(normal: Normal) -> None:
    assert veteran(normal).see(*views(at(hour=8), parcels=70, minutes=600, **AWAY))


def test_alerts_where_only_the_network_is_named(normal: Normal) -> None:
    assert veteran(normal, place=1).see(*views(at(hour=20), parcels=40, minutes=15, place=9))


def test_alerts_on_an_export_from_elsewhere_with_high_severity(normal: Normal) -> None:
    told = veteran(normal).see(touch(at(hour=20), "export", records=900, **AWAY))
    assert told
    assert told[0].finding.severity == HIGH


def test_alerts_again_on_the_next_day_from_what_was_suspect(normal: Normal) -> None:
    watch = veteran(normal)
    assert watch.see(*views(at(0, 20), parcels=60, minutes=30, **AWAY))
    assert [
        alert for alert in watch.see(*views(at(1, 20), parcels=60, minutes=30, **AWAY)) if alert.activity == 1
    ]


def test_alerts_say_what_is_new_and_how_much_is_usual(normal: Normal) -> None:
    finding = veteran(normal).see(*views(at(hour=20), parcels=60, minutes=30, **AWAY))[0].finding
    for part in ("9 records", "device, network, site never used", "0.0% of days", "this person takes 30"):
        assert part in finding.en
    for part in ("9 bản ghi", "thiết bị, mạng, địa điểm", "người này lấy 30"):
        assert part in finding.vi


def test_silent_on_a_new_phone_at_the_usual_pace(normal: Normal) -> None:
    watch = veteran(normal)
    assert not watch.see(*work(range(5), device=2, place=1, site="HN-03"))


def test_silent_on_a_login_alone(normal: Normal) -> None:
    assert not veteran(normal).see(*(touch(at(hour=20 + n / 60), "login", **AWAY) for n in range(30)))


def test_silent_on_a_substitute_at_another_depot_with_new_device_and_network(normal: Normal) -> None:
    assert not veteran(normal).see(*work([0], **AWAY))


def test_silent_on_explained_work_at_another_depot_on_a_peak_day(normal: Normal) -> None:
    assert not veteran(normal).see(*work([0], parcels=200, explanation="assigned", **AWAY))


def test_silent_when_phone_and_computer_are_used_in_turns(normal: Normal) -> None:
    rows = by_time(
        work([0], parcels=15, **HOME), work([0], parcels=15, start=9.05, device=7, place=7, site="HN-03")
    )
    assert not veteran(normal).see(*rows)


def test_silent_on_couriers_whose_mobile_network_is_new_each_day() -> None:
    def life(first: int) -> list[Touch]:
        days = (
            views(at(day, 9), parcels=30, minutes=480, device=first, place=1000 + first + day)
            for day in WEEKS
        )
        return by_time(*days)

    normal = colleagues(DETECTOR, *(life(10 * n) for n in range(4)))
    watch = Watch(DETECTOR, normal)
    watch.see(*life(7))
    assert not watch.see(*views(at(), parcels=80, minutes=60, device=7, place=5_555))


def test_silent_where_everybody_is_given_a_new_network_with_the_move() -> None:
    def moved(n: int) -> list[Touch]:
        return [*work(WEEKS, device=n, place=1), *work([0, 1], device=n, place=2)]

    normal = colleagues(DETECTOR, *(moved(n) for n in range(1, 2)))
    assert not Watch(DETECTOR, normal).see(*moved(5))


def test_silent_on_a_shared_counter_terminal(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for n, day in enumerate(WEEKS):
        assert not watch.see(*work([day], device=1 + n % 2, place=1, site="HN-03"))


def test_silent_on_a_site_the_directory_gives_the_person(normal: Normal) -> None:
    moved = msgspec.structs.replace(CLERK, site="SG-01")
    watch = veteran(normal)
    watch.see(*views(at(hour=9), parcels=30, minutes=30, who=moved, device=1, place=1, site="SG-01"))
    assert not watch.alerts


def test_silent_on_a_busy_day_at_another_site_with_a_familiar_device(normal: Normal) -> None:
    assert not veteran(normal).see(*work([0], parcels=80, device=1, place=1, site="SG-01"))


def test_silent_on_a_declared_service_account(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(*work([*WEEKS, 0], parcels=500, who=SERVICE, **AWAY))


def test_silent_and_stateless_where_nothing_is_said_of_where() -> None:
    watch = Watch(DETECTOR, NOBODY)
    assert not watch.see(*work(WEEKS, parcels=300))
    assert watch.state == DETECTOR.initial()
    assert watch.lessons == [[]] * (len(WEEKS) - 1)


def test_silent_in_the_first_days_of_a_person(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(*views(at(), parcels=60, minutes=30, **AWAY))


def test_a_day_with_a_case_teaches_nobody(normal: Normal) -> None:
    watch = veteran(normal)
    usual = list(watch.state.days)
    watch.see(*views(at(hour=20), parcels=60, minutes=30, **AWAY))
    watch.end_day()
    assert watch.lessons[-1] == []
    assert watch.state.days == usual


def test_what_was_suspect_becomes_familiar_after_its_probation() -> None:
    devices = Familiar()
    devices.meet(1)
    devices.close_day()
    assert devices.meet(2)
    devices.close_day(told=True)
    for _ in range(PROBATION):
        assert devices.meet(2)
        devices.close_day()
    assert not devices.meet(2)


def test_familiar_things_stay_few() -> None:
    devices = Familiar()
    for day in range(50):
        for n in range(50):
            devices.meet(1 + day * 50 + n)
        devices.close_day(told=day % 2 == 0)
    assert len(devices.known) <= 12
    assert len(devices.fresh) <= 12


@pytest.mark.parametrize("explanation", ["scan", "ticket", "site"])
def test_explained_work_is_not_counted_as_taken(explanation: str) -> None:
    assert taken(touch(at(), parcel="k1.p", explanation=explanation)) == 0
    assert taken(touch(at(), parcel="k1.p", seen=1)) == 0
