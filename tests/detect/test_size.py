"""A person stays small at rest, with all that is kept of him: states of detectors, diary, risk, what the chart says."""

from __future__ import annotations

import random

from streams.detect.stage import DetectStage
from streams.flow.topics import ACCESS_EVENTS, CONTROL
from streams.history.pipeline import Pipeline
from tests.law_harness import RING
from tests.senders import DAY, MONDAY, access, decision

ACTIONS = ("view", "view", "export", "reveal", "search", "print")
MOST = 4_096


def test_a_person_who_does_everything_for_a_month_takes_four_kilobytes_at_rest() -> None:
    now = MONDAY
    pipeline = Pipeline(RING, partitions=1, arrived=lambda: now)
    pipeline.finish()
    pipeline.feed(CONTROL, [decision(now, "model", value="shadow:" + "a" * 64)])
    rng = random.Random(1)
    for day in range(30):
        times = sorted(MONDAY + day * DAY + rng.randrange(DAY) for _ in range(500))
        now = times[-1] + 1
        pipeline.feed(
            ACCESS_EVENTS,
            [
                access(
                    time, "p1", rng.choice(ACTIONS), [f"P{rng.randrange(30_000)}"], id=f"{day}-{n}",
                    records=rng.choice((1, 1, 50, 5_000)), device=f"d{rng.randrange(30)}",
                    ip=f"10.{rng.randrange(30)}.1.1", site=f"S{rng.randrange(9)}",
                )
                for n, time in enumerate(times)
            ],
        )  # fmt: skip
        pipeline.finish()
    now += 30 * DAY
    pipeline.feed(ACCESS_EVENTS, [access(now, "p2", "login")])
    pipeline.finish()
    pipeline.checkpoint()
    stage = pipeline.stages["actor-log", 0]
    assert isinstance(stage, DetectStage)
    assert stage.states.get(RING.cipher("vnx").staff("p1")).episodes == {}, "at rest, no episode is open"
    sizes = [len(value) for key, value in pipeline.stores["detect", 0].items() if key.startswith(b"k1.")]
    assert max(sizes) <= MOST
