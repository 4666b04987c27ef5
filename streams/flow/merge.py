"""One order for many upstreams: rows leave in order of event time, whatever order their blocks arrived in.

Every upstream partition says with each block how far in order time it has come (its clock). A row is released once
every upstream that is not idle has passed it, so what a stage applies, and in which order, is a function of the log
alone: not of batching, of which upstream was faster, or of a crash in between. This is the frontier of the dataflow
systems (Akidau et al., The Dataflow Model, VLDB 2015), kept exact across restarts by remembering, for each block that
still holds unreleased rows, the little that was decided when it was first read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from detectors.base import Touch
from streams.flow.events import DETECT_SOURCE, START, Block, Context, Control, Explained, NormsRow, Position

Row = Touch | Context | Explained | Control

position = attrgetter("st", "src", "off", "idx")
_order_time = attrgetter("st")


class SourceState(msgspec.Struct, array_like=True):
    """How far one upstream has come: `through` is for dropping what it sends twice, `clock` for releasing."""

    through: Position = START
    clock: int = -1
    idle: bool = False


class Held(msgspec.Struct, array_like=True, frozen=True):
    """A block with unreleased rows, and what was decided when it was first read."""

    offset: int
    floor: int
    skip: Position


class MergeState(msgspec.Struct, array_like=True):
    """All that a merge must remember to go on exactly as it would have: the rows themselves are in the log."""

    next: int = 0
    bound: int = 0
    top: int = -1
    sources: dict[int, SourceState] = {}
    held: list[Held] = []


class Merge:
    """Merges the blocks of one keyed-log partition.

    Blocks of the stage's own partitions (DETECT_SOURCE) carry no rows to be ordered but what their people taught about
    ordinary life; they hold the merge back through their clock only, and what they taught is put `aside`.

    Args:
        expected: upstreams that must be heard (data, clock or idle) before anything is released.
        state: what `state()` returned before a restart, or None at the beginning.
    """

    def __init__(self, expected: Iterable[int], state: MergeState | None = None) -> None:
        state = state or MergeState()
        self.next = state.next
        self.bound = state.bound
        self.sources = {source: SourceState() for source in expected} | state.sources
        self.duplicates = 0
        self.aside: list[tuple[int, int, list[NormsRow]]] = []
        self._top = state.top
        self._again = {held.offset: held for held in state.held}
        self._blocks: list[tuple[Held, int]] = []
        self._rows: dict[int, list[Row]] = {}
        self._upstream = self.bound

    @property
    def frontier(self) -> int:
        """Order time before which no row is left to be applied: beyond `bound` when nothing waits there."""
        first = min((rows[0].st for rows in self._rows.values() if rows), default=self._upstream)
        return max(self.bound, min(first, self._upstream))

    @property
    def start(self) -> int:
        """The offset to read from: the first block that is not wholly released."""
        replayed = self._blocks[0][0].offset if self._blocks else self.next
        return min([replayed, *self._again])

    @property
    def pending(self) -> int:
        """Rows that wait for a slower upstream."""
        return sum(map(len, self._rows.values()))

    @property
    def idle(self) -> bool:
        """Nothing waits or is to be read again, and no upstream but the stage itself has more at present."""
        return (
            not self._blocks
            and not self._again
            and all(state.idle for source, state in self.sources.items() if source >> 16 != DETECT_SOURCE)
        )

    def ingest(self, offset: int, block: Block) -> None:
        """Take in the block that stands at `offset` of the log; offsets must come in order, without a hole."""
        again = self._again.pop(offset, None)
        if again is None and offset < self.next:
            return
        source = self.sources.setdefault(block.source, SourceState())
        held = again or Held(offset, self.bound, source.through)
        self._add(block, held, applied=self.bound if again else 0)
        if again is None:
            self.next = offset + 1
            if block.norms:
                fresh = [row for row in block.norms if position(row) > source.through]
                self.aside.append((offset, self.bound, fresh))
            source.through = max(source.through, block.through)
            source.clock = max(source.clock, block.clock)
            source.idle = block.idle
            self._advance()

    def _add(self, block: Block, held: Held, applied: int) -> None:
        people = block.people
        for touch in block.touches:
            touch.who = people[touch.who]
        for late in block.explained:
            late.who = people[late.who]
        rows = _rows_of(block)
        if not rows:
            return
        if position(rows[0]) <= held.skip:
            fresh = [row for row in rows if position(row) > held.skip]
            if not applied:
                self.duplicates += len(rows) - len(fresh)
            rows = fresh
        if rows and rows[0].st < held.floor:
            for row in rows:
                row.st = max(row.st, held.floor)
        if applied:
            rows = [row for row in rows if row.st >= applied]
        if rows:
            last = rows[-1].st
            self._top = max(self._top, last)
            self._blocks.append((held, last))
            self._rows.setdefault(block.source, []).extend(rows)

    def _advance(self) -> None:
        own = [s for source, s in self.sources.items() if source >> 16 == DETECT_SOURCE]
        upstream = [s for source, s in self.sources.items() if source >> 16 != DETECT_SOURCE]
        clocks = [s.clock for s in upstream if not s.idle]
        self._upstream = min(clocks) if clocks else max(self._top, *(s.clock for s in upstream)) + 1
        self.bound = max(self.bound, min([self._upstream, *(s.clock for s in own if not s.idle)]))

    def release(self) -> list[Row]:
        """Rows whose turn has come, in order. The caller applies all of them before the next `state()`."""
        bound = self.bound
        parts: list[list[Row]] = []
        for source, rows in self._rows.items():
            cut = bisect_left(rows, bound, key=_order_time)
            if cut:
                parts.append(rows[:cut])
                self._rows[source] = rows[cut:]
        self._blocks = [entry for entry in self._blocks if entry[1] >= bound]
        if not parts:
            return []
        if len(parts) == 1:
            return sorted(parts[0], key=position)
        # Each part is nearly a sorted run; timsort then merges at a comparison a row.
        return sorted(chain.from_iterable(parts), key=position)

    def state(self) -> MergeState:
        """What must be stored, with the applied rows' states, to continue from here."""
        held = [entry[0] for entry in self._blocks] + list(self._again.values())
        held.sort(key=lambda one: one.offset)
        return MergeState(self.next, self.bound, self._top, dict(self.sources), held)


def _rows_of(block: Block) -> list[Row]:
    kinds: tuple[list[Any], ...] = (block.touches, block.contexts, block.explained, block.controls)
    parts: list[list[Row]] = [part for part in kinds if part]
    if len(parts) == 1:
        return parts[0]
    return sorted((row for part in parts for row in part), key=position)
