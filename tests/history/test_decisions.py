"""Decisions of people are in the history where they took effect: years later it gives the alerts the stream gave."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from models.features import DAY_FEATURES, DAY_KIND, HOUR_FEATURES, HOUR_KIND
from models.model import ModelPair
from models.norms import DELAY
from models.training import fit_unsupervised
from streams.detect.controls import STRICTNESS, SUPPRESS, WATCH
from streams.flow.events import (
    CONTROL_SOURCE,
    DETECT_SOURCE,
    RELATE_SOURCE,
    Block,
    Control,
    decode_block,
    source_id,
)
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, CONTROL
from streams.history.archive import Archive
from streams.history.archive_files import MANIFEST, TOUCHES, ArchiveError
from streams.history.archive_order import at_beginning
from streams.history.archive_reader import contents
from streams.history.archive_replay import Replay
from streams.history.detection import detect_partitions
from streams.history.pipeline import MemoryRecord, Pipeline
from tests.archives import archived, archived_decisions, block, deciding, touch
from tests.law_harness import RING, WATCHFUL, Run
from tests.senders import (
    DAY,
    HOUR,
    MONDAY,
    SECOND,
    Sent,
    access,
    carriers,
    decision,
    seeded,
    with_decisions,
)

SEEDS = st.integers(0, 2**32)
SHA = "a" * 64


def archive(root: Path, logs: list[Iterable[MemoryRecord]]) -> None:
    """Archive an actor log, a flush for every few blocks, each by a writer that knows no more than the folder says."""
    for partition, records in enumerate(logs):
        for number, record in enumerate(records):
            if not number % 20:
                writer = Archive(root, len(logs))
            writer.add(partition, record.offset, decode_block(record.value or b""))
            if number % 20 == 19:
                writer.flush()
        writer.flush()


def replayed(root: Path, **chosen: bool) -> list[bytes]:
    """What the history alerts."""
    replay = Replay(root, **chosen)
    return sorted(detect_partitions(replay.rounds(), replay.partitions, detectors=WATCHFUL))


def lesson_came_late(logs: list[Iterable[MemoryRecord]]) -> bool:
    """Whether what a day taught came after the time at which it should have taken effect.

    That is so when the log of a silent partition jumps more than a day in one block; the history does not know it.
    """
    for records in logs:
        progress = at_beginning(len(logs))
        for record in records:
            block = decode_block(record.value or b"")
            if any((row.st + DELAY) // HOUR < progress.bound // HOUR for row in block.norms):
                return True
            progress.follow(record.offset, block)
    return False


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    carriers() | st.builds(seeded, SEEDS, st.integers(50, 200)), st.integers(1, 3), SEEDS, st.integers(0, 6)
)
def test_a_history_with_decisions_gives_the_alerts_the_stream_gave(
    sent: list[Sent], partitions: int, seed: int, crashes: int
) -> None:
    """However partitions fell idle, resumed late and crashed."""
    live = Run.live(with_decisions(sent, seed), partitions, random.Random(seed), crashes)
    logs: list[Iterable[MemoryRecord]] = [live.logs[ACTOR_LOG, p] for p in range(partitions)]
    assume(not lesson_came_late(logs))
    with TemporaryDirectory() as folder:
        archive(Path(folder), logs)
        try:
            again = replayed(Path(folder))
        except ArchiveError:
            assert not live.alerts, "what alerts has touches"
            return
    assert again == sorted(live.alerts.values())


@pytest.mark.parametrize("seed", range(2))
def test_without_decisions_the_same_history_alerts_otherwise(seed: int, tmp_path: Path) -> None:
    live = Run.live(with_decisions(seeded(seed, 300), seed), 3, random.Random(seed), crashes=3)
    archive(tmp_path, [live.logs[ACTOR_LOG, p] for p in range(3)])
    told = sorted(live.alerts.values())
    assert replayed(tmp_path) == told
    bare = replayed(tmp_path, decided=False)
    assert bare != told
    assert any(b'"Suppressed"' in alert for alert in told)
    assert not any(b'"Suppressed"' in alert for alert in bare)


def test_every_field_of_a_decision_comes_back(tmp_path: Path) -> None:
    writer = Archive(tmp_path)
    more = {"detector": "bulk_read", "alert": "uid", "value": "on", "until": MONDAY + DAY}
    for offset, said in enumerate((speaking(MONDAY + DAY, DETECT_SOURCE), speaking(MONDAY))):
        writer.add(0, offset, said)
    writer.add(0, 2, deciding(5, SUPPRESS, **more))
    writer.flush()
    [found] = archived_decisions(tmp_path)
    source = source_id(CONTROL_SOURCE, 0)
    assert found.partition == 0
    assert found.row == Control(
        MONDAY, source, 5, 0, MONDAY, SUPPRESS, "vnx", "k1.a", "bulk_read", "uid", "on", MONDAY + DAY
    )


def speaking(clock: int, kind: int = RELATE_SOURCE, partition: int = 0) -> Block:
    """A stage says how far it has come."""
    return Block(source_id(kind, partition), (clock, -1, -1, -1), clock, False)


def history(root: Path, days: int = 3) -> None:
    """Nine o'clock of some days: a person's touch, then strictness, each day another one."""
    writer = Archive(root)
    writer.add(0, 0, Block(source_id(DETECT_SOURCE, 0), (0, -1, -1, -1), 1 << 61, False))
    for n in range(days):
        row = touch(n, time=MONDAY + n * DAY)
        row.st = row.time
        writer.add(0, 2 * n + 1, block(row))
        writer.add(0, 2 * n + 2, deciding(n, STRICTNESS, value=str(n + 1), actor=""))
    writer.flush()


def test_a_decision_lies_by_the_day_it_took_effect_and_goes_with_the_touches_of_that_day(
    tmp_path: Path,
) -> None:
    history(tmp_path, 5)
    days = sorted(path.name for path in tmp_path.glob("decisions/carrier=vnx/*"))
    assert days == [f"day=2026-03-0{n}" for n in range(2, 7)]
    Archive(tmp_path).expire(1)
    assert [one.row.value for one in archived_decisions(tmp_path)] == ["3", "4", "5"]
    assert {one.day.day for one in contents(tmp_path) if one.kind == TOUCHES} == {5, 6}


def test_what_is_decided_before_the_first_row_does_not_expire_as_of_1970(tmp_path: Path) -> None:
    writer = Archive(tmp_path)
    writer.add(0, 0, deciding(0, STRICTNESS, value="2"))
    row = touch(1)
    row.st = row.time
    writer.add(0, 1, block(row))
    writer.flush()
    assert writer.expire(400) == []
    assert [one.row.st for one in archived_decisions(tmp_path)] == [0]


def test_what_was_decided_before_the_days_chosen_is_still_in_force_and_what_came_after_is_not(
    tmp_path: Path,
) -> None:
    history(tmp_path, 5)
    chosen = Replay(tmp_path, since=date(2026, 3, 4), until=date(2026, 3, 5))
    values = [row.value for blocks in chosen.rounds() for one in blocks for row in decode_block(one).controls]
    assert values == ["1", "2", "3"]
    assert chosen.decisions == 3


def test_only_decisions_of_the_carriers_chosen_take_effect(tmp_path: Path) -> None:
    history(tmp_path)
    writer = Archive(tmp_path)
    writer.add(0, writer.next(0), deciding(9, STRICTNESS, value="7", carrier="other"))
    writer.flush()
    chosen = Replay(tmp_path, ["vnx"])
    values = [row.value for blocks in chosen.rounds() for one in blocks for row in decode_block(one).controls]
    assert values == ["1", "2", "3"]


def test_a_history_that_begins_midway_knows_where_a_decision_stands_once_relate_has_spoken(
    tmp_path: Path,
) -> None:
    writer = Archive(tmp_path, 2)
    writer.skip_to(0, 70)
    blocks = [speaking(MONDAY), deciding(0, WATCH), speaking(MONDAY + 5, partition=1), deciding(1, WATCH)]
    for offset, one in enumerate(blocks, 70):
        writer.add(0, offset, one)
    writer.flush()
    assert [one.row.st for one in archived_decisions(tmp_path)] == [0, MONDAY]


def test_a_history_of_the_layout_before_decisions_is_read_and_goes_on(tmp_path: Path) -> None:
    history(tmp_path)
    shutil.rmtree(tmp_path / "decisions")
    was = json.loads((tmp_path / MANIFEST).read_bytes())
    source = str(source_id(RELATE_SOURCE, 0))
    through = {
        "0": {"next": 7, "through": {source: [MONDAY + 2 * DAY, -1, -1, -1], "262144": [0, 262144, 2, 99]}}
    }
    content = [one[:6] for one in was["content"] if one[0] != "decisions"]
    old = {"version": 1, "partitions": through, "content": content, "gaps": []}
    (tmp_path / MANIFEST).write_text(json.dumps(old))
    assert len(archived(tmp_path)) == 3
    assert Replay(tmp_path).partitions == 1
    writer = Archive(tmp_path)
    assert writer.next(0) == 7
    writer.add(0, 7, deciding(3, STRICTNESS, value="4"))
    row = touch(9, time=MONDAY + 3 * DAY)
    row.st = row.time
    writer.add(0, 8, block(row))
    writer.flush()
    assert [(one.row.value, one.row.st) for one in archived_decisions(tmp_path)] == [("4", MONDAY + 2 * DAY)]
    assert len(archived(tmp_path)) == 4
    assert list(Replay(tmp_path).rounds())


def test_a_touch_that_stands_days_before_its_own_day_is_read_in_its_place(tmp_path: Path) -> None:
    """A partition's first event after a long silence stands where the partition had come."""
    early, late, silent = touch(1), touch(2, time=MONDAY + 4 * DAY), touch(3, time=MONDAY + 5 * DAY)
    early.st, late.st, silent.st = MONDAY + 2 * DAY, MONDAY + 4 * DAY, MONDAY + DAY
    writer = Archive(tmp_path)
    for offset, (row, source) in enumerate(((early, 0), (late, 0), (silent, 1))):
        writer.add(0, offset, block(row, source=source))
    writer.flush()
    found = [
        t.off for blocks in Replay(tmp_path).rounds() for one in blocks for t in decode_block(one).touches
    ]
    assert found == [3, 1, 2]


