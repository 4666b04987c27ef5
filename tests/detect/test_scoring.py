"""Models in the stream: in force from a record of the log on, heard at the end of an hour, missed without harm."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.features import DAY_FEATURES, DAY_KIND, HOUR_FEATURES, HOUR_KIND
from models.model import ModelPair
from models.registry import Registry
from models.training import fit_unsupervised
from streams.detect.library import ModelLibrary
from streams.detect.stage import DetectStage
from streams.flow.topics import ACCESS_EVENTS, CONTROL
from streams.history.pipeline import Pipeline
from tests.law_harness import RING
from tests.senders import DAY, HOUR, MINUTE, MONDAY, SECOND, access, decision

SHA = "a" * 64
NINE = MONDAY + 2 * HOUR


@pytest.fixture(scope="module")
def quiet_lives() -> ModelPair:
    """A model to which anything beyond a handful of parcels an hour is unheard of."""
    rng = np.random.default_rng(1)
    return ModelPair(
        *(
            fit_unsupervised(np.log1p(rng.poisson(1.0, (400, len(names)))), kind)
            for kind, names in ((HOUR_KIND, HOUR_FEATURES), (DAY_KIND, DAY_FEATURES))
        )
    )


class Shelf:
    """Models at hand."""

    def __init__(self, pair: ModelPair | None) -> None:
        self._pair = pair

    def get(self, sha: str) -> ModelPair | None:
        assert sha == SHA
        return self._pair


class Office:
    """One person who works a little, then reads a lot, with a model in force or not."""

    def __init__(self, pair: ModelPair | None, mode: str = "") -> None:
        self._now = NINE
        self.pipeline = Pipeline(
            RING, partitions=1, arrived=lambda: self._now, detectors=(), models=Shelf(pair), batch=7
        )
        self.pipeline.finish()
        if mode:
            self.send(CONTROL, decision(NINE, "model", value=mode))

    @property
    def stage(self) -> DetectStage:
        stage = self.pipeline.stages["actor-log", 0]
        assert isinstance(stage, DetectStage)
        return stage

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in self.pipeline.alerts]

    def send(self, topic: str, *values: bytes) -> None:
        self.pipeline.feed(topic, values)
        self.pipeline.finish()

    def read(self, at: int, parcels: int, actor: str = "p1") -> None:
        """That many parcels, a second each from `at` (ms) on."""
        self._now = at + parcels * SECOND
        self.send(
            ACCESS_EVENTS,
            *(
                access(at + n * SECOND, actor, parcels=[f"{actor}-{at}-{n}"], id=f"{at}-{n}")
                for n in range(parcels)
            ),
        )


def test_an_active_model_is_heard_when_the_hour_is_over(quiet_lives: ModelPair) -> None:
    office = Office(quiet_lives, f"active:{SHA}")
    office.read(NINE + MINUTE, 500)
    assert office.alerts == []
    office.read(NINE + HOUR, 1)
    alert = office.alerts[0]
    assert alert["finding_info"]["analytic"]["name"] == "model"
    assert alert["finding_info"]["analytic"]["version"].endswith(f"+{SHA[:12]}")
    assert "parcels" in alert["message"]


def test_a_model_in_shadow_scores_and_alerts_nobody(quiet_lives: ModelPair) -> None:
    office = Office(quiet_lives, f"shadow:{SHA}")
    office.read(NINE + MINUTE, 500)
    office.read(NINE + HOUR, 1)
    assert office.stage.scoring.take_counts("shadow") == (1, 1)
    assert office.alerts == []


def test_nobody_has_a_diary_where_no_model_is_in_force(quiet_lives: ModelPair) -> None:
    office = Office(quiet_lives)
    office.read(NINE + MINUTE, 10)
    office.pipeline.checkpoint()
    assert [actor.diary for _, actor in office.stage.states.stored()] == [None]


def test_a_missing_model_is_missed_and_nothing_else(quiet_lives: ModelPair) -> None:
    office = Office(None, f"active:{SHA}")
    office.read(NINE + MINUTE, 500)
    office.read(NINE + HOUR, 1)
    assert office.alerts == []
    assert office.pipeline.counts()[ACCESS_EVENTS]["admitted"] == 501


def test_off_takes_the_say_away(quiet_lives: ModelPair) -> None:
    office = Office(quiet_lives, f"active:{SHA}")
    office.send(CONTROL, decision(NINE, "model", value="off"))
    office.read(NINE + MINUTE, 500)
    office.read(NINE + HOUR, 1)
    assert office.alerts == []


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_at_any_moment_changes_nothing_a_model_says(quiet_lives: ModelPair, seed: int) -> None:
    """Open hours are found again in what was stored."""
    plain, broken = (Office(quiet_lives, f"active:{SHA}") for _ in range(2))
    rng = random.Random(seed)
    for number in range(12):
        at, parcels = NINE + number * 20 * MINUTE, 700 if number in (2, 7) else rng.choice((1, 3, 30))
        for office in (plain, broken):
            office.read(at, parcels, f"p{number % 2}")
        if rng.random() < 0.5:
            broken.pipeline.checkpoint()
            broken.pipeline.stages["actor-log", 0] = broken.pipeline.make("actor-log", 0)
    for office in (plain, broken):
        office.read(NINE + DAY, 1)
    assert plain.alerts == broken.alerts != []


def test_a_library_that_lacks_a_model_says_so_and_finds_it_once_it_is_there(
    quiet_lives: ModelPair, tmp_path: Any
) -> None:
    library = ModelLibrary(tmp_path)
    sha = Registry(tmp_path / "elsewhere").save(quiet_lives, "2026-11-24T00:00:00Z").sha256
    assert library.get(sha) is None
    assert "there is no" in library.problems[sha]
    (tmp_path / f"{sha}.skops").write_bytes(b"not a model")
    assert library.get(sha) is None
    assert "damaged" in library.problems[sha]
    (tmp_path / f"{sha}.skops").write_bytes((tmp_path / "elsewhere" / f"{sha}.skops").read_bytes())
    assert library.get(sha) is not None
    assert library.problems == {}


def test_scikit_learn_is_imported_where_asked_for_and_never_by_a_decision_on_a_model_that_is_missing(
    tmp_path: Path,
) -> None:
    """It takes seconds on a busy machine, longer than the group waits for a worker that is away."""
    code = (
        "import sys; from pathlib import Path; from streams.detect.library import ModelLibrary\n"
        f"root = Path({str(tmp_path)!r}); library = ModelLibrary(root); seen = []\n"
        "def note(_): seen.append('sklearn' in sys.modules)\n"
        "note(library.get('0' * 64)); note(library.prepare())\n"
        "(root / 'some.skops').touch(); note(library.prepare()); print(seen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[False, False, True]"
