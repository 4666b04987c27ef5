"""Enumeration finds numbers counted through or guessed, and leaves belts, label batches and typing errors alone."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from detectors.base import Normal, Person, Touch
from detectors.enumeration import Enumeration
from detectors.testing import MINUTE, NOBODY, Watch, at, colleagues, touch

DETECTOR = Enumeration()
DAYS = [day for day in range(-14, 0) if day % 7 < 5]
SERVICE = Person("k1.svc", "vnx", role="service", service=True)


def look(time: int, serial: int, failed: bool = False, **known: object) -> Touch:
    """One look at one number; a miss names no parcel."""
    parcel = "" if failed else f"k1.parcel.{time}"
    return touch(time, "view", parcel, failed=failed, serial=serial % 1024, **({"others": (7,)} | known))


def days(days: list[int], seed: int = 1, misses: float = 0.02, **known: object) -> Iterator[Touch]:
    """Days of 40 looks at any number, few of which are mistyped."""
    rng = random.Random(f"{seed}/{days[0]}")
    for day in days:
        for minute in sorted(rng.randrange(480) for _ in range(40)):
            time = at(day, 8) + minute * MINUTE + rng.randrange(MINUTE)
            yield look(time, rng.randrange(1024), rng.random() < misses, **known)


def counting(
    start: int, numbers: int, step: int = 1, misses: float = 0.4, **known: object
) -> Iterator[Touch]:
    """Numbers counted through at a human's pace."""
    rng, time = random.Random(2), start
    for number in range(numbers):
        time += rng.randrange(4_000, 16_000)
        yield look(time, number * step, rng.random() < misses, **known)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office that opens what it is asked for."""
    return colleagues(DETECTOR, *(days(DAYS, seed) for seed in range(8)))


def veteran(normal: Normal) -> Watch:
    """A person with ten ordinary days behind him."""
    watch = Watch(DETECTOR, normal)
    assert not watch.see(*days(DAYS, seed=99))
    return watch


def first_alert(watch: Watch, rows: Iterator[Touch]) -> int:
    """How many looks it takes until an alert; 0 for none."""
    return next((number for number, row in enumerate(rows, start=1) if watch.see(row)), 0)


@pytest.mark.parametrize("step", [1, 3, -2])
@pytest.mark.parametrize("misses", [0.0, 0.4])
def test_alerts_on_numbers_counted_up_or_down(normal: Normal, step: int, misses: float) -> None:
    assert 0 < first_alert(veteran(normal), counting(at(0, 10), 200, step, misses)) <= 30


def test_alerts_on_guessed_numbers_by_their_misses(normal: Normal) -> None:
    rng = random.Random(3)
    rows = (
        look(at(0, 10) + n * 9_000 + rng.randrange(5_000), rng.randrange(1024), n % 5 < 2) for n in range(200)
    )
    assert 0 < first_alert(veteran(normal), rows) <= 60


def test_alerts_before_anybody_is_known() -> None:
    assert 0 < first_alert(Watch(DETECTOR, NOBODY), counting(at(), 200)) <= 40


def test_alerts_on_ids_without_a_number_that_miss(normal: Normal) -> None:
    rows = (look(at(0, 10) + n * n * 100, 0, n % 2 == 0) for n in range(200))
    for row in rows:
        row.serial = -1
    watch = veteran(normal)
    watch.see(*(touch(at(0, 10) + n * 9_000, "search", failed=True) for n in range(60)))
    assert watch.alerts


def test_alerts_say_what_was_tried_and_what_is_ordinary(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*counting(at(0, 10), 300))
    assert [alert.activity for alert in watch.alerts[:2]] == [1, 2]
    assert len({alert.uid for alert in watch.alerts}) == 1
    finding = watch.alerts[-1].finding
    assert finding.severity == 4
    for part in ("parcel numbers within", "not found", "ordinary", "going through the numbers"):
        assert part in finding.en
    for part in ("số bưu gửi trong", "không tìm thấy", "mức bình thường"):
        assert part in finding.vi


def test_silent_on_scans_at_a_belt(normal: Normal) -> None:
    rows = (
        touch(at(0, 6) + n * 2_000, "scan", f"k1.p{n}", serial=n % 1024, others=(7,)) for n in range(3_000)
    )
    assert not veteran(normal).see(*rows)


def test_silent_on_explained_numbers_in_order(normal: Normal) -> None:
    assert not veteran(normal).see(*counting(at(0, 10), 500, misses=0.0, explanation="assigned"))


def test_silent_on_one_result_page(normal: Normal) -> None:
    page = [touch(at(0, 10), "list", f"k1.p{n}", serial=n, others=(7,), idx=n) for n in range(500)]
    assert not veteran(normal).see(*page)


def test_silent_on_labels_by_those_who_register_them_daily() -> None:
    watch = Watch(DETECTOR, NOBODY)
    for day in range(20):
        assert not watch.see(*counting(at(day), 120, misses=0.0, others=()))


def test_silent_on_typing_errors(normal: Normal) -> None:
    assert not veteran(normal).see(*days([0, 1, 2, 3, 4], misses=0.08))


def test_silent_on_reopening_known_parcels_in_order(normal: Normal) -> None:
    assert not veteran(normal).see(*counting(at(0, 10), 500, misses=0.0, seen=at(-3)))


def test_silent_on_failed_logins_and_on_a_declared_service_account(normal: Normal) -> None:
    logins = (touch(at(0, 10) + n * 1_000, "login", failed=True) for n in range(200))
    assert not veteran(normal).see(*logins)
    assert not Watch(DETECTOR, normal).see(*counting(at(0, 10), 500, who=SERVICE))


def test_silent_on_steady_rhythm_alone(normal: Normal) -> None:
    rng = random.Random(4)
    assert not veteran(normal).see(*(look(at(0, 10) + n * 20_000, rng.randrange(1024)) for n in range(300)))


def test_a_day_with_a_case_teaches_nobody(normal: Normal) -> None:
    watch = veteran(normal)
    watch.end_day()
    before = watch.state.own
    watch.see(*counting(at(0, 10), 300))
    watch.end_day()
    assert watch.state.own == before
    assert not watch.lessons[-1]
