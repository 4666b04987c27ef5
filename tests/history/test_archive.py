"""Every touch and decision is in the history once, whatever was sent twice and wherever the writer died."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain, cycle, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detect.controls import SUPPRESS, VERDICT
from streams.flow.events import DETECT_SOURCE, Block, Explained, decode_block, encode_block, source_id
from streams.history import archive_files
from streams.history.archive import Archive, Flushed
from streams.history.archive_files import MANIFEST, ArchiveError, Gap, load_manifest
from streams.history.archive_reader import contents, read
from tests.archives import (
    PARTITIONS,
    Crash,
    Log,
    actor_log,
    archived,
    archived_decisions,
    block,
    deciding,
    dying,
    keys_on_disk,
    local_day,
    touch,
    wanted,
    wanted_decisions,
)
from tests.senders import DAY, MONDAY

SEEDS = (0, 3, 10)
#: More steps than a flush of these logs takes.
STEPS = 90


def drive(root: Path, log: Log, sizes: Iterator[int], crashes: Iterator[int | None], days: int) -> int:
    """Archive a log, dying at each of `crashes`; gives how many times it did. Never is a row on disk twice."""
    deaths = 0
    while True:
        try:
            with dying(next(crashes)):
                archive = Archive(root, PARTITIONS)
                while any(archive.next(p) < len(values) for p, values in log.items()):
                    for p, values in log.items():
                        begin = archive.next(p)
                        for offset, value in enumerate(values[begin : begin + next(sizes)], begin):
                            archive.add(p, offset, decode_block(value))
                    archive.flush()
                    archive.expire(days)
                return deaths
        except Crash:
            deaths += 1
            keys = keys_on_disk(root)
            assert len(keys) == len(set(keys)), "a reader of the folder sees a row twice"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_relate_sends_twice_is_archived_once(seed: int, tmp_path: Path) -> None:
    log = actor_log(seed)
    archive = Archive(tmp_path, PARTITIONS)
    for partition, values in log.items():
        for offset, value in enumerate(values):
            archive.add(partition, offset, decode_block(value))
    archive.flush()
    sent = [row for values in log.values() for value in values for row in decode_block(value).touches]
    assert len(sent) > len(wanted(log)), "this log has nothing twice: choose another"
    assert archive.duplicates >= len(sent) - len(wanted(log))
    assert archived(tmp_path) == wanted(log)
    assert archived_decisions(tmp_path) == wanted_decisions(log)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    crashes=st.lists(st.integers(0, STEPS), max_size=8),
)
def test_a_crash_at_any_step_loses_and_doubles_nothing(
    seed: int, sizes: list[int], crashes: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        drive(Path(folder), actor_log(seed), cycle(sizes), chain(crashes, repeat(None)), 10_000)
        assert archived(Path(folder)) == wanted(actor_log(seed))
        assert archived_decisions(Path(folder)) == wanted_decisions(actor_log(seed)) != []


def test_a_flush_may_die_at_each_of_its_steps(tmp_path: Path) -> None:
    """Every step in turn, and again while what the last death left is removed."""
    log: Log = {}
    for p in range(2):
        rows = [touch(n, src=p, time=MONDAY + n * DAY) for n in (1, 2)]
        late = Explained(3, p, 2, 0, 0, (p, 1, 0), MONDAY + DAY, 3)
        blocks = (*(block(row) for row in (rows[0], rows[1], late)), deciding(0, SUPPRESS, VERDICT))
        log[p] = [encode_block(one) for one in blocks]
    for step in range(10_000):
        root = tmp_path / str(step)
        deaths = drive(root, log, cycle([2]), chain([step, step % 3], repeat(None)), 10_000)
        assert archived(root) == wanted(log), f"step {step}"
        assert archived_decisions(root) == wanted_decisions(log), f"step {step}"
        if not deaths:
            break
    assert step > 30, "the flushes have fewer steps than they have files and folders"


@settings(max_examples=10, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    days=st.integers(1, 5),
    sizes=st.lists(st.integers(5, 60), min_size=1, max_size=3),
    crashes=st.lists(st.integers(0, STEPS), max_size=8),
)
def test_a_crash_during_retention_takes_no_more_and_no_less_than_the_old_days(
    seed: int, days: int, sizes: list[int], crashes: list[int]
) -> None:
    rows = wanted(actor_log(seed))
    oldest = max(map(local_day, rows.values())) - timedelta(days=days)
    with TemporaryDirectory() as folder:
        drive(Path(folder), actor_log(seed), cycle(sizes), chain(crashes, repeat(None)), days)
        Archive(Path(folder)).expire(days)
        found = archived(Path(folder))
        assert found == {key: row for key, row in rows.items() if local_day(row) >= oldest}
        assert len(found) < len(rows) == len(wanted(actor_log(seed)))


def test_progress_without_rows_is_kept_and_nothing_new_writes_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(0, 0, Block(source_id(DETECT_SOURCE, 0), (5, -1, -1, -1), 5, False))
    assert archive.flush() == Flushed()
    before = os.stat(tmp_path / MANIFEST).st_ino
    assert archive.flush() == Flushed()
    assert os.stat(tmp_path / MANIFEST).st_ino == before
    assert Archive(tmp_path).next(0) == 1


def test_the_same_offset_again_is_left_out(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for offset in (0, 0, 1):
        archive.add(0, offset, block(touch(offset + 1)))
    archive.flush()
    archive.add(0, 1, block(touch(7)))
    archive.flush()
    assert [row.off for row in archived(tmp_path).values()] == [1, 2]


def test_each_upstream_has_a_mark_of_its_own(tmp_path: Path) -> None:
    """The same order times from two relate partitions are different rows."""
    archive = Archive(tmp_path)
    archive.add(0, 0, block(touch(5), source=0))
    archive.add(0, 1, block(touch(4), source=1))
    archive.add(1, 0, block(touch(3), source=0))
    archive.flush()
    assert {row.off for row in archived(tmp_path).values()} == {3, 4, 5}


def test_the_newest_day_decides_what_is_too_old_not_the_clock(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for number, days in enumerate((0, 1, 2, 3)):
        archive.add(0, number, block(touch(number + 1, time=MONDAY + days * DAY)))
    archive.flush()
    removed = archive.expire(2)
    assert [(one.day, one.rows) for one in removed] == [(date(2026, 3, 2), 1)]
    assert archive.expire(2) == []
    assert not list(tmp_path.glob("touches/*/day=2026-03-02"))
    assert [one.day.day for one in contents(tmp_path)] == [3, 4, 5]
    assert len(read(tmp_path)) == 3


def test_what_kafka_no_longer_had_is_kept_as_a_gap(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert not archive.skip_to(0, 5), "a history that begins lacks nothing"
    archive.add(0, 5, block(touch(1)))
    archive.flush()
    assert archive.skip_to(0, 9)
    archive.flush()
    manifest = load_manifest(tmp_path)
    assert manifest is not None
    assert manifest.gaps == [Gap(0, 6, 9)]
    assert Archive(tmp_path).next(0) == 9


@pytest.mark.parametrize("step", range(5))
def test_a_full_disk_is_named_with_the_remedy_and_loses_nothing(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path)
    archive.flush()
    archive.add(0, 0, block(touch(1)))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archive_files.os, ("fsync", "replace", "mkdir", "open", "fsync")[step], full)
        with pytest.raises(ArchiveError, match=r"No space left on device; make room .* nothing is lost"):
            archive.flush()
    with pytest.raises(ArchiveError, match="open it anew"):
        archive.flush()
    again = Archive(tmp_path)
    assert again.next(0) == 0
    again.add(0, 0, block(touch(1)))
    again.flush()
    assert len(archived(tmp_path)) == 1
