"""Who joins the crowd around one parcel is told of; work that passes through many hands is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detectors.base import ACTIONS, EXPLANATIONS, PERSONAL, Normal, Person, Touch
from detectors.crowd import Crowd
from detectors.testing import NOBODY, Watch, at, colleagues, office, touch, views, work

DETECTOR = Crowd()
WEEKS = [day for day in range(-28, 0) if day % 7 < 5]
SERVICE = Person("k1.svc", "vnx", role="service", service=True)
CLOSE = [name for code, name in enumerate(EXPLANATIONS) if code in PERSONAL]


def look(time: int, number: int = 0, crowd: int = 14, **known: object) -> Touch:
    return touch(time, parcel=f"k1.parcel.famous{number}", crowd=crowd, **known)


def busy(days: list[int], crowd: int) -> Iterator[Touch]:
    """Ordinary days in which one parcel a day has passed through that many hands."""
    for day in days:
        yield from work([day], parcels=10)
        yield look(at(day, 18), day, crowd)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office in which a parcel is opened by a few people a day."""
    return office(DETECTOR, people=15)


@pytest.mark.parametrize("action", ["view", "search", "reveal", "print", "download"])
def test_alerts_on_whoever_joins_a_crowd_for_no_reason(normal: Normal, action: str) -> None:
    row = look(at())
    row.action = ACTIONS.index(action)
    [alert] = Watch(DETECTOR, normal).see(row)
    assert alert.finding.severity == 2
    assert alert.samples == ("k1.parcel.famous0",)
    assert "14 other people" in alert.finding.en
    assert "14 người khác" in alert.finding.vi


@pytest.mark.parametrize("explanation", ["", "site", "team", "supervisor"])
def test_alerts_after_the_grace_where_there_is_context_and_site_or_team_is_all(
    normal: Normal, explanation: str
) -> None:
    watch = Watch(DETECTOR, normal)
    assert not watch.see(look(at(), context=True, explanation=explanation))
    [alert] = watch.pass_time(at(0, 15))
    assert alert.first == at()


def test_alerts_once_for_many_looks_and_grow_to_medium(normal: Normal) -> None:
    told = Watch(DETECTOR, normal).see(*(look(at(n // 2, 9 + n), n) for n in range(6)))
    assert [(alert.activity, alert.finding.severity) for alert in told] == [(1, 2), (2, 2), (2, 3)]


def test_alerts_only_above_what_is_usual_among_peers() -> None:
    normal = colleagues(DETECTOR, *(busy(WEEKS, 9) for _ in range(8)))
    assert not Watch(DETECTOR, normal).see(look(at(), crowd=13))
    assert Watch(DETECTOR, normal).see(look(at(), crowd=14))


def test_stricter_means_larger_crowds(normal: Normal) -> None:
    assert Watch(DETECTOR, normal._replace(strictness=1.2)).see(look(at(), crowd=13))
    assert not Watch(DETECTOR, normal._replace(strictness=1.4)).see(look(at(), crowd=13))


def test_alerts_on_the_last_of_seven_where_reasons_are_known(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(look(at(), crowd=6, context=True))
    assert watch.pass_time(at(0, 15))


def test_silent_on_the_last_of_six_and_on_ten_colleagues_whose_reasons_are_not_known(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(look(at(), 1, crowd=5, context=True))
    assert not watch.pass_time(at(0, 20))
    assert not Watch(DETECTOR, normal).see(look(at(), 2, crowd=10))


def test_silent_where_many_hands_are_usual() -> None:
    normal = colleagues(DETECTOR, *(busy(WEEKS, 16) for _ in range(8)))
    assert not Watch(DETECTOR, normal).see(*(look(at(0, 9 + n / 10), n, 16) for n in range(50)))


def test_silent_while_nothing_is_known_of_anybody() -> None:
    assert not Watch(DETECTOR, NOBODY).see(*(look(at(0, 9 + n / 10), n, 16) for n in range(50)))


@pytest.mark.parametrize("explanation", CLOSE)
def test_silent_on_a_claims_campaign_and_all_who_belong_there(normal: Normal, explanation: str) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*(look(at(0, 9 + n / 20), n, 16, context=True, explanation=explanation) for n in range(100)))
    assert not watch.pass_time(at(2))


@pytest.mark.parametrize("explanation", CLOSE)
def test_silent_when_the_reason_comes_within_the_grace(normal: Normal, explanation: str) -> None:
    watch = Watch(DETECTOR, normal)
    row = look(at(), context=True)
    watch.see(row)
    watch.explain(row, explanation)
    assert not watch.pass_time(at(2))
    assert DETECTOR.wake(watch.state) == 0


def test_a_late_reason_of_site_or_team_is_none(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    row = look(at(), context=True)
    watch.see(row)
    watch.explain(row, "team")
    assert watch.pass_time(at(0, 20))


@pytest.mark.parametrize("action", ["scan", "list", "export", "update", "call"])
def test_silent_on_scans_of_a_night_shift_and_on_lists_and_exports(normal: Normal, action: str) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*views(at(0, 1), parcels=200, minutes=300, action=action, crowd=16))
    assert not watch.alerts


def test_silent_on_service_accounts_and_on_a_second_look(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    assert not watch.see(look(at(), crowd=16, who=SERVICE), look(at(), crowd=16, seen=at(-1)))


def test_silent_on_ordinary_work_and_nothing_is_kept_of_it(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(*work(range(5), parcels=300))
    assert not watch.alerts
    assert watch.state == DETECTOR.initial()


def test_a_case_does_not_become_what_is_usual(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    watch.see(look(at(), crowd=16))
    watch.end_day()
    [[(_, taught)]] = watch.lessons
    [(_, limit)] = _day_with(normal, 10)
    assert taught < limit, "less is taught than the limit that was broken"


def test_one_crowd_in_a_small_company_does_not_make_crowds_usual() -> None:
    def days(onlooker: bool) -> Iterator[Touch]:
        for day in WEEKS:
            yield from work([day], parcels=10)
            if onlooker and day == -12:
                yield look(at(day, 18), day, 16)

    normal = colleagues(DETECTOR, *(days(onlooker=number < 9) for number in range(20)))
    assert Watch(DETECTOR, normal).see(look(at(), crowd=14))


def _day_with(normal: Normal, crowd: int) -> list[tuple[str, int]]:
    watch = Watch(DETECTOR, normal)
    watch.see(look(at(), crowd=crowd))
    watch.end_day()
    [lessons] = watch.lessons
    return list(lessons)
