"""Touches become rows as the running stream would have made them."""

from __future__ import annotations

from math import log1p

import numpy as np

from detectors.base import Person, Touch
from detectors.testing import CLERK, HOUR, at, touch, views, work
from models.assessment import held_out
from models.dataset import Dataset, Recorder, labels
from models.features import DAY_FEATURES, Diary

OTHER = Person("k1.staff.other", "vnx")
MACHINE = Person("k1.staff.machine", "vnx", service=True)


def recorded(*touches: Touch, pieces: int = 1) -> Dataset:
    rows = sorted(touches, key=lambda row: row.st)
    recorder = Recorder()
    for start in range(pieces):
        recorder.add(rows[start * len(rows) // pieces : (start + 1) * len(rows) // pieces])
    return recorder.finish()


def test_rows_are_what_the_diary_of_each_person_gives_at_the_end_of_hour_and_day() -> None:
    touches = list(work(range(9), parcels=40, context=True))
    diary, hours, days = Diary(), [], {}
    for row in [*touches, None]:
        if row is None or row.st >= diary.ends:
            bucket = diary.turn(row) if row else diary.close()
            if bucket is not None:
                hours.append(bucket.hour_vector)
                days[bucket.day] = bucket.day_vector
        if row:
            diary.now.add(row)
    dataset = recorded(*touches, *work(range(9), parcels=7, who=OTHER))
    own = dataset.people.index(CLERK.token)
    assert dataset.hours.x[dataset.hours.person == own].tolist() == hours
    assert dataset.days.x[dataset.days.person == own].tolist() == list(days.values())
    assert dataset.days.day[dataset.days.person == own].tolist() == list(days)


def test_it_does_not_matter_how_touches_are_handed_over() -> None:
    touches = [*work(range(5), parcels=40), *work(range(5), parcels=9, who=OTHER)]
    whole, pieces = recorded(*touches), recorded(*touches, pieces=17)
    for kind, rows in whole.kinds.items():
        assert rows.x.tobytes() == pieces.kinds[kind].x.tobytes()


def test_machines_are_counted_and_left_out() -> None:
    dataset = recorded(*work([0], parcels=5), *work([0], parcels=70, who=MACHINE))
    assert dataset.people == [CLERK.token]
    assert (dataset.touches, dataset.service_touches) == (5, 70)


def test_nothing_gives_no_rows_of_the_right_width() -> None:
    dataset = recorded()
    assert dataset.days.x.shape == (0, len(DAY_FEATURES))
    assert not held_out(dataset.days).size


def test_the_last_fifth_of_the_days_is_held_out_for_hours_and_days_alike() -> None:
    dataset = recorded(*work(range(10), parcels=20), *work(range(5), parcels=20, who=OTHER))
    held = {kind: set(rows.where(held_out(rows)).day.tolist()) for kind, rows in dataset.kinds.items()}
    first = int(dataset.days.day.min())
    assert held == {"hour": {first + 8, first + 9}, "day": {first + 8, first + 9}}


def test_a_leak_labels_its_persons_hours_and_days_and_no_others() -> None:
    night = views(at(2, 23.5), parcels=20, minutes=60)
    dataset = recorded(*work(range(5), parcels=20), *night, *work(range(5), parcels=20, who=OTHER))
    leaks = [(CLERK.token, at(2, 23.5), at(3, 0.4)), ("k1.staff.unknown", 0, at(9))]
    by_hour, by_day = labels(dataset, dataset.hours, leaks), labels(dataset, dataset.days, leaks)
    own = dataset.people.index(CLERK.token)
    first = int(dataset.days.day.min())
    assert (dataset.hours.hour[by_hour == 1] * HOUR).tolist() == [at(2, 23), at(3, 0)]
    assert dataset.days.day[by_day == 1].tolist() == [first + 2, first + 3]
    assert set(dataset.hours.person[by_hour == 1].tolist()) == {own}
    assert np.array_equal(labels(dataset, dataset.days, []), np.zeros(len(dataset.days)))


def test_counts_of_a_row_are_those_of_the_touches() -> None:
    dataset = recorded(touch(at(hour=9), "export", records=500), *views(at(hour=10), parcels=9, minutes=9))
    row = dict(zip(DAY_FEATURES, dataset.days.x[0].tolist(), strict=True))
    assert (row["export_rows"], row["parcels"], row["records"]) == (log1p(500), log1p(9), log1p(509))
