"""Low and slow finds a steady surplus within days, and leaves heavy days, growth with the peers and work alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detectors.base import Normal, Person, Touch
from detectors.low_and_slow import LowAndSlow
from detectors.testing import CLERK, NOBODY, Watch, at, colleagues, touch, views, work

DETECTOR = LowAndSlow()
WORKDAYS = [day for day in range(-28, 42) if day % 7 < 5]
BEFORE = [day for day in WORKDAYS if day < 0]
AFTER = [day for day in WORKDAYS if day >= 0]
#: A parcel that nobody had touched for a month.
LONG = 30 * 86_400
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


def slips(days: list[int]) -> Iterator[Touch]:
    """Days of somebody who opens one to three unexplained parcels a day."""
    for day in days:
        yield from work([day], parcels=1 + day % 3, context=True)


def surplus(parcels: int, days: list[int], **known: object) -> Iterator[Touch]:
    """That many parcels a day which nothing explains."""
    return work(days, parcels=parcels, **({"context": True} | known))


@pytest.fixture(scope="module")
def normal() -> Normal:
    """Peers who have lived four weeks of slips."""
    return colleagues(DETECTOR, *(slips(BEFORE) for _ in range(8)))


def veteran(normal: Normal) -> Watch:
    """A person with four weeks of slips behind him."""
    watch = Watch(DETECTOR, normal)
    assert not watch.see(*slips(BEFORE))
    return watch


@pytest.mark.parametrize("parcels", [15, 25, 40])
def test_alerts_within_a_third_of_a_four_week_surplus(normal: Normal, parcels: int) -> None:
    watch = veteran(normal)
    told = watch.see(*surplus(parcels, AFTER[:20]))
    assert told
    assert told[0].opened < at(AFTER[7])
    assert told[0].first >= at(BEFORE[0])


def test_alerts_on_long_untouched_parcels_where_no_context_is_sent(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    assert not watch.see(*work(BEFORE, parcels=20, others=(7,)))
    told = watch.see(*surplus(25, AFTER[:7], context=False, others=(7,), idle=LONG))
    assert told
    assert "long lain untouched" in told[0].finding.en


def test_alerts_once_and_grows_while_the_surplus_goes_on(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*surplus(30, AFTER[:15]))
    assert {alert.uid for alert in watch.alerts} == {watch.alerts[0].uid}
    evidence = [alert.finding.evidence for alert in watch.alerts]
    assert len(evidence) > 1
    assert evidence == sorted(evidence)


def test_alerts_before_peers_are_known(normal: Normal) -> None:
    watch = veteran(NOBODY)
    told = watch.see(*surplus(30, AFTER[:7]))
    assert told
    assert told[0].finding.baseline["peer_days"] == 0


def test_alerts_say_how_much_over_how_many_days_against_what(normal: Normal) -> None:
    watch = veteran(normal)
    finding = watch.see(*surplus(30, AFTER[:10]))[0].finding
    for part in ("worked days", "expected of this person", "peers stay within"):
        assert part in finding.en
    for part in ("ngày làm việc", "mức bình thường", "đồng nghiệp"):
        assert part in finding.vi


def test_silent_on_one_or_two_heavy_days(normal: Normal) -> None:
    assert not veteran(normal).see(*surplus(400, AFTER[:2]), *slips(AFTER[2:12]))


def test_silent_when_peers_grow_likewise() -> None:
    def grown(day: int) -> int:
        return 4 * (1 + day % 3) if day >= 0 else 1 + day % 3

    def season(days: list[int], factor: int = 1) -> Iterator[Touch]:
        for day in days:
            yield from work([day], parcels=factor * grown(day), context=True)

    normal = colleagues(DETECTOR, *(season(BEFORE + AFTER[:12], 2) for _ in range(8)))
    watch = Watch(DETECTOR, normal)
    assert not watch.see(*season(BEFORE + AFTER[:12], 2))


def test_silent_on_explained_work_however_much(normal: Normal) -> None:
    assert not veteran(normal).see(*surplus(200, AFTER[:20], explanation="ticket"))
    assert not veteran(normal).see(*surplus(200, AFTER[:20], action="scan"))


def test_silent_when_reasons_come_late(normal: Normal) -> None:
    watch = veteran(normal)
    for day in AFTER[:20]:
        for row in views(at(day, 9), parcels=40, minutes=400, context=True):
            watch.see(row)
            watch.explain(row)
    assert not watch.alerts


def test_silent_on_parcels_already_known_to_the_person(normal: Normal) -> None:
    assert not veteran(normal).see(*surplus(60, AFTER[:20], seen=at(-20)))


def test_silent_on_a_declared_service_account_and_on_newcomers(normal: Normal) -> None:
    assert not Watch(DETECTOR, normal).see(*surplus(300, AFTER[:20], who=SERVICE))
    assert not Watch(DETECTOR, normal).see(*surplus(30, AFTER[:10]))


def test_a_case_is_nobodys_baseline(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*surplus(30, AFTER[:20]))
    watch.end_day()
    assert any(watch.state.told)
    assert not watch.lessons[-1]


def test_step_is_silent_for_the_first_touch_of_anybody() -> None:
    assert DETECTOR.step(DETECTOR.initial(), touch(at(), parcel="k1.p", who=CLERK), NOBODY) == 0
