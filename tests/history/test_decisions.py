"""Decisions of people are in the history where they took effect: years later it gives the alerts the stream gave."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from models.norms import DELAY
from streams.flow.events import decode_block
from streams.flow.topics import ACTOR_LOG
from streams.history.archive import Archive
from streams.history.archive_files import ArchiveError
from streams.history.archive_order import at_beginning
from streams.history.archive_replay import Replay
from streams.history.detection import detect_partitions
from streams.history.pipeline import MemoryRecord
from tests.law_harness import WATCHFUL, Run
from tests.senders import Sent, carriers, seeded, with_decisions

SEEDS = st.integers(0, 2**32)
HOUR = 3_600_000


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
