"""A sequence of rare steps is found when data are taken, and everyday work made of the same steps is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detectors.base import Normal, Person, Touch
from detectors.sequence import SequenceOfSteps
from detectors.testing import CLERK, NOBODY, Watch, at, colleagues, touch

DETECTOR = SequenceOfSteps()
DAYS = [day for day in range(-14, 0) if day % 7 < 5]
SERVICE = Person("k1.svc", "vnx", role="service", service=True)
OWN, OTHER = 1, 99


def chain(day: int, *steps: str, minutes: float = 20, parcels: int = 5, **known: object) -> Iterator[Touch]:
    """Steps on the same few parcels, so many minutes apart; an export names none."""
    for number, step in enumerate(steps):
        for parcel in range(parcels):
            time = at(day, 10 + number * minutes / 60 + parcel / 600)
            if step == "export":
                yield touch(time, step, records=20, **({"device": OWN} | known))
                break
            yield touch(time, step, f"k1.p{parcel}", **({"device": OWN} | known))


def habit(*steps: str, days: list[int] = DAYS, **known: object) -> Iterator[Touch]:
    """Days that all have these steps."""
    for day in days:
        yield from chain(day, *steps, **known)


@pytest.fixture(scope="module")
def normal() -> Normal:
    """An office that searches and opens, and neither reveals nor takes anything away."""
    return colleagues(DETECTOR, *(habit("search", "view") for _ in range(16)))


def veteran(normal: Normal, *steps: str) -> Watch:
    """A person with ten days of these steps, by default search and view, behind him."""
    watch = Watch(DETECTOR, normal)
    assert not watch.see(*habit(*(steps or ("search", "view"))))
    return watch


@pytest.mark.parametrize("take", ["print", "export", "download"])
def test_alerts_when_what_was_searched_and_revealed_is_taken(normal: Normal, take: str) -> None:
    told = veteran(normal).see(*chain(0, "search", "reveal", take))
    assert told
    assert told[0].opened < at(0, 10.8)
    assert told[0].first == at(0, 10)


def test_alerts_on_a_rare_step_from_a_new_device(normal: Normal) -> None:
    watch = veteran(normal)
    told = watch.see(*chain(0, "search", "reveal"), *chain(0, "login", "view", minutes=50, device=OTHER))
    assert told
    assert told[0].finding.measures["new_device"] == 1
    assert "device never seen" in told[0].finding.en


def test_alerts_on_a_newcomer_whose_peers_are_known(normal: Normal) -> None:
    assert Watch(DETECTOR, normal).see(*chain(0, "search", "reveal", "print"))


def test_alerts_name_the_steps_and_how_rare_they_are(normal: Normal) -> None:
    finding = veteran(normal).see(*chain(0, "search", "reveal", "export"))[0].finding
    for part in ("searched, then revealed, then exported", "Within 2 hours", "of such a person's days"):
        assert part in finding.en
    for part in ("tìm kiếm, rồi xem dữ liệu ẩn, rồi xuất dữ liệu", "2 giờ"):
        assert part in finding.vi
    assert set(finding.baseline) == {"days_with_search", "days_with_reveal", "days_with_export"}


def test_silent_on_steps_out_of_order(normal: Normal) -> None:
    assert not veteran(normal).see(*chain(0, "print", "reveal", "search"))


def test_silent_on_steps_hours_apart(normal: Normal) -> None:
    assert not veteran(normal).see(*chain(0, "search", "reveal", "print", minutes=130))


def test_silent_on_those_who_do_so_daily(normal: Normal) -> None:
    steps = ("search", "reveal", "print")
    same = colleagues(DETECTOR, *(habit(*steps) for _ in range(8)))
    watch = Watch(DETECTOR, same)
    assert not watch.see(*habit(*steps), *chain(0, *steps))


def test_silent_on_a_rare_duty_that_peers_have_too() -> None:
    steps = ("search", "reveal", "print")
    lives = [[*habit("search", "view"), *chain(-1, *steps, parcels=5 * (n % 4 == 0))] for n in range(16)]
    normal = colleagues(DETECTOR, *lives)
    assert not veteran(normal).see(*chain(0, *steps))


def test_silent_on_explained_steps(normal: Normal) -> None:
    assert not veteran(normal).see(*chain(0, "search", "reveal", "print", explanation="ticket"))


def test_silent_on_a_new_device_in_everyday_use(normal: Normal) -> None:
    watch = veteran(normal)
    assert not watch.see(*chain(0, "search", "view", device=OTHER), *chain(1, "search", "view", device=OTHER))


def test_silent_on_a_month_end_export_by_those_who_export(normal: Normal) -> None:
    watch = veteran(normal, "search", "view", "export")
    assert not watch.see(*chain(0, "search", "view"), touch(at(0, 11), "export", records=90_000, device=OWN))


def test_silent_on_a_shared_terminal(normal: Normal) -> None:
    watch = Watch(DETECTOR, normal)
    for number, day in enumerate(DAYS):
        assert not watch.see(*chain(day, "search", "view", device=1 + number % 3))
    assert not watch.see(*chain(0, "search", "view", device=2))


def test_silent_before_anything_is_known_and_on_a_declared_service_account(normal: Normal) -> None:
    assert not Watch(DETECTOR, NOBODY).see(*chain(0, "search", "reveal", "print"))
    assert not Watch(DETECTOR, normal).see(*chain(0, "search", "reveal", "print", who=SERVICE))


def test_a_day_with_a_case_teaches_nobody(normal: Normal) -> None:
    watch = veteran(normal)
    watch.see(*chain(0, "search", "reveal", "print"))
    watch.end_day()
    assert not watch.lessons[-1]
    assert watch.see(*chain(1, "search", "reveal", "print"))


def test_step_is_silent_for_the_first_touch_of_anybody() -> None:
    assert DETECTOR.step(DETECTOR.initial(), touch(at(), parcel="k1.p", who=CLERK, device=5), NOBODY) == 0
