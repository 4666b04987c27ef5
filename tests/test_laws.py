"""The laws, held against generated carriers' logs: no broker, the stages themselves over logs in memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.law_harness import Run, Sent, carriers, seeded

SEEDS = st.integers(0, 2**32)
laws = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@laws
@given(carriers(), st.integers(1, 3))
def test_any_batching_gives_equal_states_and_alerts(sent: list[Sent], partitions: int) -> None:
    runs = [Run(sent, partitions).finish(size) for size in (5_000, 7, 1)]
    alerts, states = runs[0].alerts, runs[0].states()
    for run in runs[1:]:
        assert run.alerts == alerts
        assert run.states() == states


@laws
@given(carriers(), st.integers(1, 3), SEEDS)
def test_any_interleaving_of_partitions_gives_equal_states_and_alerts(
    sent: list[Sent], partitions: int, seed: int
) -> None:
    plain = Run(sent, partitions).finish()
    mixed = Run(sent, partitions).finish(rng=random.Random(seed))
    assert mixed.alerts == plain.alerts
    assert mixed.states() == plain.states()


@laws
@given(carriers(), st.integers(1, 3), SEEDS, st.integers(1, 12))
def test_a_crash_anywhere_loses_and_doubles_nothing(
    sent: list[Sent], partitions: int, seed: int, crashes: int
) -> None:
    plain = Run(sent, partitions).finish()
    crashed = Run(sent, partitions).finish(rng=random.Random(seed), crashes=crashes)
    assert crashed.alerts == plain.alerts
    assert crashed.states() == plain.states()


@pytest.mark.parametrize("seed", range(3))
def test_the_generated_logs_reach_every_detector(seed: int) -> None:
    run = Run(seeded(seed, 1_500), 3).finish()
    for name in (b"bulk_read", b"off_hours", b"unrelated_parcel"):
        assert any(name in value for value in run.alerts.values())
