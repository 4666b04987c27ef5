"""An alert finds a leak when it is about the person, about that time, and not too late; else it is false."""

from __future__ import annotations

import pytest

from streams.admit.validate import DAY
from streams.evaluation.log import HOUR, Style
from streams.evaluation.plan import Episode
from streams.evaluation.run import Message
from streams.evaluation.scene import Act
from streams.evaluation.score import score
from tests.evaluation.office import ms

TEST_DAY = (ms(10) + 7 * HOUR) // DAY
LEAKER, OTHER = 3, 4


def leak(shape: str = "bulk_read", person: int = LEAKER, day: int = 12, acts: int = 10) -> Episode:
    """Ten parcels, one a minute, from ten o'clock."""
    made = tuple(
        Act(ms(day, 10) + n * 60_000, 420, person, "view", (f"VN{n}",), 1, Style()) for n in range(acts)
    )
    return Episode(shape, frozenset({person}), made, made[0].time, made[-1].time, acts)


def said(
    day: float,
    hour: float,
    *,
    person: int = LEAKER,
    alert: str = "a",
    points: float = 3.0,
    reach: float = 0.1,
) -> Message:
    """A message whose evidence reaches so many hours back."""
    at = ms(int(day), hour)
    return Message(person, alert, "bulk_read", at, (at + 7 * HOUR) // DAY, at - int(reach * HOUR), at, points)


def test_an_alert_in_the_middle_finds_the_leak_and_half_is_gone() -> None:
    result = score([leak()], [said(12, 10 + 5 / 60, reach=5 / 60)], 100, TEST_DAY)
    assert result.recall() == 1
    assert result.found[0].gone() == 0.5
    assert result.found[0].minutes() == 5
    assert result.false == []


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(said(12, 10.1, person=OTHER), id="another person"),
        pytest.param(said(11, 10.1), id="the day before"),
        pytest.param(said(12, 9.9), id="just before"),
        pytest.param(said(12, 15), id="later, about something else"),
    ],
)
def test_an_alert_about_another_person_or_time_is_false(message: Message) -> None:
    result = score([leak()], [message], 100, TEST_DAY)
    assert result.recall() == 0
    assert result.false_rate() == 10
    assert result.precision() == 0


def test_an_alert_more_than_a_day_late_finds_nothing_but_is_not_false() -> None:
    late = said(13, 11, reach=26)
    assert score([leak()], [said(13, 10, reach=25)], 100, TEST_DAY).recall() == 1
    result = score([leak()], [late], 100, TEST_DAY)
    assert result.recall() == 0
    assert result.false == []


def test_what_is_said_in_the_warm_up_counts_neither_way() -> None:
    result = score([leak(day=9)], [said(9, 10.1)], 100, TEST_DAY)
    assert result.recall() == 0
    assert result.alerts == 0


def test_an_alert_on_a_leaker_before_he_leaks_is_false() -> None:
    result = score([leak()], [said(11, 14, alert="before"), said(12, 10.1)], 100, TEST_DAY)
    assert result.recall() == 1
    assert result.false_rate() == 10
    assert result.precision() == 0.5


def test_many_messages_of_one_alert_are_one_false_alert() -> None:
    result = score([], [said(11, hour, person=OTHER) for hour in (9, 10, 11)], 100, TEST_DAY)
    assert result.alerts == 1
    assert result.false == [3.0]


def test_shapes_weigh_the_same_however_many_episodes_they_have() -> None:
    episodes = [leak(), *(leak("low_and_slow", person) for person in (5, 6, 7))]
    assert score(episodes, [said(12, 10.1)], 100, TEST_DAY).recall() == 0.5


def test_a_cut_keeps_what_scores_highest_and_the_highest_message_of_an_alert_counts() -> None:
    episodes = [leak(), leak("low_and_slow", OTHER)]
    messages = [
        said(12, 10.05, points=2.0),
        said(12, 10.1, points=6.0),
        said(12, 10.1, person=OTHER, alert="b", points=4.0),
        said(11, 10.1, person=9, alert="c", points=5.0),
    ]
    result = score(episodes, messages, 1_000, TEST_DAY)
    assert result.curve() == [(0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 1.0)]
    assert result.recall_at(0.5) == 0.5
    assert result.recall_at(1) == 1


def test_a_leak_that_nobody_saw_has_lost_everything() -> None:
    result = score([leak()], [], 100, TEST_DAY)
    assert result.found[0].gone() == 1
    assert result.gone_overall() is None
