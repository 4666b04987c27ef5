"""Real workers on a real broker, killed, paused and replaced: what comes of it is what comes of a day without faults.

A trial's topics are filled beforehand, so that what must come of them can be worked out in one process; every moment at
which something fails is drawn from the trial's seed.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from streams.flow.topics import ALERTS
from streams.kafka.broker import Broker
from tests.fault_harness import SOURCES, TABLES, Stand, until
from tests.scene import Scene, check

pytestmark = [pytest.mark.broker, pytest.mark.faults]

KILLS = 7
#: Session timeout of trials in which a worker does not come back, seconds.
SESSION = "8"


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of our own: topics have one name, and every trial begins with fresh ones."""
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        yield own


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Four days of seventy people, and what must come of them."""
    made = Scene.of(seed=3, staff=70, days=4)
    assert len(made.wanted.alerts) > 20, "too few alerts to tell anything by"
    return made


@pytest.fixture
async def stand(own_broker: Broker, scene: Scene, tmp_path: Path, app_id: str) -> AsyncIterator[Stand]:
    stand = Stand(own_broker.bootstrap, tmp_path, app_id)
    await stand.prepare(scene)
    yield stand
    stand.close()


async def test_a_run_without_faults_gives_what_a_backtest_gives(stand: Stand, scene: Scene) -> None:
    """Alerts, states and every offset; SIGTERM ends it with all of that written.

    Where to go on is in the states: should the broker have lost, or never got, what was committed, it is committed
    again and nothing is done twice.
    """
    async with stand.worker("w1") as worker:
        await stand.drained(worker)
        assert await worker.stop() == 0
        assert not [actor for actor in scene.actors() if actor in worker.log()], "a clear staff id in the log"
    check(await stand.outcome(), scene)
    await asyncio.to_thread(stand.forget_commits)
    assert stand.lag() > 0
    async with stand.worker("w1") as worker:
        await stand.drained(worker)
        check(await stand.outcome(), scene)


@pytest.mark.parametrize("seed", [11, 12, 13])
async def test_kill_9_at_any_moment_loses_and_doubles_nothing(stand: Stand, scene: Scene, seed: int) -> None:
    """Seven kills a trial, the local stores wiped after every second: equal alerts, equal states, no offset missing."""
    rng = random.Random(seed)
    in_work = 0
    for kill in range(KILLS):
        begun = await asyncio.to_thread(stand.admitted)
        async with stand.worker("w1") as worker:
            # Moments are drawn by how far the log was read, so that no machine is too fast for them; then by the
            # clock, so that they fall anywhere between two checkpoints.
            goal = min(len(scene.sent), begun + rng.uniform(0, len(scene.sent) / KILLS / 2))
            await until(lambda goal=goal: stand.come_to(goal), "enough was read", worker)
            await asyncio.sleep(rng.uniform(0, 0.3))
            in_work += await asyncio.to_thread(stand.lag) > 0
            await worker.kill(wipe=kill % 2 == 1)
    async with stand.worker("w1") as worker:
        await stand.drained(worker)
        check(await stand.outcome(), scene, f"seed {seed}")
    assert in_work >= KILLS // 2, "kills must come while there is something to lose"


async def test_workers_that_leave_for_good_hand_everything_over(stand: Stand, scene: Scene) -> None:
    """One by SIGTERM, one by kill -9 whose session must time out, and a third that came meanwhile goes on alone."""
    rng = random.Random(21)
    env = {"PARCELWATCH_SESSION_TIMEOUT": SESSION}
    async with stand.worker("w1", **env) as first, stand.worker("w2", **env) as second:
        await until(lambda: stand.shared(2), "both workers have partitions", first, second)
        await asyncio.sleep(rng.uniform(0.2, 1.0))
        assert await first.stop() == 0
        async with stand.worker("w3", **env) as third:
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            await second.kill()
            await stand.drained(third)
            check(await stand.outcome(), scene)


async def test_a_worker_away_longer_than_its_lease_stops_without_writing(stand: Stand, scene: Scene) -> None:
    """Another has its partitions by then: a stale state written last would undo what that one did."""
    rng = random.Random(31)
    env = {"PARCELWATCH_SESSION_TIMEOUT": SESSION}
    async with stand.worker("w1", **env) as paused, stand.worker("w2", **env) as other:
        await until(lambda: stand.shared(2), "both workers have partitions", paused, other)
        await asyncio.sleep(rng.uniform(0.2, 1.0))
        paused.signal(signal.SIGSTOP)
        await stand.drained(other)
        topics = (*SOURCES, ALERTS, *(f"{stand.settings.app_id}-{table}-changelog" for table in TABLES))
        before = await asyncio.to_thread(stand.ends, topics)
        paused.signal(signal.SIGCONT)
        assert await paused.ended() == 70
        assert "away" in paused.log()
        assert await asyncio.to_thread(stand.ends, topics) == before
        check(await stand.outcome(), scene)
