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
from streams.evaluation.report import AtBudget, Report, Trial
from streams.evaluation.rivals import rivals, user_days
from streams.evaluation.run import Message, label, said
from streams.evaluation.scene import Scene
from streams.evaluation.score import BUDGETS, Score, score
from streams.flow.control import STRICTEST
from streams.history.calibration import Calibrator
from streams.history.carriers import before
from streams.history.touches import Spool

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
        budgets: whether it is run again at the strictness calibrated to each of `BUDGETS`.
    """

    background: Background
    zones: Zones
    seeds: tuple[int, ...]
    episodes: int
    warm_up: float = 0.6
    variants: tuple[str, ...] = tuple(VARIANTS)
    detectors: tuple[Detector[Any], ...] = DETECTORS
    budgets: bool = False

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
        days = user_days(log, added)
        name = f"seed {seed}, {variant}"

        def fared(messages: list[Message]) -> Score:
            return score(plan.episodes, messages, days, log.test_day)

        with Spool() as spool:
            numbers = label(
                self.background, log, added, spool, zones=self.zones, progress=lambda n: progress(name, n)
            )
            ran = {1.0: fared(said(spool, numbers, self.detectors))}
            budgets = {}
            if self.budgets:
                for budget, strictness in self._calibrated(spool, log.test_day, name, progress).items():
                    if strictness not in ran:
                        ran[strictness] = fared(said(spool, numbers, self.detectors, strictness))
                    budgets[budget] = AtBudget(strictness, ran[strictness])
        scores = {PARCELWATCH: ran[1.0]}
        curves: dict[str, Score] = {}
        for rival, (spent, everything) in rivals(log, added, scores[PARCELWATCH].alert_rate(), seed).items():
            scores[rival] = fared(spent)
            curves[rival] = fared(everything)
        return Trial(
            variant,
            seed,
            plan,
            scores,
            {**curves, PARCELWATCH: scores[PARCELWATCH]},
            _crowding(plan),
            len(benign),
            budgets,
        )

    def _calibrated(self, touches: Spool, test_day: int, name: str, progress: Progress) -> dict[float, float]:
        """Strictness by budget, found on the warm-up alone; the strictest there is where none keeps to it."""
        with Spool() as spool:
            calibrator = Calibrator(
                before(touches, test_day, spool),
                detectors=self.detectors,
                progress=lambda strictness: progress(f"{name}, strictness {strictness:.3g}", 0),
            )
            found = {budget: calibrator.to(budget).chosen for budget in BUDGETS}
        return {budget: trial.strictness if trial else STRICTEST for budget, trial in found.items()}


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
