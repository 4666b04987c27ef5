"""Whoever touches a parcel that does not exist is told of at once; a job that reads everything is not."""

from __future__ import annotations

import msgspec
import pytest

from detectors.base import CHANNEL_CODES, Person, Touch
from detectors.honeytoken import MOST_GHOSTS, HoneyToken, State
from detectors.testing import CLERK, MINUTE, NOBODY, Watch, at, touch, views, work

DETECTOR = HoneyToken()
JOB = Person("k1.svc.etl", "vnx", role="service", service=True)
SORTER = Person("k1.staff.sorter", "vnx", role="hub_staff")


def ghost(time: int, number: int = 0, action: str = "view", feed: str = "shop-7", **known: object) -> Touch:
    return touch(time, action, f"k1.parcel.ghost{number}", ghost=feed, **known)


@pytest.mark.parametrize("explanation", ["", "scan", "assigned", "ticket", "supervisor"])
@pytest.mark.parametrize("who", [CLERK, SORTER], ids=["clerk", "sorter"])
def test_alerts_at_once_on_any_touch_by_a_person_whatever_explains_it(who: Person, explanation: str) -> None:
    [alert] = Watch(DETECTOR).see(ghost(at(), who=who, explanation=explanation, context=True))
    assert (alert.activity, alert.finding.severity) == (1, 4)
    assert alert.samples == ("k1.parcel.ghost0",)


def test_alerts_name_the_feed_it_was_planted_in_and_say_why_it_matters() -> None:
    [alert] = Watch(DETECTOR).see(ghost(at()))
    for part in ("do not exist", "feed of shop-7", "customers' data"):
        assert part in alert.finding.en
    for part in ("không có thật", "của shop-7", "dữ liệu khách hàng"):
        assert part in alert.finding.vi


@pytest.mark.parametrize("action", ["export", "print", "download"])
def test_alerts_critically_on_an_export_of_a_ghost(action: str) -> None:
    [alert] = Watch(DETECTOR).see(ghost(at(), action=action))
    assert alert.finding.severity == 5
    assert alert.finding.en.startswith("Opened and exported")


def test_alerts_again_and_critically_when_the_ghost_that_was_viewed_is_exported() -> None:
    told = Watch(DETECTOR).see(ghost(at()), ghost(at(0, 10), action="export", seen=at()))
    assert [(alert.activity, alert.finding.severity) for alert in told] == [(1, 4), (2, 5)]
    assert told[1].finding.measures["ghosts"] == 1


def test_alerts_grow_with_further_ghosts_and_name_every_feed() -> None:
    told = Watch(DETECTOR).see(*(ghost(at(n), n, feed=f"shop-{n % 2}") for n in range(4)))
    assert [(a.activity, a.finding.severity, a.finding.evidence) for a in told] == [
        (1, 4, 1.0), (2, 5, 2.0), (2, 5, 4.0),
    ]  # fmt: skip
    assert len({alert.uid for alert in told}) == 1
    assert "feed of shop-0, shop-1" in told[-1].finding.en


def test_alerts_on_a_service_account_that_asks_for_a_ghost_alone() -> None:
    watch = Watch(DETECTOR)
    assert not watch.see(*views(at(), parcels=5, minutes=5, who=JOB), ghost(at(0, 9.1), who=JOB))
    told = watch.pass_time(at(0, 9.1) + 60 * MINUTE)
    assert [alert.finding.severity for alert in told] == [4]
    assert told[0].person == JOB
    assert told[0].first == at(0, 9.1)


@pytest.mark.parametrize("channel", ["ui", "app"])
def test_alerts_at_once_on_a_bulk_service_account_in_human_hands(channel: str) -> None:
    watch = Watch(DETECTOR)
    watch.see(*views(at(), parcels=5_000, minutes=30, who=JOB))
    assert watch.see(ghost(at(0, 9.6), who=JOB, channel=CHANNEL_CODES[channel]))


def test_alerts_on_a_service_account_whose_bulk_was_hours_ago() -> None:
    watch = Watch(DETECTOR)
    watch.see(*views(at(0, 1), parcels=5_000, minutes=30, who=JOB), ghost(at(0, 9), who=JOB))
    assert watch.pass_time(at(0, 11))


@pytest.mark.parametrize("first", [True, False], ids=["ghosts first", "ghosts last"])
def test_silent_on_a_migration_batch_job_that_reads_everything(first: bool) -> None:
    watch = Watch(DETECTOR)
    ghosts = [ghost(at(0, 2 if first else 3.9), n, action="export", who=JOB) for n in range(30)]
    rows = list(views(at(0, 2), parcels=2_000, minutes=110, who=JOB))
    watch.see(*(ghosts + rows if first else rows + ghosts))
    watch.pass_time(at(1))
    assert not watch.alerts
    assert DETECTOR.wake(watch.state) == 0


def test_silent_on_real_parcels_however_many() -> None:
    watch = Watch(DETECTOR)
    watch.see(*work(range(3), parcels=400), *views(at(4), parcels=3_000, minutes=30, action="export"))
    assert not watch.alerts
    assert watch.state == State()


def test_silent_on_a_second_look_at_a_ghost_already_told() -> None:
    watch = Watch(DETECTOR)
    told = watch.see(*(ghost(at(0, 9 + n / 10), seen=at() if n else 0) for n in range(50)))
    assert [alert.activity for alert in told] == [1]


def test_a_new_case_begins_after_a_week_of_quiet() -> None:
    watch = Watch(DETECTOR)
    watch.see(ghost(at()), ghost(at(20), 1))
    assert [(alert.activity, alert.finding.measures["ghosts"]) for alert in watch.alerts] == [
        (1, 1.0), (3, 1.0), (1, 1.0),
    ]  # fmt: skip


def test_what_is_remembered_is_bounded_and_the_count_goes_on() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*(ghost(at(0, 9 + n / 100), n, feed=f"feed {n}") for n in range(300)))
    assert watch.state.ghosts == 300
    assert len(watch.state.parcels) == MOST_GHOSTS
    assert len(msgspec.msgpack.encode(watch.state)) < 1_000
    watch.see(*(ghost(at(0, 13), n, seen=at(0, 9 + n / 100)) for n in range(300)))
    assert watch.state.ghosts == 300


def test_more_ghosts_are_more_surprising() -> None:
    told = Watch(DETECTOR).see(*(ghost(at(), n) for n in range(16)))
    scores = [alert.finding.score for alert in told]
    assert scores == sorted(scores)
    assert (scores[0], scores[-1]) == (pytest.approx(6), pytest.approx(24))
