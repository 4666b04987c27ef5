"""Service account finds a machine's account in human hands, and leaves machines alone, however large or new."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from detectors.base import CHANNEL_CODES, HIGH, LOW, Person, Touch
from detectors.service_account import ServiceAccount
from detectors.testing import NOBODY, Watch, at, touch, work

DETECTOR = ServiceAccount()
UI, API, BATCH = (CHANNEL_CODES[name] for name in ("ui", "api", "batch"))
SERVICE = Person("k1.svc", "vnx", role="service", service=True)
DAYS = range(-14, 0)


def veteran(**known: object) -> Watch:
    """A service account with two weeks of its ordinary work behind it."""
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*work(DAYS, parcels=300, who=SERVICE, **{"channel": API, "device": 1, "place": 1, **known}))
    assert not watch.alerts
    return watch


def by_hand(start: int, looks: int, action: str = "view", **known: object) -> Iterator[Touch]:
    """Single looks with a person's pauses."""
    rng = random.Random(start)
    for n in range(looks):
        start += rng.randint(30_000, 120_000)
        yield touch(start, action, f"k1.p{start}.{n}", who=SERVICE, **known)


def test_alerts_on_a_user_interface_after_a_few_looks() -> None:
    told = veteran().see(*by_hand(at(), 40, channel=UI, device=9, place=9))
    assert told
    assert told[0].finding.severity == LOW
    assert told[0].finding.evidence <= 5
    assert told[-1].finding.severity > LOW


def test_alerts_amid_the_machines_own_work() -> None:
    machine = work([0], parcels=2_000, who=SERVICE, channel=API, device=1, place=1)
    rows = sorted([*machine, *by_hand(at(hour=10), 40, channel=UI, device=9)], key=lambda row: row.time)
    assert veteran().see(*rows)


def test_alerts_without_channels_on_strange_acts_from_a_strange_device() -> None:
    told = veteran(channel=0).see(*by_hand(at(), 20, "reveal", device=9))
    assert told
    assert "a device or network and a kind of access" in told[0].finding.en


def test_alerts_on_one_export_through_a_user_interface() -> None:
    told = veteran().see(touch(at(), "export", records=5_000, who=SERVICE, channel=UI))
    assert told
    assert told[0].finding.severity > HIGH


def test_alerts_on_the_first_day_of_the_log_where_the_machine_was_seen() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*work([0], parcels=300, hours=2, who=SERVICE, channel=API))
    assert watch.see(*by_hand(at(hour=12), 30, channel=UI))


def test_alerts_again_on_the_next_days() -> None:
    watch = veteran()
    for day in range(0, 9, 3):
        told = watch.see(*by_hand(at(day), 30, channel=UI, device=9))
        assert [alert for alert in told if alert.activity == 1]


def test_alerts_say_what_was_not_the_machines_own() -> None:
    finding = veteran().see(*by_hand(at(), 40, channel=UI, device=9))[0].finding
    assert "through a user interface and a device or network that is not its own" in finding.en
    assert "0 of its 14 days" in finding.en
    assert "giao diện người dùng và thiết bị hoặc mạng" in finding.vi


def test_silent_on_a_migration_job_huge_and_new() -> None:
    rows = [
        touch(
            at(hour=1) + n * 600_000, "export", records=8_000, who=SERVICE, channel=BATCH, device=77, place=77
        )
        for n in range(25)
    ]
    assert not veteran().see(*rows)


def test_silent_on_a_service_moved_to_another_server() -> None:
    assert not veteran().see(*by_hand(at(), 200, channel=API, device=9, place=9))


def test_silent_on_an_administrators_look_or_two() -> None:
    assert not veteran().see(touch(at(), "login", who=SERVICE, channel=UI), *by_hand(at(), 2, channel=UI))


def test_silent_on_a_robot_that_works_through_a_user_interface() -> None:
    watch = Watch(DETECTOR, NOBODY)
    for day in range(20):
        assert not watch.see(*by_hand(at(day), 100, channel=UI, device=1))


def test_silent_on_a_steady_beat_through_a_user_interface() -> None:
    rows = [touch(at() + n * 5_000, parcel=f"k1.p{n}", who=SERVICE, channel=UI) for n in range(200)]
    assert not veteran().see(*rows)


def test_silent_on_a_service_that_drives_a_user_interface_on_most_days() -> None:
    watch = Watch(DETECTOR, NOBODY)
    for day in range(-14, 0):
        watch.see(*work([day], parcels=50, who=SERVICE, channel=API), *by_hand(at(day, 18), 5, channel=UI))
    assert not watch.see(*by_hand(at(), 60, channel=UI))


def test_silent_on_people() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*work(DAYS, channel=API), *work([0], channel=UI, device=9))
    assert not watch.alerts
    assert watch.state == DETECTOR.initial()


@pytest.mark.parametrize("channel", [0, API, BATCH])
def test_silent_where_only_the_pace_is_a_persons(channel: int) -> None:
    assert not veteran(channel=channel).see(*by_hand(at(), 60, channel=channel, device=1, place=1))


def test_a_day_by_hand_does_not_become_the_machines_own() -> None:
    watch = veteran()
    watch.see(*by_hand(at(), 40, channel=UI, device=9))
    watch.end_day()
    assert watch.state.by_hand == 0
    assert 9 not in watch.state.grounds[0].known
