"""What is usual among others: learnt from finished days, in effect a day later, the same in every partition."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import bin_top, log_bin
from models.norms import DAY, DELAY, HOUR, Norms, NormsState, encode_norms

START = 20_000 * DAY
Taught = tuple[int, str, list[tuple[str, int]]]


def taught(norms: Norms, values: list[int], role: str = "clerk", at: int = START) -> Norms:
    """`norms` after a finished day for each value, all of them in effect."""
    for value in values:
        norms.learn(at, 0, "vnx", role, [("reads", log_bin(value))])
    norms.advance(at + DELAY + 2 * HOUR)
    return norms


def test_a_lesson_takes_effect_a_day_later_and_not_before() -> None:
    norms = Norms(NormsState())
    norms.learn(START, 0, "vnx", "clerk", [("reads", log_bin(50))])
    assert norms.due > START + DELAY
    norms.advance(norms.due - 1)
    assert norms.normal("vnx", "clerk").peers.days == 0
    assert norms.advance(norms.due)
    assert norms.normal("vnx", "clerk").peers.days == 1


def test_a_lesson_that_comes_too_late_for_its_hour_waits_for_the_next() -> None:
    norms = Norms(NormsState())
    released = START + 30 * DAY
    norms.learn(START, released, "vnx", "clerk", [("reads", 1)])
    assert released < norms.due <= released + HOUR


def test_peers_are_the_role_and_the_company_is_everybody() -> None:
    norms = taught(taught(Norms(NormsState()), [10] * 9), [1_000], role="it_staff")
    normal = norms.normal("vnx", "clerk")
    assert (normal.peers.days, normal.company.days) == (9, 10)
    assert normal.peers.quantile("reads", 1.0) < 20 < normal.company.quantile("reads", 1.0)
    assert norms.normal("other", "clerk").company.days == 0


def test_a_group_is_the_peers_then_the_company_then_nobody() -> None:
    norms = taught(taught(Norms(NormsState()), [10] * 9), [10] * 40, role="courier")
    clerk, courier = norms.normal("vnx", "clerk"), norms.normal("vnx", "courier")
    assert courier.group(40) is courier.peers
    assert clerk.group(40) is clerk.company
    assert clerk.group(60) is None


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_reached_by_no_more_than_its_share(values: list[int], q: float) -> None:
    peers = taught(Norms(NormsState()), values).normal("vnx", "clerk").peers
    top = peers.quantile("reads", q)
    assert sum(value > top for value in values) <= (1 - q) * len(values) + 1e-9
    assert top <= bin_top(log_bin(max(values)))


@pytest.mark.parametrize("values", [[1] * 50, [1, 10, 100, 1_000] * 10])
def test_surprise_grows_with_the_value_and_stays_finite(values: list[int]) -> None:
    peers = taught(Norms(NormsState()), values).normal("vnx", "clerk").peers
    tails = [peers.tail("reads", 10.0**n) for n in range(9)]
    assert tails == sorted(tails, reverse=True)
    assert all(0 < tail <= 1 for tail in tails)


def test_what_nobody_taught_is_neither_usual_nor_certain() -> None:
    peers = Norms(NormsState()).normal("vnx", "clerk").peers
    assert (peers.days, peers.quantile("reads", 0.99), peers.share("reads", 3)) == (0, 0.0, 0.0)
    assert 0 < peers.tail("reads", 10) <= 1


def test_old_days_fade_and_are_forgotten() -> None:
    norms = taught(Norms(NormsState()), [5_000])
    taught(norms, [10] * 30, at=START + 10 * DAY)
    assert norms.normal("vnx", "clerk").peers.quantile("reads", 1.0) > 4_000
    taught(norms, [10] * 30, at=START + 60 * DAY)
    assert norms.normal("vnx", "clerk").peers.quantile("reads", 1.0) < 20


def test_shares_add_up_however_long_the_past() -> None:
    norms = Norms(NormsState())
    for day in range(40):
        taught(norms, [1, 2, 4, 400], at=START + day * DAY)
    peers = norms.normal("vnx", "clerk").peers
    assert sum(peers.share("reads", number) for number in range(60)) == pytest.approx(1, abs=0.1)
    assert peers.share("reads", log_bin(400)) == pytest.approx(0.25, abs=0.05)


def lessons(seed: int) -> list[Taught]:
    rng = random.Random(seed)
    return [
        (START + rng.randrange(20 * DAY), rng.choice(("clerk", "courier")), [("reads", rng.randrange(50))])
        for _ in range(200)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_partitions_hear_lessons_does_not_matter(seed: int) -> None:
    states = []
    for shuffle in (False, True):
        taught_days = lessons(seed)
        if shuffle:
            random.Random(seed).shuffle(taught_days)
        norms = Norms(NormsState())
        for at, role, day in taught_days:
            norms.learn(at, 0, "vnx", role, day)
        for hour in range(0, 25 * 24, 7):
            norms.advance(START + hour * HOUR)
        states.append(encode_norms(norms.state))
    assert states[0] == states[1]


def test_norms_that_were_stored_go_on_as_those_that_were_not() -> None:
    kept, stored = Norms(NormsState()), Norms(NormsState())
    for at, role, day in sorted(lessons(1)):
        for norms in (kept, stored):
            norms.advance(at)
            norms.learn(at, at, "vnx", role, day)
        stored = Norms(msgspec.msgpack.decode(encode_norms(stored.state), type=NormsState))
    for norms in (kept, stored):
        norms.advance(START + 40 * DAY)
    assert encode_norms(kept.state) == encode_norms(stored.state)
    assert kept.due == stored.due


def test_how_strict_to_be_reaches_everybody_also_after_the_norms_have_learnt() -> None:
    norms = Norms(NormsState(), strictness=2.5)
    assert norms.normal("vnx", "clerk").strictness == 2.5
    taught(norms, [10])
    assert norms.normal("vnx", "clerk").strictness == 2.5
    assert Norms(NormsState()).normal("vnx", "clerk").strictness == 1.0
