"""The detect stage alone, over labelled touches: what it would have alerted, at any strictness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from detectors import DETECTORS
from detectors.base import Detector
from streams.detect.scoring import ModelSource
from streams.detect.stage import DetectStage
from streams.flow.events import RELATE_SOURCE, START, Block, encode_block, source_id
from streams.flow.topics import ACTOR_LOG, ALERTS
from streams.history.pipeline import MemoryRecord, MemoryStore


def detect(
    blocks: Iterable[bytes],
    *,
    strictness: float = 1.0,
    detectors: tuple[Detector[Any], ...] = DETECTORS,
) -> Iterator[bytes]:
    """Run the detect stage over blocks as `streams.history.touches` gives them, in one partition.

    Args:
        blocks: encoded; the last one says that nothing more comes.
        strictness: factor on every limit of the detectors, from the beginning.
        detectors: the catalogue.

    Yields:
        Every message of every alert, as the alerts topic would hold it, in the order of the log.
    """
    return detect_partitions(([block] for block in blocks), 1, strictness=strictness, detectors=detectors)


def detect_partitions(
    rounds: Iterable[Sequence[bytes]],
    partitions: int,
    *,
    strictness: float = 1.0,
    detectors: tuple[Detector[Any], ...] = DETECTORS,
    models: ModelSource | None = None,
) -> Iterator[bytes]:
    """Run as many detect stages as the actor log has partitions, over rounds of `streams.history.archive_replay`.

    Args:
        rounds: one encoded block a partition; the last ones say that nothing more comes.
        partitions: how many.
        strictness: factor on every limit of the detectors, where no decision says another.
        detectors: the catalogue.
        models: where models come from that decisions name.

    Yields:
        Every message of every alert, as the alerts topic would hold it; those of a partition in the order of the log.
    """
    stages = [
        DetectStage(p, partitions, MemoryStore(), detectors, strictness, models) for p in range(partitions)
    ]
    offsets = [0] * partitions
    # Rows come as from the first relate partition.
    others = [encode_block(Block(source_id(RELATE_SOURCE, p), START, -1, True)) for p in range(1, partitions)]
    for blocks in chain(([block] * partitions for block in others), rounds):
        inbox = [[block] for block in blocks]
        while any(inbox):
            # What finished days teach goes through the log to all stages.
            lessons: list[list[bytes]] = [[] for _ in stages]
            for p, values in enumerate(inbox):
                if not values:
                    continue
                stages[p].take(
                    [MemoryRecord(n, 0, None, value) for n, value in enumerate(values, offsets[p])]
                )
                offsets[p] += len(values)
                out, stages[p].out = stages[p].out, []
                for sent in out:
                    if sent.topic == ALERTS:
                        yield sent.value
                    elif sent.topic == ACTOR_LOG and sent.partition is not None:
                        lessons[sent.partition].append(sent.value)
            inbox = lessons
