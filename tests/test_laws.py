"""The laws, held against generated carriers' logs: no broker, the stages themselves over logs in memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.topics import ACTOR_LOG, PARCEL_LOG
from tests.law_harness import Run, Sent, carriers, ordered, seeded

SEEDS = st.integers(0, 2**32)
PARTITIONS = st.integers(1, 3)
#: Short logs, which a failure shrinks to its cause, and long ones, in which more can go wrong.
LOGS = carriers() | st.builds(seeded, SEEDS, st.integers(50, 300))
# An example is a whole pipeline; what is too slow for one is right for these.
laws = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def keyed(run: Run) -> list[tuple[str, int]]:
    """The places of the stages over parcelwatch's own logs."""
    return [(topic, p) for topic in (PARCEL_LOG, ACTOR_LOG) for p in range(run.partitions)]


@laws
@given(LOGS, PARTITIONS)
def test_any_batching_of_the_inbound_log_gives_equal_states_and_alerts(
    sent: list[Sent], partitions: int
) -> None:
    """Byte for byte, but for the marks that count blocks."""
    plain = Run(sent, partitions).finish()
    for size in (7, 1):
        run = Run(sent, partitions).finish(size)
        assert run.alerts == plain.alerts
        assert run.states() == plain.states()


@laws
@given(LOGS, PARTITIONS, SEEDS)
def test_any_interleaving_of_a_backlog_gives_equal_states_and_alerts(
    sent: list[Sent], partitions: int, seed: int
) -> None:
    plain = Run(sent, partitions).finish()
    mixed = Run(sent, partitions).finish(rng=random.Random(seed))
    assert mixed.alerts == plain.alerts
    assert mixed.states() == plain.states()


@laws
@given(ordered())
def test_any_number_of_partitions_gives_equal_alerts_and_people(sent: list[Sent]) -> None:
    """Alerts whole, of people all but positions, if events come in order and no partition is silent for a day."""
    one = Run(sent, 1).finish()
    for partitions in (2, 4, 7):
        many = Run(sent, partitions).finish()
        assert many.alerts == one.alerts
        assert many.people() == one.people()


@laws
@given(LOGS, PARTITIONS, SEEDS, st.integers(1, 12))
def test_a_crash_anywhere_loses_and_doubles_nothing(
    sent: list[Sent], partitions: int, seed: int, crashes: int
) -> None:
    plain = Run(sent, partitions).finish()
    crashed = Run(sent, partitions).finish(rng=random.Random(seed), crashes=crashes)
    assert crashed.alerts == plain.alerts
    assert crashed.states() == plain.states()


@laws
@given(LOGS, PARTITIONS, SEEDS, st.integers(0, 6))
def test_a_keyed_log_replays_to_what_was_decided_live(
    sent: list[Sent], partitions: int, seed: int, crashes: int
) -> None:
    """However partitions fell idle, resumed late and crashed: the log alone decides, in any batches, from any mark."""
    rng = random.Random(seed)
    live = Run.live(sent, partitions, rng, crashes)
    told: dict[str, bytes] = {}
    for where in keyed(live):
        decided = live.table(where)
        for size in (1, 7, 5_000):
            replay = live.replay(where, size)
            assert replay.table(where) == decided
        crashed = live.replay(where, 7, rng, crashes=4)
        assert crashed.table(where) == decided
        assert crashed.alerts == replay.alerts
        told |= replay.alerts
    assert told == live.alerts


@pytest.mark.parametrize("seed", range(2))
def test_the_generated_logs_are_worth_testing_with(seed: int) -> None:
    """Episodes open, grow and close, late reasons come, graces end, norms take effect, much is held back."""
    run = Run(seeded(seed, 1_500), 3).finish()
    alerts = list(run.alerts.values())
    assert {1, 2, 3} <= {n for n in (1, 2, 3) for value in alerts if b'"activity_id":%d' % n in value}
