"""The detect stage alone, over labelled touches: what it would have alerted, at any strictness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from detectors import DETECTORS
from detectors.base import Detector
from streams.detect.stage import DetectStage
from streams.flow.events import DETECT_SOURCE, RELATE_SOURCE, START, Block, encode_block
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
    stage = DetectStage(0, 1, MemoryStore(), detectors, strictness)
    silent = [source for source in stage.merge.sources if source >> 16 not in (RELATE_SOURCE, DETECT_SOURCE)]
    offset = 0
    for values in chain(
        [[encode_block(Block(source, START, -1, True)) for source in silent]], ([block] for block in blocks)
    ):
        inbox = values
        while inbox:
            stage.take([MemoryRecord(n, 0, None, value) for n, value in enumerate(inbox, offset)])
            offset += len(inbox)
            out, stage.out = stage.out, []
            # What finished days teach goes through the log to the stage itself.
            inbox = [sent.value for sent in out if sent.topic == ACTOR_LOG]
            yield from (sent.value for sent in out if sent.topic == ALERTS)
