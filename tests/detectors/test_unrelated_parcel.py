"""Unrelated parcels are found where nothing explains them, and late context, slips and roaming are left alone."""

from __future__ import annotations

import pytest

from detectors.base import Normal, Person, Touch
from detectors.testing import NOBODY, Watch, at, colleagues, office, touch, views, work
from detectors.unrelated_parcel import UnrelatedParcel

DETECTOR = UnrelatedParcel()
WEEKS = [day for day in range(-28, 0) if day % 7 < 5]
SERVICE = Person("k1.svc", "vnx", role="service", service=True)
TEAM = (11, 12, 13, 14, 15, 16, 17, 18, 19)


def explained(days: list[int], slips: int = 1) -> list[Touch]:
    """Ordinary days with context: thirty explained parcels, and a slip or more a day."""
    rows = [*work(days, context=True, explanation="assigned")]
    rows += [
        touch(at(day, 11 + n / 60), parcel=f"k1.slip.{day}.{n}", context=True)
        for day in days
        for n in range(slips)
    ]
    return sorted(rows, key=lambda row: row.time)


def teamwork(days: list[int], team: tuple[int, ...] = TEAM, idle: int = 3_600) -> list[Touch]:
    """Ordinary days without context: parcels one's team mates had in hand an hour ago."""
    rows = [*work(days, parcels=20)]
    for number, row in enumerate(rows):
        row.others, row.idle = (team[number % len(team)], team[(number + 1) % len(team)]), idle
    return rows


@pytest.fixture(scope="module")
def normal() -> Normal:
    """Colleagues with context: a slip or two a day."""
    return colleagues(DETECTOR, *(explained(WEEKS, slips=1 + n % 2) for n in range(6)))


@pytest.fixture(scope="module")
def without_context() -> Normal:
    """Colleagues in a carrier that sends no context: each works with his team on parcels in motion."""
    return colleagues(DETECTOR, *(teamwork([*range(-60, 0)]) for _ in range(4)))


def veteran(normal: Normal, life: list[Touch]) -> Watch:
    """A person with an ordinary life behind him."""
    watch = Watch(DETECTOR, normal)
    watch.see(*life)
    assert not watch.alerts
    return watch


@pytest.mark.parametrize("a_day", [4, 10])
def test_alerts_on_snooping_over_days(normal: Normal, a_day: int) -> None:
    watch = veteran(normal, explained(WEEKS))
    for day in range(5):
        watch.see(*views(at(day, 10), parcels=a_day, minutes=300, context=True))
    watch.pass_time(at(5, 9))
    assert watch.alerts
    assert watch.alerts[0].first == at(0, 10)


