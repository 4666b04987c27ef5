"""An evaluation: every seed, both variants, every method, made into one report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors import DETECTORS
from detectors.base import Detector
from streams.admit.local_time import Zones
from streams.evaluation.background import Background
from streams.evaluation.decoys import decoys
from streams.evaluation.log import AccessLog, LogError, person_days, read_log
from streams.evaluation.plan import HARD, KNOWN_DAYS, TEST_DAYS, Plan, make_plan, workers
from streams.evaluation.report import Report, Trial
from streams.evaluation.rivals import rivals, user_days
from streams.evaluation.run import run_pipeline
from streams.evaluation.scene import Scene
from streams.evaluation.score import Score, score

PARCELWATCH = "parcelwatch"
VARIANTS = {"standard": 1.0, "hard": HARD}

#: Called with what is being done and the records it took.
Progress = Callable[[str, int], None]


def _silent(_what: str, _records: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate.

    Attributes:
        background: the benign log.
        zones: carriers' local time.
        seeds: of the injection, one trial each.
        episodes: of each shape and seed.
        warm_up: share of the log's days that nothing is injected into, above 0 and below 1.
        variants: names from VARIANTS.
        detectors: what parcelwatch runs.
    """

    background: Background
    zones: Zones
    seeds: tuple[int, ...]
    episodes: int
    warm_up: float = 0.6
    variants: tuple[str, ...] = tuple(VARIANTS)
    detectors: tuple[Detector[Any], ...] = DETECTORS

    def run(self, progress: Progress = _silent) -> Report:
        """Run to the end.

        Raises:
            FileError: a file that cannot be read.
            LogError: a log too short, or without anybody to do an episode.
        """
        log = read_log(self.background, self.zones, self.warm_up, lambda n: progress("reading", n))
        scene = Scene(log)
        trials = [
            self._trial(log, scene, variant, seed, progress)
            for seed in self.seeds
            for variant in self.variants
        ]
        return Report.of(
            parameters={
                "background": self.background.name,
                "seeds": list(self.seeds),
                "episodes_per_shape": self.episodes,
                "warm_up": self.warm_up,
                "detectors": [detector.tag for detector in self.detectors],
            },
            log=facts(log, scene),
            trials=trials,
        )

    def _trial(self, log: AccessLog, scene: Scene, variant: str, seed: int, progress: Progress) -> Trial:
        plan = make_plan(scene, seed, self.episodes, VARIANTS[variant])
        if not plan.episodes:
            raise LogError(
                f"nobody in the log can be made to leak: it takes {KNOWN_DAYS} active days in the warm-up and "
                f"{TEST_DAYS} after it; give a longer log"
            )
        benign = decoys(scene, seed, workers(scene))
        injected = [act for episode in plan.episodes for act in episode.acts]
        added = sorted(benign + injected, key=lambda act: act.time)
        said = run_pipeline(
            self.background,
            log,
            added,
            zones=self.zones,
            detectors=self.detectors,
            progress=lambda n: progress(f"seed {seed}, {variant}", n),
        )
        days = user_days(log, added)
        scores = {PARCELWATCH: score(plan.episodes, said, days, log.test_day)}
        curves: dict[str, Score] = {}
        for name, (spent, everything) in rivals(log, added, scores[PARCELWATCH].alert_rate(), seed).items():
            scores[name] = score(plan.episodes, spent, days, log.test_day)
            curves[name] = score(plan.episodes, everything, days, log.test_day)
        return Trial(
            variant,
            seed,
            plan,
            scores,
            {**curves, PARCELWATCH: scores[PARCELWATCH]},
            _crowding(plan),
            len(benign),
        )


def _crowding(plan: Plan) -> int:
    """User-days on which something is injected."""
    return len(
        {
            (act.person, (act.time + act.offset * 60_000) // 86_400_000)
            for episode in plan.episodes
            for act in episode.acts
        }
    )


def facts(log: AccessLog, scene: Scene) -> dict[str, Any]:
    """What the report says of the log."""
    pairs = person_days(log.person, log.day)
    test = int(((pairs & 0xFFFF_FFFF) >= log.test_day).sum())
    return {
        "access_events": len(log.time),
        "left_out_records": dict(sorted(log.left_out.items())),
        "people": len(np.unique(log.person)),
        "people_with_history": len(workers(scene)),
        "parcels": len(log.parcels),
        "days": int(log.day.max() - log.day.min()) + 1,
        "warm_up_days": log.test_day - int(log.day.min()),
        "warm_up_user_days": len(pairs) - test,
        "test_user_days": test,
        "context": log.has_context,
        "directory": bool(log.staff),
    }
