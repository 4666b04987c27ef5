"""Shared account finds logins that several people use at a time, and leaves one person with many tools alone."""

from __future__ import annotations

import pytest

from detectors.base import LOW, MEDIUM, Normal, Person, Touch
from detectors.shared_account import MOST_USED, SharedAccount
from detectors.testing import NOBODY, Watch, at, colleagues, office, touch, work

DETECTOR = SharedAccount()
WEEKS = [day for day in range(-14, 0) if day % 7 < 5]
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office whose clerks each stay with their device."""
    return office(DETECTOR, device=1, site="HN-03")


def in_turns(day: int, devices: int, *, minutes: int = 120, sites: int = 1, **known: object) -> list[Touch]:
    """A touch a minute, the devices in turn, each at its site."""
    return [
        touch(
            at(day) + n * 60_000, parcel=f"k1.p{day}.{n}", device=1 + n % devices,
            site=f"HN-0{n % devices % sites}", **known,
        )
        for n in range(minutes)
    ]  # fmt: skip


def round_the_clock(day: int, devices: int) -> list[Touch]:
    """A touch every ten minutes of 24 hours, each device for its stretch of them."""
    return [
        touch(at(day, 0) + n * 600_000, parcel=f"k1.p{day}.{n}", device=1 + n * devices // 144)
        for n in range(144)
    ]


def test_alerts_on_three_devices_in_turns(normal: Normal) -> None:
    told = Watch(DETECTOR, normal).see(*in_turns(0, 3))
    assert told
    assert told[0].finding.severity == LOW
    assert told[0].finding.evidence == 20
    assert told[0].opened < at() + 25 * 60_000


def test_alerts_on_two_sites_in_turns(normal: Normal) -> None:
    told = Watch(DETECTOR, normal).see(*in_turns(0, 2, sites=2))
    assert told
    assert told[0].finding.severity == MEDIUM
    assert told[0].finding.measures["apart"] >= 4


def test_alerts_on_an_account_for_all_three_shifts(normal: Normal) -> None:
    told = Watch(DETECTOR, normal).see(*round_the_clock(0, 3))
    assert told
    assert told[0].finding.evidence >= 18


def test_alerts_where_networks_stand_in_for_devices(normal: Normal) -> None:
    rows = [touch(at() + n * 60_000, place=1 + n % 4) for n in range(60)]
    assert Watch(DETECTOR, normal).see(*rows)


def test_alerts_once_while_sharing_goes_on(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for day in range(10):
        watch.see(*in_turns(day, 3))
    assert [alert.activity for alert in watch.alerts].count(1) == 1


def test_alerts_when_sharing_has_more_than_doubled(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for day in range(12):
        watch.see(*in_turns(day, 3, minutes=60))
    assert [alert for alert in watch.see(*in_turns(12, 3, minutes=300)) if alert.activity == 1]


def test_alerts_say_what_several_people_did(normal: Normal) -> None:
    finding = Watch(DETECTOR, normal).see(*in_turns(0, 3))[0].finding
    assert "20 times round three or more devices" in finding.en
    assert "20 lần xoay vòng" in finding.vi


def test_silent_on_computer_and_phone(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for day in range(5):
        assert not watch.see(*in_turns(day, 2, minutes=480))


def test_silent_on_a_move_to_another_counter_now_and_then(normal: Normal) -> None:
    rows = [touch(at() + n * 240_000, parcel=f"k1.p{n}", device=1 + n // 8 % 4) for n in range(120)]
    assert not Watch(DETECTOR, normal).see(*rows)


def test_silent_on_a_terminal_that_many_people_share(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(*work([*WEEKS, 0], parcels=120, device=1, site="HN-03"))


def test_silent_on_a_page_that_refreshes_all_night(normal: Normal) -> None:
    page = [touch(at(0, 0) + n * 600_000, "list", device=1) for n in range(144)]
    phone = [touch(at(0, 9) + n * 600_000 + 5_000, parcel=f"k1.p{n}", device=2) for n in range(50)]
    assert not Watch(DETECTOR, normal).see(*sorted([*page, *phone], key=lambda row: row.time))


def test_silent_on_long_days_at_home_and_in_the_office(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(*round_the_clock(0, 2))


def test_silent_where_the_role_works_with_many_devices() -> None:
    hub = colleagues(DETECTOR, *([row for day in WEEKS for row in in_turns(day, 4)] for _ in range(5)))
    assert not Watch(DETECTOR, hub).see(*in_turns(0, 4))


def test_silent_where_a_site_is_a_sites_second_name_for_all() -> None:
    both = colleagues(
        DETECTOR, *([row for day in WEEKS for row in in_turns(day, 2, sites=2)] for _ in range(5))
    )
    assert not Watch(DETECTOR, both).see(*in_turns(0, 2, sites=2))


def test_silent_without_peers() -> None:
    assert not Watch(DETECTOR, NOBODY).see(*in_turns(0, 4, sites=2))


def test_silent_on_a_declared_service_account(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(*in_turns(0, 5, sites=3, who=SERVICE))


def test_silent_and_stateless_where_nothing_is_said_of_where(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    assert not watch.see(*(touch(at(0, 0) + n * 600_000, parcel=f"k1.p{n}") for n in range(144)))
    assert watch.state == DETECTOR.initial()


def test_devices_remembered_stay_few(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*in_turns(0, 40, minutes=400))
    assert len(watch.state.used) <= MOST_USED
