"""Episodes are done by real people, at their hours, with parcels they could have opened, and never in the warm-up."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from streams.admit.validate import DAY, MINUTE
from streams.evaluation.decoys import decoys
from streams.evaluation.log import HOUR
from streams.evaluation.plan import SHAPES, Episode, Plan, make_plan, workers
from tests.evaluation.office import Office, scene_of

OFFICE = Office(people=40)
SCENE = scene_of(OFFICE)
LOG = SCENE.log


@pytest.fixture(scope="module", params=[1, 2])
def plan(request: pytest.FixtureRequest) -> Plan:
    return make_plan(SCENE, request.param, 3)


def of(plan: Plan, shape: str) -> list[Episode]:
    found = [episode for episode in plan.episodes if episode.shape == shape]
    assert found, f"the office can carry {shape}"
    return found


def test_a_log_of_ids_and_times_carries_six_shapes(plan: Plan) -> None:
    assert {episode.shape for episode in plan.episodes} == {
        "bulk_read", "bulk_export", "off_hours", "unrelated_parcel", "low_and_slow", "enumeration",
    }  # fmt: skip


def test_nothing_is_injected_into_the_warm_up(plan: Plan) -> None:
    acts = chain.from_iterable(episode.acts for episode in plan.episodes)
    assert all((act.time + act.offset * MINUTE) // DAY >= LOG.test_day for act in acts)


def test_nobody_leaks_twice_and_most_people_never(plan: Plan) -> None:
    times = Counter(person for episode in plan.episodes for person in episode.people)
    assert max(times.values()) == 1
    assert len(times) <= 0.6 * len(workers(SCENE))


def test_all_but_off_hours_happens_while_the_person_is_at_work(plan: Plan) -> None:
    for episode in plan.episodes:
        for act in episode.acts:
            hour = (act.time + act.offset * MINUTE) // HOUR % 24
            weekday = (act.time + act.offset * MINUTE) // DAY % 7
            at_work = 9 <= hour < 19 and (weekday + 3) % 7 < 5
            assert at_work != (episode.shape == "off_hours")


@pytest.mark.parametrize("shape", ["bulk_read", "unrelated_parcel", "low_and_slow"])
def test_parcels_are_of_the_log_existed_by_then_and_are_new_to_the_person(plan: Plan, shape: str) -> None:
    for episode in of(plan, shape):
        [person] = episode.people
        for act in episode.acts:
            [number] = [LOG.parcels.index(parcel) for parcel in act.parcels]
            touches = LOG.touch_time[LOG.touch_parcel == number]
            assert touches[0] < act.time
            own = (LOG.touch_parcel == number) & (LOG.touch_person == person)
            first_act = episode.acts[0].time
            assert not (LOG.touch_time[own] < first_act).any()


def test_unrelated_parcels_are_another_groups(plan: Plan) -> None:
    for episode in of(plan, "unrelated_parcel"):
        [person] = episode.people
        group = int(LOG.people[person][1].removeprefix("nv")) // 5 + 1
        for act in episode.acts:
            assert act.parcels[0].removeprefix("VN")[0] != str(group)


def test_sizes_are_those_of_the_domain(plan: Plan) -> None:
    for episode in of(plan, "bulk_export"):
        assert 500 <= episode.records <= 50_000
    for episode in of(plan, "enumeration"):
        assert 150 <= len(episode.acts) <= 600
        missed = sum(not act.found for act in episode.acts) / len(episode.acts)
        assert 0.25 < missed < 0.55
        existing = {LOG.parcels[parcel] for parcel in SCENE.before(episode.start)}
        assert all((act.parcels[0] in existing) == act.found for act in episode.acts)


def test_the_same_seed_plans_the_same_and_another_seed_something_else() -> None:
    assert make_plan(SCENE, 1, 2) == make_plan(SCENE, 1, 2)
    assert make_plan(SCENE, 1, 2).episodes != make_plan(SCENE, 2, 2).episodes


def test_exports_and_searches_are_routine_in_warm_up_and_test_alike() -> None:
    made = decoys(SCENE, 1, workers(SCENE))
    days = {(act.time + act.offset * MINUTE) // DAY < LOG.test_day for act in made if act.action == "export"}
    assert days == {True, False}
    exporters = {act.person for act in made if act.action == "export"}
    assert len(exporters) == round(0.1 * len(workers(SCENE)))
    assert all(20 <= act.records <= 200 for act in made if act.action == "export")
    searched = [act for act in made if act.action == "search"]
    assert 0 < sum(not act.found for act in searched) < 0.15 * len(searched)


def test_a_log_that_has_searches_gets_no_more_of_them() -> None:
    scene = scene_of(Office(people=10, action="search"))
    assert {act.action for act in decoys(scene, 1, workers(scene))} == {"export", "reveal"}


def test_every_shape_of_the_table_is_planned_or_left_out_with_a_reason(plan: Plan) -> None:
    assert {episode.shape for episode in plan.episodes} | set(plan.left_out) == {*SHAPES, "honeytoken"}
    assert all(plan.left_out.values())
