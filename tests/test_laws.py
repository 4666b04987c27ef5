"""The laws, held against generated carriers' logs: no broker, the stages themselves over logs in memory."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors import DETECTORS
from streams.detect.stage import DetectStage
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, CONTROL, PARCEL_CONTEXT, PARCEL_LOG, STAFF_DIRECTORY
from streams.history.pipeline import INBOUND
from streams.simulator import SimulationConfig, simulate
from tests.law_harness import Run, blocks
from tests.senders import (
    DAY,
    HOUR,
    MONDAY,
    SECOND,
    Sent,
    access,
    carriers,
    context,
    decision,
    event_id,
    ordered,
    seeded,
    staff,
    stamp,
    with_decisions,
)

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
    live = Run.live(with_decisions(sent, seed), partitions, rng, crashes)
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


@laws
@given(LOGS, PARTITIONS, SEEDS, st.integers(0, 8))
def test_every_offset_is_admitted_rejected_or_a_duplicate(
    sent: list[Sent], partitions: int, seed: int, crashes: int
) -> None:
    """In = admitted + rejected + duplicate, offset by offset, whatever was sent twice after a crash."""
    run = Run.live(with_decisions(sent, seed), partitions, random.Random(seed), crashes)
    for where, log in run.logs.items():
        if where[0] not in INBOUND:
            continue
        admitted, rejected = run.admitted(where), run.rejected(where)
        duplicate = {record.offset for record in log} - admitted - rejected
        assert not admitted & rejected
        earlier = {event_id(record.value) for record in log if record.offset in admitted}
        assert {event_id(log[offset].value) for offset in duplicate} <= earlier - {None}
        counts = run.counts(where)
        assert counts["received"] == len(log)
        assert counts["admitted"] == len(admitted)
        assert counts["rejected"] == len(rejected)
        assert counts["duplicate"] == len(duplicate)


@pytest.mark.parametrize("seed", range(2))
def test_the_catalogue_decides_the_same_across_crashes(seed: int) -> None:
    """A simulated carrier's days, leaks and all: what detectors keep comes back from a store byte for byte."""
    simulation = simulate(SimulationConfig(staff=20, days=3, seed=seed, parcels_per_courier=20))
    sent = [
        Sent(topic, msgspec.json.encode(record), MONDAY + 9 * DAY) for topic, record in simulation.events()
    ]
    people = [msgspec.json.encode(record) for record in simulation.directory]
    plain = Run(sent, 2, people, DETECTORS).finish()
    crashed = Run(sent, 2, people, DETECTORS).finish(500, random.Random(seed), crashes=25)
    assert {json.loads(value)["activity_id"] for value in plain.alerts.values()} == {1, 2, 3}
    assert crashed.alerts == plain.alerts
    assert crashed.states() == plain.states()


#: What carriers send and parcelwatch keeps in clear: what people are and where they work, not who anyone is.
KEPT = {"role", "team", "site", "shift", "route"}


def canary(field: str) -> str:
    """A value to be found again wherever it gets to."""
    return f"CANARY-{field}-0912345678"


def test_no_clear_id_name_or_phone_gets_past_admit() -> None:
    """Not into any log, key, header, store, alert or rejection; what is kept in clear is exactly what is listed."""
    extra = {name: canary(name) for name in ("name", "phone", "address", "contents")}
    who, boss, now = canary("actor"), canary("manager"), MONDAY + 3 * HOUR
    run = Run([], 2)
    sent = [
        staff(who, role=canary("role"), team=canary("team"), site=canary("site"), manager=boss,
              shifts=[canary("shift")], since=canary("since"), **extra),
        context(now, canary("parcel"), "ticket_opened", id=canary("id"), site=canary("site"), route=canary("route"),
                staff=[canary("staff")], ticket=canary("ticket"), **extra),
        *(
            access(now + n * SECOND, who, "view", [f"{canary('parcel')}-{n}"], id=f"{canary('id')}-{n}",
                   fields=[canary("fields")], system=canary("system"), channel=canary("channel"),
                   site=canary("site"), ip=canary("ip"), device=canary("device"), session=canary("session"),
                   reason={"kind": "ticket", "id": canary("reason")}, **extra)
            for n in range(400)
        ),
        decision(now, "watch", actor=who, value="on", until=stamp(now + DAY), by=canary("by"), why=canary("why")),
        decision(now, canary("kind"), actor=who, by=canary("by"), why=canary("why")),
        access(now, canary("actor"), canary("action"), [canary("parcel")], **extra),
        access(now, canary("actor"), "view", [canary("parcel")], records=-1, **extra),
        json.dumps({"time": canary("time"), "actor": canary("actor"), **extra}).encode()[:-1],
    ]  # fmt: skip
    for value in sent:
        topic = (
            STAFF_DIRECTORY
            if b"manager" in value
            else CONTROL
            if canary("why").encode() in value
            else PARCEL_CONTEXT
            if b"ticket_op" in value
            else ACCESS_EVENTS
        )
        run.send(Sent(topic, value, now + HOUR))
    run.finish()
    run.pipeline.checkpoint()
    assert any(b"bulk_read" in value for value in run.alerts.values())
    assert len(run.pipeline.rejected) > 3
    found = set()
    for place in everything(run):
        found |= set(re.findall(rb"CANARY-([a-z]+)-", place))
    assert found == {name.encode() for name in KEPT}


def everything(run: Run) -> Iterator[bytes]:
    """All bytes that leave admit: keyed logs, rejections, alerts with their headers, stores."""
    kept = [record for where in run.logs if where[0] not in INBOUND for record in run.logs[where]]
    for record in (*kept, *run.pipeline.alerts, *run.pipeline.rejected):
        yield record.key or b""
        yield record.value or b""
        for name, value in record.headers:
            yield name.encode() + value
    for store in run.pipeline.stores.values():
        for key, value in store.items():
            yield key + value


@pytest.mark.parametrize("seed", range(2))
def test_the_generated_logs_are_worth_testing_with(seed: int) -> None:
    """Episodes open, grow and close, late reasons come, norms take effect, something is rejected and repeated."""
    run = Run(seeded(seed, 1_500), 3).finish()
    assert {json.loads(value)["activity_id"] for value in run.alerts.values()} == {1, 2, 3}
    assert any(block.explained for where in keyed(run) for block in blocks(run.logs[where]))
    assert any(
        stage.norms.state.groups for stage in run.pipeline.stages.values() if isinstance(stage, DetectStage)
    )
    counts = [run.counts(where) for where in run.logs if where[0] == ACCESS_EVENTS]
    assert all(sum(one[name] for one in counts) > 5 for name in ("duplicate", "rejected"))
