"""Actor logs to be archived, what must come of them, and processes that die at any step of writing."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq

from detectors.base import Person, Touch
from streams.detect.stage import DetectStage
from streams.flow.events import (
    CONTROL_SOURCE,
    LAST,
    RELATE_SOURCE,
    Block,
    Control,
    Explained,
    decode_block,
    source_id,
)
from streams.flow.topics import ACTOR_LOG
from streams.history.archive_columns import KEY, Decision, decisions, touches
from streams.history.archive_reader import opened, read, read_decisions
from streams.history.pipeline import MemoryStore
from tests.law_harness import Run
from tests.senders import MONDAY, seeded, with_decisions

PARTITIONS = 2
Log = dict[int, list[bytes]]
Key = tuple[int, int, int]


@lru_cache
def actor_log(seed: int) -> Log:
    """What relate and admit wrote, dying many times: rows and decisions come twice, in other blocks."""
    run = Run(with_decisions(seeded(seed, 150), seed), PARTITIONS).finish(rng=random.Random(seed), crashes=25)
    return {p: [record.value or b"" for record in run.logs[ACTOR_LOG, p]] for p in range(PARTITIONS)}


def merged(log: Log) -> Iterator[tuple[int, Block]]:
    """The blocks of a log with their partition; rows have their `Person`, and their order time as detect has it."""
    for partition, values in log.items():
        merge = DetectStage(partition, len(log), MemoryStore()).merge
        for offset, value in enumerate(values):
            block = decode_block(value)
            merge.ingest(offset, block)
            yield partition, block


def wanted(log: Log) -> dict[Key, Touch]:
    """Every touch of a log by its key, late reasons applied."""
    blocks = [block for _, block in merged(log)]
    found: dict[Key, Touch] = {}
    for block in blocks:
        for touch in block.touches:
            found.setdefault((touch.src, touch.off, touch.idx), touch)
    for block in blocks:
        for late in block.explained:
            found[late.touch].explanation = late.explanation
    return found


def wanted_decisions(log: Log) -> list[Decision]:
    """Every decision of a log as each partition has it, in the order of the log."""
    found: dict[Key, Decision] = {}
    for partition, block in merged(log):
        for row in block.controls:
            found.setdefault((partition, row.src, row.off), Decision(partition, row))
    return sorted(found.values(), key=_place)


def archived_decisions(root: Path) -> list[Decision]:
    """The same as the history at `root` has it."""
    return sorted(decisions(read_decisions(root, opened(root))), key=_place)


def _place(one: Decision) -> tuple[int, ...]:
    return one.row.st, one.row.src, one.row.off, one.partition


def archived(root: Path) -> dict[Key, Touch]:
    """The same as the history at `root` has it; none twice."""
    rows = list(touches(read(root)))
    found = {(touch.src, touch.off, touch.idx): touch for touch in rows}
    assert len(found) == len(rows), "a touch is in the history twice"
    return found


def local_day(touch: Touch) -> date:
    """The touch's local day."""
    return date(1970, 1, 1) + timedelta(milliseconds=touch.time + touch.tz * 60_000)


def keys_on_disk(root: Path) -> list[Any]:
    """Keys of every touch and decision in every file, as an engine that knows no manifest finds them."""
    return [
        (kind, *row.values())
        for kind, columns in (("touches", KEY), ("decisions", ("partition", *KEY)))
        for file in sorted(root.glob(f"{kind}/*/*/*.parquet"))
        for row in pq.ParquetFile(file).read(list(columns)).to_pylist()
    ]


def touch(number: int, *, src: int = 0, who: int = 0, time: int = MONDAY, **more: Any) -> Touch:
    """The touch at position (number, src, number, 0)."""
    fields = {"tz": 420, "action": 1, "parcel": f"k1.p{number}", "records": 1, "ts": time + 5} | more
    return Touch(number, src, number, 0, who, time, **fields)


def block(*rows: Touch | Explained, people: list[Person] | None = None, source: int = 0) -> Block:
    """A block of relate partition `source` that goes as far as its last row."""
    last = max(row.st for row in rows)
    return Block(
        source_id(RELATE_SOURCE, source), (last + 1, -1, -1, -1), last + 1, False, people or [Person("k1.a", "vnx")],
        [row for row in rows if isinstance(row, Touch)], [], [row for row in rows if isinstance(row, Explained)],
    )  # fmt: skip


def deciding(offset: int, *kinds: int, carrier: str = "vnx", actor: str = "k1.a", **more: Any) -> Block:
    """A block of control partition 0 with decisions, the first of them from offset `offset` of the topic."""
    source = source_id(CONTROL_SOURCE, 0)
    rows = [
        Control(0, source, offset + n, 0, MONDAY, kind, carrier, actor, *(more.get(name, "") for name in
                ("detector", "alert", "value")), more.get("until", 0))
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    return Block(source, (0, source, offset + len(kinds) - 1, LAST), 0, True, controls=rows)


class Crash(BaseException):
    """The process dies here; nothing may catch it."""


@contextmanager
def dying(step: int | None) -> Iterator[None]:
    """The process dies at a step that leaves a mark on the disk, counted from 0; a file being written is then cut."""
    left = step

    def deadly(work: Any, name: str) -> Any:
        def done(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                if name == "fsync" and os.path.isfile(f"/proc/self/fd/{arguments[0]}"):
                    os.truncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                raise Crash(name)
            if left is not None:
                left -= 1
            # A process that dies takes nothing from the disk: waiting for it would only be slow here.
            return None if name == "fsync" else work(*arguments)

        return done

    names = ("mkdir", "fsync", "replace", "unlink", "rmdir")
    fakes = {name: deadly(getattr(os, name), name) for name in names}
    with patch.multiple("streams.history.archive_files.os", **fakes):
        yield
