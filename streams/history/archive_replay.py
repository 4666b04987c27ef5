"""A history as the detect stages had it: every partition's rows and decisions, each where it stood.

A decision for a whole carrier reaches each partition of the actor log at an order time of its own. So that it takes
effect for everybody where it did, there are as many stages as the log has partitions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from streams.flow.events import Control
from streams.history.archive_columns import Decision, decisions, late_reasons, touches
from streams.history.archive_reader import beginnings, opened, read_decisions, scan_apart
from streams.history.touches import ROWS, LabelledRow, block, ending, in_order, nothing_in
from streams.relate.parcels import person_hash


class Replay:
    """The touches of a history, the reasons that came later and what people decided.

    Decisions from before the first day chosen are among them, since what is in force stays so.

    Args:
        root: the history's folder.
        carriers: whose; all by default.
        since, until: first and last local day, both included; by default all there are.
        decided: whether decisions take effect.
        progress: called with the rows (touches and late reasons) of each day read.

    Attributes:
        partitions: of the actor log.
        decisions: decisions that have taken effect so far.

    Raises:
        ArchiveError: there is no history, or files of it are missing or damaged.
    """

    def __init__(
        self,
        root: Path,
        carriers: Collection[str] | None = None,
        since: date | None = None,
        until: date | None = None,
        *,
        decided: bool = True,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._root = root
        self._carriers = carriers
        self._since, self._until = since, until
        self._progress = progress
        self._manifest = opened(root)
        self._last: date | None = None
        self._homes: dict[str, int] = {}
        self.partitions = max(self._manifest.partitions, default=0) + 1
        found = read_decisions(root, self._manifest, carriers) if decided else None
        self._decisions = _by_partition(self.partitions, found)
        self._taken: set[tuple[int, int]] = set()

    @property
    def decisions(self) -> int:
        """How many, not counting one again for each partition."""
        return len(self._taken)

    def rounds(self) -> Iterator[list[bytes]]:
        """The log in encoded blocks, one for each partition at a time; once only.

        Memory holds a day or two of it. The last round says how far each partition had come, so that what time alone
        made ripe after the last touch is decided as it was; when only days up to `until` are read, time ends with
        their last row.

        Raises:
            ArchiveError: there is no touch in what was chosen, or files are missing or damaged.
        """
        reached = 0
        begins = beginnings(self._manifest, self._carriers, self._since, self._until)
        for rows in in_order(self._days(), begins):
            for start in range(0, len(rows), ROWS):
                chunk = rows[start : start + ROWS]
                reached = chunk[-1].st
                yield self._round(chunk, [reached] * self.partitions)
        if self._last is None:
            raise nothing_in(self._root)
        ends = [reached] * self.partitions
        if self._until is None or self._until > self._last:
            for partition, progress in self._manifest.partitions.items():
                left = self._decisions[partition]
                ends[partition] = max(reached, progress.end, left[-1].st if left else 0)
        yield self._round([], ends)
        yield [ending(clock) for clock in ends]

    def _days(self) -> Iterator[tuple[date, list[LabelledRow]]]:
        found = scan_apart(self._root, self._carriers, self._since, self._until, self._manifest)
        for self._last, table, late in found:
            yield self._last, [*touches(table), *late_reasons(late)]
            self._progress(len(table) + len(late))

    def _round(self, rows: Sequence[LabelledRow], clocks: list[int]) -> list[bytes]:
        parts: list[list[LabelledRow]] = [[] for _ in clocks]
        for row in rows:
            parts[self._home(row.who.token)].append(row)
        due = [list(self._due(partition, clock)) for partition, clock in enumerate(clocks)]
        return [block(*one) for one in zip(parts, clocks, due, strict=True)]

    def _home(self, token: str) -> int:
        """The partition in which relate put a person."""
        home = self._homes.get(token)
        if home is None:
            home = self._homes[token] = person_hash(token) % self.partitions
        return home

    def _due(self, partition: int, clock: int) -> Iterator[Control]:
        left = self._decisions[partition]
        while left and left[0].st <= clock:
            row = left.popleft()
            self._taken.add((row.src, row.off))
            yield row


def _by_partition(partitions: int, table: pa.Table | None) -> list[deque[Control]]:
    found: list[deque[Control]] = [deque() for _ in range(partitions)]
    one: Decision
    for one in decisions(table) if table is not None else ():
        found[one.partition].append(one.row)
    return found
