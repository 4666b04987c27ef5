"""Rivals count rightly and spend, on the warm-up, the alerts they are given."""

from __future__ import annotations

import numpy as np
import pytest

from streams.evaluation.log import AccessLog, Style
from streams.evaluation.rivals import (
    FOREST,
    STATIC,
    Z_SCORE,
    Hours,
    forest_scores,
    messages,
    person_hours,
    rivals,
    static_scores,
    threshold_for,
    user_days,
    z_scores,
)
from streams.evaluation.scene import Act
from tests.evaluation.office import Office, log_of, ms

LOG: AccessLog = log_of(Office(people=20))
#: Two weeks and more after the start, in the test part, a Wednesday.
DAY_OF_LEAK = 23


def reading(person: int, count: int, hour: float = 10) -> list[Act]:
    return [
        Act(ms(DAY_OF_LEAK, hour) + n, 420, person, "view", (LOG.parcels[n],), 1, Style())
        for n in range(count)
    ]


def counted(added: list[Act]) -> tuple[Hours, int]:
    """The hours, and the number of the row of person 3 at ten on the day of the leak."""
    hours = person_hours(LOG, added)
    [row] = np.flatnonzero(
        (hours.person == 3) & (hours.last // 3_600_000 == ms(DAY_OF_LEAK, 10) // 3_600_000)
    )
    return hours, int(row)


def test_hours_count_distinct_parcels_records_and_what_is_new() -> None:
    before = person_hours(LOG, [])
    assert before.records.sum() == len(LOG.time)
    assert before.day_events[before.ends].sum() == len(LOG.time)
    twice = reading(3, 200) + reading(3, 200, 10.5)
    hours, row = counted(twice)
    assert 200 <= hours.parcels[row] < 215
    assert 400 <= hours.records[row] < 415
    assert hours.day_new[row] <= hours.day_parcels[row]
    assert hours.records.sum() == before.records.sum() + 400


def test_the_days_figures_are_those_so_far() -> None:
    hours = person_hours(LOG, [])
    first = np.append(True, ~(np.diff(hours.person * 100_000 + hours.day) == 0))
    assert (hours.day_parcels[first] == hours.parcels[first]).all()
    later = ~first
    assert (hours.day_events[later] > hours.day_events[np.flatnonzero(later) - 1]).all()


@pytest.mark.parametrize("name", [STATIC, Z_SCORE])
def test_a_bulk_read_stands_out(name: str) -> None:
    hours, row = counted(reading(3, 300))
    scores = static_scores(hours, hours.day < LOG.test_day) if name == STATIC else z_scores(hours)
    assert scores[row] > np.sort(scores[hours.day < LOG.test_day])[-1]


def test_the_forest_scores_a_day_when_it_is_over() -> None:
    hours, _ = counted(reading(3, 300))
    scores = forest_scores(hours, hours.day < LOG.test_day, 1)
    assert np.isfinite(scores[hours.ends]).all()
    assert not np.isfinite(scores[~hours.ends]).any()


def test_a_z_score_needs_history() -> None:
    hours = person_hours(LOG, [])
    first_week = hours.day < int(LOG.day[0]) + 5
    assert not np.isfinite(z_scores(hours)[first_week]).any()


@pytest.mark.parametrize("rate", [0, 20, 100])
def test_a_threshold_spends_the_budget_on_the_warm_up(rate: float) -> None:
    hours = person_hours(LOG, [])
    warm_up = hours.day < LOG.test_day
    scores = np.random.default_rng(1).random(len(hours.person))
    told = messages("any", hours, scores, threshold_for(hours, scores, warm_up, rate))
    days = len(np.unique(hours.person[warm_up] * 100_000 + hours.day[warm_up]))
    spent = len({message.alert for message in told if message.day < LOG.test_day})
    assert spent == round(rate * days / 1_000)


def test_a_day_alerts_once_however_many_of_its_hours_stand_out() -> None:
    hours, _ = counted(reading(3, 300) + reading(3, 300, 14))
    said = messages(STATIC, hours, static_scores(hours, hours.day < LOG.test_day), 2.5)
    own = [message for message in said if message.person == 3 and message.time >= ms(DAY_OF_LEAK)]
    assert len(own) > 1
    assert len({message.alert for message in own}) == 1


def test_every_rival_is_heard() -> None:
    assert {STATIC, Z_SCORE, FOREST} < set(rivals(LOG, reading(3, 300), 10, 1))


def test_user_days_are_people_with_an_access_on_a_day_of_the_test_part() -> None:
    alone = user_days(LOG, [])
    # 14 days from the warm-up's end, 21 of 35; ten of them working days.
    assert alone == 20 * 10
    sunday = [Act(ms(27, 10), 420, 3, "view", (), 1, Style())] * 5
    assert user_days(LOG, reading(3, 5) + sunday) == alone + 1