def test_models_that_were_switched_on_score_as_they_did(tmp_path: Path) -> None:
    pair = ModelPair(*(
        fit_unsupervised(np.log1p(np.random.default_rng(1).poisson(1.0, (400, len(names)))), kind)
        for kind, names in ((HOUR_KIND, HOUR_FEATURES), (DAY_KIND, DAY_FEATURES))
    ))  # fmt: skip
    shelf = Shelf(pair)
    pipeline = Pipeline(
        RING, partitions=2, arrived=lambda: MONDAY + 9 * DAY, detectors=(), models=shelf, keep_logs=True
    )
    pipeline.feed(CONTROL, [decision(MONDAY, "model", value="active:" + SHA)])
    pipeline.feed(ACCESS_EVENTS, [
        access(MONDAY + 9 * HOUR + n * SECOND, "p1", "view", [f"P{n}"]) for n in (*range(900), 9_000)
    ])  # fmt: skip
    pipeline.finish()
    archive(tmp_path, [pipeline.logs[ACTOR_LOG, p] for p in range(2)])
    replay = Replay(tmp_path)
    again = list(detect_partitions(replay.rounds(), 2, detectors=(), models=shelf))
    assert sorted(again) == sorted(record.value or b"" for record in pipeline.alerts)
    assert {json.loads(alert)["finding_info"]["analytic"]["name"] for alert in again} >= {"model"}


class Shelf:
    """One model."""

    def __init__(self, pair: ModelPair) -> None:
        self._pair = pair

    def get(self, sha: str) -> ModelPair | None:
        return self._pair if sha == SHA else None
