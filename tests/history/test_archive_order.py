"""The history stands where the detect stage stands: at the beginning, and at every block of the log."""

from __future__ import annotations

import random

import msgspec
import pytest

from detectors.base import Person
from streams.detect.controls import WATCH
from streams.detect.stage import DetectStage
from streams.flow.events import DETECT_SOURCE, RELATE_SOURCE, START, Block, decode_block, source_id
from streams.flow.topics import ACTOR_LOG
from streams.history.archive_order import Progress, at_beginning
from streams.history.pipeline import MemoryStore
from tests.archives import deciding, touch
from tests.law_harness import Run
from tests.senders import seeded, with_decisions


def test_the_history_begins_where_the_detect_stage_begins() -> None:
    assert at_beginning(3).sources.keys() == DetectStage(1, 3, MemoryStore()).merge.sources.keys()


def as_far(log: list[bytes], partitions: int) -> None:
    """Progress comes as far as a merge does, though it is written down and read again between any two blocks."""
    merge, written = (
        DetectStage(0, partitions, MemoryStore()).merge,
        msgspec.json.encode(at_beginning(partitions)),
    )
    for offset, value in enumerate(log):
        merge.ingest(offset, decode_block(value))
        merge.release()
        progress = msgspec.json.decode(written, type=Progress)
        progress.follow(offset, decode_block(value))
        written = msgspec.json.encode(progress)
        assert (progress.next, progress.bound) == (merge.next, merge.bound)


@pytest.mark.parametrize("seed", range(2))
def test_the_history_comes_as_far_as_the_merge_at_every_block(seed: int) -> None:
    live = Run.live(with_decisions(seeded(seed, 150), seed), 2, random.Random(seed), crashes=3)
    as_far([record.value or b"" for record in live.logs[ACTOR_LOG, 0]], 2)


def test_a_row_that_came_late_takes_the_history_as_far_as_the_merge_once_all_is_silent() -> None:
    silence = Block(source_id(RELATE_SOURCE, 0), (100, -1, -1, -1), 100, True)
    late = Block(silence.source, (100, 9, 9, 9), 100, False, [Person("k1.a", "vnx")], [touch(100)])
    detect = Block(source_id(DETECT_SOURCE, 0), START, 1 << 61, False)
    blocks = [detect, silence, deciding(0, WATCH), late, silence]
    as_far([msgspec.msgpack.encode(one) for one in blocks], 1)