def test_alerts_on_a_morning_of_snooping_within_the_day(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    watch.see(*views(at(hour=9), parcels=20, minutes=120, context=True))
    assert watch.pass_time(at(hour=20))


def test_alerts_before_anything_is_known_of_anybody() -> None:
    watch = Watch(DETECTOR, NOBODY)
    watch.see(*views(at(hour=9), parcels=12, minutes=120, context=True))
    told = watch.pass_time(at(hour=20))
    assert told
    assert "no history yet" in told[0].finding.en


def test_alerts_at_once_on_more_than_could_wait(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    assert watch.see(*views(at(hour=9), parcels=150, minutes=60, context=True))


def test_alerts_without_context_on_parcels_of_strangers(without_context: Normal) -> None:
    watch = veteran(without_context, teamwork(WEEKS))
    rows = [
        touch(at(0, 9 + n / 10), parcel=f"k1.p{n}", others=(900 + n, 700 + n), idle=60) for n in range(15)
    ]
    assert watch.see(*rows)


def test_alerts_without_context_on_parcels_long_untouched(without_context: Normal) -> None:
    watch = veteran(without_context, teamwork(WEEKS))
    rows = [touch(at(0, 9 + n / 10), parcel=f"k1.p{n}", others=(11, 12), idle=40 * 86_400) for n in range(15)]
    assert watch.see(*rows)


def test_alerts_without_context_on_parcels_that_rested_as_parcels_never_do(without_context: Normal) -> None:
    """Two colleagues' parcels rest an hour here; four that rested two days are looked for, not handed over."""
    watch = veteran(without_context, teamwork(WEEKS))
    rows = [touch(at(0, 9 + n), parcel=f"k1.p{n}", others=(11, 12), idle=2 * 86_400) for n in range(4)]
    assert watch.see(*rows)


def test_silent_without_context_on_a_newcomer_whose_week_nothing_can_be_held_against(
    without_context: Normal,
) -> None:
    """Six worked days are no history for seven: one rested parcel a day is no case yet."""
    watch = veteran(without_context, teamwork([*range(-6, 0)]))
    rows = [touch(at(n, 9), parcel=f"k1.p{n}", others=(11, 12), idle=2 * 86_400) for n in range(5)]
    assert not watch.see(*rows)


def test_silent_without_context_on_a_parcel_or_two_that_rested(without_context: Normal) -> None:
    watch = veteran(without_context, teamwork(WEEKS))
    rows = [touch(at(0, 9 + n), parcel=f"k1.p{n}", others=(11, 12), idle=2 * 86_400) for n in range(2)]
    assert not watch.see(*rows)


def test_leaks_do_not_make_long_rests_usual(without_context: Normal) -> None:
    watch = veteran(without_context, teamwork(WEEKS))
    watch.see(
        *[touch(at(0, 9 + n / 10), parcel=f"k1.p{n}", others=(11, 12), idle=172_800) for n in range(60)]
    )
    watch.end_day()
    assert not [name for name, _ in watch.lessons[-1] if name.startswith("circle.rest")]


def test_alerts_without_context_on_parcels_nobody_had_touched(without_context: Normal) -> None:
    watch = veteran(without_context, teamwork(WEEKS))
    assert watch.see(*(touch(at(0, 9 + n / 10), parcel=f"k1.p{n}") for n in range(15)))


def test_alerts_list_the_parcels_and_say_what_is_missing(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    watch.see(*views(at(hour=9), parcels=20, minutes=120, context=True))
    alert = watch.pass_time(at(hour=20))[0]
    assert set(alert.samples) <= {f"k1.parcel.{at(hour=9)}-{n}" for n in range(20)}
    for part in (
        "parcels within",
        "without any scan, assignment, ticket, call, route",
        "busiest days it was",
        "peers stay within",
    ):
        assert part in alert.finding.en
    for part in ("bưu gửi trong", "không có lượt quét", "bận nhất của người này", "đồng nghiệp"):
        assert part in alert.finding.vi


def test_silent_when_the_reason_comes_within_the_grace(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    rows = list(views(at(hour=9), parcels=40, minutes=120, context=True))
    watch.see(*rows)
    for row in rows:
        watch.explain(row)
    assert not watch.pass_time(at(2))
    assert DETECTOR.wake(watch.state) == 0


def test_silent_when_reasons_that_came_after_the_grace_took_touches_back(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    for day in range(5):
        rows = list(views(at(day, 9), parcels=4, minutes=60, context=True))
        watch.see(*rows)
        watch.pass_time(at(day, 20))
        for row in rows:
            watch.explain(row)
    assert not watch.pass_time(at(6))


def test_a_reason_for_another_touch_of_the_parcel_takes_nothing_back(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    rows = list(views(at(hour=9), parcels=5, minutes=60, context=True))
    watch.see(*rows)
    watch.pass_time(at(hour=20))
    counted = list(watch.state.days)
    watch.explain(touch(at(hour=10), parcel=rows[0].parcel, seen=1, context=True))
    assert watch.state.days == counted


def test_silent_on_a_slip_a_day(normal: Normal) -> None:
    veteran(normal, explained([*range(-60, 0)], slips=2))


def test_silent_on_explained_work(normal: Normal) -> None:
    assert not veteran(normal, explained(WEEKS)).see(*explained([0, 1, 2], slips=0))


def test_silent_on_a_second_look_at_ones_own_parcels(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    watch.see(*views(at(hour=9), parcels=80, minutes=120, context=True, seen=at(-4)))
    assert not watch.pass_time(at(2))


def test_silent_on_whoever_roams_by_duty(normal: Normal) -> None:
    roaming = colleagues(DETECTOR, *(explained(WEEKS, slips=15) for _ in range(6)))
    assert not veteran(roaming, explained(WEEKS, slips=15)).see(*explained([0, 1, 2], slips=18))


def test_silent_after_some_days_on_a_roamer_among_people_who_stay_put(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*explained([*WEEKS, 0, 1, 2], slips=15))
    watch.pass_time(at(4))
    assert watch.alerts
    assert all(alert.last < at(-10) for alert in watch.alerts)


def test_silent_in_a_young_log_on_what_lay_long() -> None:
    young = colleagues(DETECTOR, *(teamwork([-4, -3, -2, -1]) for _ in range(20)))
    watch = veteran(young, teamwork([-4, -3, -2, -1]))
    rows = [touch(at(0, 9 + n / 10), parcel=f"k1.p{n}", others=(11, 12), idle=8 * 86_400) for n in range(15)]
    assert not watch.see(*rows)


def test_silent_where_everybody_is_the_first_to_touch() -> None:
    pioneers = office(DETECTOR)
    assert not veteran(pioneers, list(work(WEEKS))).see(*work([0]))


def test_alerts_though_there_was_one_odd_day_weeks_ago(without_context: Normal) -> None:
    """One odd day is in seven sums of seven days: were it usual for all of them, a leak would hide behind it."""
    odd = [touch(at(-20, 18 + n / 10), parcel=f"k1.o{n}", others=(11, 12), idle=172_800) for n in range(4)]
    life = sorted([*teamwork(WEEKS), *odd], key=lambda row: row.time)
    watch = Watch(DETECTOR, without_context)
    watch.see(*life)
    rows = [touch(at(n, 9), parcel=f"k1.p{n}", others=(11, 12), idle=172_800) for n in range(5)]
    assert watch.see(*rows)


def test_twice_as_strict_takes_twice_as_many(normal: Normal) -> None:
    def told(strictness: float, parcels: int) -> bool:
        watch = veteran(normal._replace(strictness=strictness), explained(WEEKS))
        watch.see(*views(at(hour=9), parcels=parcels, minutes=120, context=True))
        return bool(watch.pass_time(at(hour=20)))

    assert told(1.0, 12)
    assert not told(2.0, 12)
    assert told(2.0, 24)


def test_silent_on_a_declared_service_account(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*views(at(hour=1), parcels=500, minutes=60, context=True, who=SERVICE))
    assert not watch.pass_time(at(2))


def test_a_leak_of_many_days_does_not_become_its_own_baseline(normal: Normal) -> None:
    watch = veteran(normal, explained(WEEKS))
    for day in range(5):
        watch.see(*views(at(day, 10), parcels=9, minutes=300, context=True))
    watch.pass_time(at(6))
    watch.see(touch(at(7), parcel="k1.p", context=True))
    assert watch.state.usual[2] <= 14
