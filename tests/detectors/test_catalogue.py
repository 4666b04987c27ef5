"""What every detector in the catalogue keeps, whoever wrote it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import detectors
from detectors import DETECTORS
from detectors.base import ACTIONS, CHANNELS, EXPLANATIONS, Detector, Late, Lesson, Normal, Person, Touch
from detectors.testing import CLERK, NOBODY, TZ, Peers, Watch, at, touch, views, work

DAY = 86_400_000
#: Modules of the package that hold no detector, or one that is fed by models and not by touches.
SUPPORT = {
    "base", "calendar", "circle", "correlation", "episodes", "grace", "habits", "model_score", "patterns", "presence",
    "risk", "sigma", "sigma_check", "testing", "touch_fields", "windows", "words",
}  # fmt: skip
FOLDER = Path(detectors.__file__).parent
each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)

PEOPLE = (
    CLERK,
    Person("k1.staff.night", "vnx", role="hub_staff", shifts=("22-06",), status="active"),
    Person("k1.staff.away", "vnx", role="claims_clerk", status="on_leave"),
    Person("k1.staff.unknown", "vnx"),
    Person("k1.svc", "vnx", role="service", service=True),
)


def life(seed: int, rows: int = 1_500) -> list[Touch]:
    """A wild life: every action, gaps from none to days, late and repeated times, bulk and odd hours."""
    rng, time = random.Random(seed), at(hour=8)
    who = rng.choice(PEOPLE)
    touches: list[Touch] = []
    for number in range(rows):
        time += rng.choice((0, 0, 1, 500, 2_000, 60_000, 900_000, 8 * 3_600_000, -30_000, -3_600_000))
        context = rng.random() < 0.6
        touches.append(
            touch(
                time,
                rng.choice(ACTIONS),
                rng.choice(("", f"k1.parcel.{rng.randrange(4_000)}", f"k1.parcel.new{number}")),
                records=rng.choice((0, 1, 1, 1, 7, 300, 6_000)),
                who=who,
                explanation=rng.choice(EXPLANATIONS) if context and rng.random() < 0.4 else "",
                seen=rng.choice((0, 0, time - DAY, time - 30 * DAY)),
                others=tuple(rng.randrange(2**32) for _ in range(rng.randrange(7))),
                idle=rng.choice((0, 60, 40 * 86_400)),
                holiday=rng.random() < 0.05,
                context=context,
                device=rng.choice((0, 1, 1, 2, rng.randrange(1, 40))),
                place=rng.choice((0, 1, 1, rng.randrange(1, 9))),
                channel=rng.randrange(len(CHANNELS)),
                serial=rng.choice((-1, number % 1024, rng.randrange(1024))),
                closed=rng.choice((0, 0, time - DAY, time - 60 * DAY)),
                crowd=rng.choice((0, 0, 0, 8, 12, 16)),
                ghost=rng.choice(("", "", "", "", "feed-1", "feed-2")),
            )
        )
        if rng.random() < 0.05:
            touches[-1].failed, touches[-1].parcel, touches[-1].records = True, "", 0
    return touches


def lived(detector: Detector[Any], seed: int, normal: Normal = NOBODY) -> Watch:
    """A person whom the detector has watched through a wild life."""
    watch = Watch(detector, normal)
    watch.see(*life(seed))
    return watch


def taught(detector: Detector[Any]) -> Normal:
    """Peers who have lived ordinary days, as this detector learnt them."""
    lessons: list[list[Lesson]] = []
    for _ in range(6):
        watch = Watch(detector)
        watch.see(*work(range(-12, 0), parcels=10))
        watch.end_day()
        lessons += watch.lessons
    peers = Peers(lessons)
    return Normal(peers, peers)


def encoded(state: Any) -> bytes:
    return msgspec.msgpack.encode(state)


def test_the_catalogue_has_every_detector_of_the_folder_once() -> None:
    modules = {module.name for module in pkgutil.iter_modules([str(FOLDER)])} - SUPPORT
    names = [detector.name for detector in DETECTORS]
    assert sorted(names) == sorted(modules)
    assert len({type(detector) for detector in DETECTORS}) == len(DETECTORS)


@each
def test_a_detector_is_named_after_its_file(detector: Detector[Any]) -> None:
    assert type(detector).__module__ == f"detectors.{detector.name}"
    assert detector.summary
    assert detector.summary[0].isupper()


@each
def test_the_docstring_is_the_documentation(detector: Detector[Any]) -> None:
    text = type(detector).__doc__ or ""
    for heading in ("Finds:", "Ignores:", "Known gap", "Parameters:", ">>>", "References:"):
        assert heading in text, f"{detector.name}: the docstring has no {heading}"
    for field in dataclasses.fields(type(detector)):  # type: ignore[arg-type]  # every detector is a dataclass
        assert re.search(rf"\b{field.name}\b", text), (
            f"{detector.name}: parameter {field.name} is not described"
        )


@each
def test_the_readme_has_a_row_for_it(detector: Detector[Any]) -> None:
    row = re.search(
        rf"^\| \[{detector.name}\]\({detector.name}\.py\) \|(.+)\|$", (FOLDER / "README.md").read_text(), re.M
    )
    assert row, f"detectors/README.md has no row for {detector.name}"
    assert len(row[1].split("|")) == 3
    assert all(cell.strip() for cell in row[1].split("|"))


@each
def test_it_has_cases_that_must_alert_and_cases_that_must_not(detector: Detector[Any]) -> None:
    cases = (Path(__file__).parent / f"test_{detector.name}.py").read_text()
    assert len(re.findall(r"^def test_alerts_", cases, re.M)) >= 3
    assert len(re.findall(r"^def test_silent_", cases, re.M)) >= 3


@each
def test_its_tag_changes_with_every_parameter(detector: Detector[Any]) -> None:
    tags = {detector.tag}
    for field in dataclasses.fields(type(detector)):  # type: ignore[arg-type]  # every detector is a dataclass
        value = getattr(detector, field.name)
        other = (*value[:-1], value[-1] + 1) if isinstance(value, tuple) else value + 1
        tags.add(dataclasses.replace(detector, **{field.name: other}).tag)  # type: ignore[type-var]  # likewise
    assert len(tags) == 1 + len(dataclasses.fields(type(detector)))  # type: ignore[arg-type]  # likewise


@each
@pytest.mark.parametrize("seed", range(5))
def test_a_state_that_was_stored_behaves_as_the_one_that_was_not(detector: Detector[Any], seed: int) -> None:
    rows, kept, stored = life(seed), detector.initial(), detector.initial()
    decode = msgspec.msgpack.Decoder(detector.state_type).decode
    normal, day = taught(detector), 0
    for row in rows:
        for state in (kept, stored):
            if (row.time + TZ * 60_000) // DAY > day:
                detector.close_day(state, day)
        day = max(day, (row.time + TZ * 60_000) // DAY)
        results = [detector.step(state, row, normal) for state in (kept, stored)]
        assert results[0] == results[1]
        if results[0]:
            assert detector.report(kept, row, normal) == detector.report(stored, row, normal)
        stored = decode(encoded(stored))
        assert encoded(stored) == encoded(kept)


@each
@pytest.mark.parametrize("seed", range(5))
def test_the_same_life_gives_the_same_alerts_and_state(detector: Detector[Any], seed: int) -> None:
    rows, first, second = life(seed), Watch(detector, taught(detector)), Watch(detector, taught(detector))
    first.see(*rows)
    for row in rows:
        second.see(row)
    assert first.alerts == second.alerts
    assert encoded(first.state) == encoded(second.state)
    assert first.lessons == second.lessons


@each
def test_reporting_changes_nothing(detector: Detector[Any]) -> None:
    normal, state = taught(detector), detector.initial()
    for row in life(3):
        if detector.step(state, row, normal):
            before = encoded(state)
            detector.report(state, row, normal)
            assert encoded(state) == before


@each
@pytest.mark.parametrize("seed", range(8))
def test_every_finding_is_whole_and_true_to_its_case(detector: Detector[Any], seed: int) -> None:
    watch = lived(detector, seed, taught(detector) if seed % 2 else NOBODY)
    for alert in watch.alerts:
        finding = alert.finding
        assert finding.severity in (2, 3, 4, 5)
        assert finding.confidence in (1, 2, 3)
        assert 0 <= finding.score < 50
        assert finding.evidence > 0
        assert alert.first <= alert.opened <= alert.last
        assert len(alert.samples) <= 20
        for text in (finding.en, finding.vi):
            assert text.endswith(".")
            assert "  " not in text
            assert "nan" not in text
            assert CLERK.token not in text
            assert "k1.parcel" not in text


@each
def test_an_empty_touch_is_no_case(detector: Detector[Any]) -> None:
    state = detector.initial()
    assert detector.step(state, Touch(0, 0, 0, 0, Person("", ""), 0, 0, 9, "", 0, 0), NOBODY) == 0


@each
def test_hostile_numbers_break_nothing(detector: Detector[Any]) -> None:
    watch = Watch(detector, taught(detector))
    for time in (0, 1, at(), at(400), at(), 4_000_000_000_000):
        for tz in (-720, 0, 840):
            for records in (0, 1, 10_000_000):
                watch.see(
                    touch(time, "export", "k1.p" * 60, records=records, tz=tz, seen=time + DAY, idle=2**31)
                )
                watch.see(touch(time, "view", "k1.q", records=records, tz=tz, context=True))
    detector.explained(watch.state, Late((9, 9, 9), 0, 1))
    assert watch.detector.initial() == detector.initial()


@each
def test_a_clock_that_stands_still_or_goes_back_is_survived(detector: Detector[Any]) -> None:
    watch = Watch(detector)
    watch.see(*(touch(at(), parcel=f"k1.parcel.{n}") for n in range(500)))
    watch.see(*(touch(at() - n * 3_600_000, parcel=f"k1.parcel.b{n}", context=True) for n in range(500)))
    watch.pass_time(at(30))
    assert detector.wake(watch.state) == 0


def long_life(rows: int) -> Iterator[Touch]:
    rng, time = random.Random(1), at()
    for number in range(rows):
        time += rng.choice((0, 100, 5_000, 600_000))
        yield touch(
            time,
            "view",
            f"k1.parcel.{number:030d}",
            others=tuple(rng.randrange(2**32) for _ in range(6)),
            context=number % 3 == 0,
            idle=rng.randrange(10**7),
        )


def test_a_person_stays_small_after_a_hundred_thousand_touches() -> None:
    watches = [Watch(detector) for detector in DETECTORS]
    for row in long_life(100_000):
        for watch in watches:
            watch.see(row)
    at_work = sum(len(encoded(watch.state)) for watch in watches)
    for watch in watches:
        watch.pass_time(at(3_000))
    at_rest = sum(len(encoded(watch.state)) for watch in watches)
    assert at_work < 16_000
    assert at_rest <= 4_096


@each
def test_a_role_of_one_learns_what_its_days_teach(detector: Detector[Any]) -> None:
    watch = Watch(detector)
    watch.see(*work(range(5)))
    watch.end_day()
    assert len(watch.lessons) == 5
    for lessons in watch.lessons:
        assert all(
            isinstance(name, str) and isinstance(number, int) and number >= 0 for name, number in lessons
        )


def test_the_catalogue_is_what_the_package_exports() -> None:
    for detector in DETECTORS:
        module = importlib.import_module(f"detectors.{detector.name}")
        assert getattr(module, type(detector).__name__) is type(detector)


def test_the_drivers_are_deterministic_but_for_offsets() -> None:
    first, second = (list(views(at(), parcels=3, minutes=1)) for _ in range(2))
    assert [row.parcel for row in first] == [row.parcel for row in second]
