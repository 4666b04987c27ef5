"""Labelled touches and decisions as Parquet by carrier and day, each once, without asking Kafka where it stood.

Blocks of the actor log go in; `flush` writes them. The folder itself says which offset comes next (its manifest), so
that rows and progress cannot part. What relate sends twice after a crash is dropped as the detect stage drops it: by
the position each upstream had come through (streams/flow/merge.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from datetime import date, timedelta
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from detectors.base import Touch
from streams.flow.events import Block, Control, Explained, Position
from streams.history.archive_columns import decision_table, late_table, touch_table
from streams.history.archive_files import (
    DECISIONS,
    EXPLAINED,
    KINDS,
    TOUCHES,
    ArchiveError,
    Content,
    DayFolder,
    Gap,
    Manifest,
    file_name,
    load_manifest,
    make_folder,
    remove_folder,
    remove_leftovers,
    save_manifest,
    sync_folder,
    write_file,
)
from streams.history.archive_order import Progress, at_beginning, midway

DAY = 86_400_000
MINUTE = 60_000
#: Before its first row the merge stands at 0 or a few days on (ms). What is decided then lies by the day it was made:
#: days of 1970 would expire at once.
BEGUN = 365 * DAY
_EPOCH = date(1970, 1, 1)

_position = attrgetter("st", "src", "off", "idx")
_Row = TypeVar("_Row", Touch, Explained, Control)
_T = TypeVar("_T")


class Flushed(NamedTuple):
    """What a flush wrote: number of files, rows (touches, late reasons, decisions) and bytes."""

    files: int = 0
    rows: int = 0
    bytes: int = 0


class _Waiting(msgspec.Struct):
    """What is read of one partition and not yet written, by (kind, carrier, day)."""

    progress: Progress
    rows: dict[tuple[str, str, int], list[Any]] = msgspec.field(default_factory=lambda: defaultdict(list))


class Archive:
    """Writes the history at a folder; nobody else may at the same time (see `streams.privacy.filelock`).

    Opening it removes what a crash left unfinished. After an error it is of no further use: open it anew.

    Args:
        root: the folder; made when absent.
        partitions: of the actor log.

    Attributes:
        rows: touches, late reasons and decisions taken in and not yet written.
        duplicates: rows dropped since they had been taken in before.

    Raises:
        ArchiveError: the folder cannot be used.
    """

    def __init__(self, root: Path, partitions: int = 1) -> None:
        self._root = root
        self._partitions = partitions
        self._manifest = load_manifest(root) or Manifest()
        self._content = {content.folder: content for content in self._manifest.content}
        self._failed = False
        self.rows = 0
        self.duplicates = 0
        self._guarded(lambda: remove_leftovers(root, self._manifest))
        self._waiting: dict[int, _Waiting] = {}

    def next(self, partition: int) -> int:
        """The offset of the actor log to read next."""
        return self._of(partition).progress.next

    @property
    def newest(self) -> date | None:
        """The newest local day with a touch; None when there is none."""
        return max((folder.day for folder in self._content if folder.kind == TOUCHES), default=None)

    def add(self, partition: int, offset: int, block: Block) -> None:
        """Take in the block that stands at `offset`; one that was taken in before is left out."""
        waiting = self._of(partition)
        progress = waiting.progress
        if offset < progress.next:
            return
        skip = progress.through(block.source)
        touches, explained = _beyond(skip, block.touches), _beyond(skip, block.explained)
        controls = _beyond(skip, block.controls)
        progress.follow(offset, block)
        rows = waiting.rows
        for touch in touches:
            rows[TOUCHES, touch.who.carrier, (touch.time + touch.tz * MINUTE) // DAY].append(touch)
        for late in explained:
            # By UTC: nothing says what the touch's local day was.
            rows[EXPLAINED, late.who.carrier, late.time // DAY].append(late)
        for control in controls:
            at = control.st if control.st >= BEGUN else control.time
            rows[DECISIONS, control.carrier, at // DAY].append(control)
        fresh = len(touches) + len(explained) + len(controls)
        self.rows += fresh
        self.duplicates += len(block.touches) + len(block.explained) + len(block.controls) - fresh

    def skip_to(self, partition: int, offset: int) -> bool:
        """Go on at `offset`: Kafka no longer has what lies between. Gives whether the history lacks that.

        It does not when it only begins here. Otherwise the manifest keeps it as a gap.
        """
        waiting = self._of(partition)
        progress = waiting.progress
        lacks = partition in self._manifest.partitions or progress.next > 0
        if lacks:
            self._manifest.gaps.append(Gap(partition, progress.next, offset))
            progress.next = offset
        else:
            waiting.progress = midway(self._partitions, offset)
        return lacks

    def flush(self) -> Flushed:
        """Write what is waiting: the files, then the manifest by which all of them count at once.

        Raises:
            ArchiveError: it could not be written; nothing of it counts.
        """
        return self._guarded(self._flush)

    def _flush(self) -> Flushed:
        manifest = deepcopy(self._manifest)
        manifest.partitions |= {number: waiting.progress for number, waiting in self._waiting.items()}
        if manifest.partitions == self._manifest.partitions:
            return Flushed()
        content = {one.folder: one for one in manifest.content}
        sizes: dict[tuple[DayFolder, str], int] = {}
        for number, waiting in sorted(self._waiting.items()):
            before = self._manifest.partitions.get(number)
            name = file_name(number, before.next if before else 0, waiting.progress.next)
            for folder, rows, table in _tables(number, waiting):
                path = folder.path(self._root)
                make_folder(path)
                size = sizes[folder, name] = write_file(path / name, partial(_write, table))
                earliest = min(row.st for row in rows)
                content.setdefault(folder, Content(*folder)).grow(len(rows), size, earliest)
        for folder in sorted({folder for folder, _ in sizes}):
            sync_folder(folder.path(self._root))
        manifest.content = [content[folder] for folder in sorted(content)]
        save_manifest(self._root, manifest)
        flushed = Flushed(len(sizes), self.rows, sum(sizes.values()))
        self._manifest, self._content, self._waiting, self.rows = manifest, content, {}, 0
        return flushed

    def expire(self, days: int) -> list[Content]:
        """Remove days that are more than `days` older than the newest; gives what was removed.

        Counted from the newest day archived, not from today: a history that nothing is added to is kept.

        Raises:
            ArchiveError: it could not be removed.
        """
        old = self.expired(days)
        if old:
            self._guarded(lambda: self._remove(old))
        return old

    def expired(self, days: int) -> list[Content]:
        """What `expire` would remove."""
        newest = self.newest
        if newest is None:
            return []
        oldest = newest - timedelta(days=days)
        # What lies by UTC day may be for touches of the local day after.
        limits = dict.fromkeys(KINDS, oldest - timedelta(days=1)) | {TOUCHES: oldest}
        return [one for folder, one in sorted(self._content.items()) if folder.day < limits[folder.kind]]

    def _remove(self, old: Iterable[Content]) -> None:
        # First out of the manifest: what a crash leaves is then removed as left over, and never missed.
        for one in old:
            del self._content[one.folder]
        self._manifest.content = list(self._content.values())
        save_manifest(self._root, self._manifest)
        for one in old:
            remove_folder(one.folder.path(self._root))

    def _of(self, partition: int) -> _Waiting:
        waiting = self._waiting.get(partition)
        if waiting is None:
            known = self._manifest.partitions.get(partition)
            progress = deepcopy(known) if known else at_beginning(self._partitions)
            waiting = self._waiting[partition] = _Waiting(progress)
        return waiting

    def _guarded(self, work: Callable[[], _T]) -> _T:
        if self._failed:
            raise ArchiveError(f"the history {self._root} failed before; open it anew")
        # Until the work is done: what it leaves behind is removed only when the folder is opened.
        self._failed = True
        try:
            result = work()
        except OSError as exc:
            raise ArchiveError(
                f"cannot write the history {self._root}: {exc.strerror or exc}; make room there or allow writing, "
                "or set PARCELWATCH_HISTORY_DIR to another folder, and start again: nothing is lost"
            ) from None
        self._failed = False
        return result


def _beyond(skip: Position, rows: list[_Row]) -> list[_Row]:
    """Rows after a position; they are in order."""
    if not rows or _position(rows[0]) > skip:
        return rows
    return [row for row in rows if _position(row) > skip]


def _tables(partition: int, waiting: _Waiting) -> Iterator[tuple[DayFolder, list[Any], pa.Table]]:
    made: dict[str, Callable[[list[Any]], pa.Table]] = {
        TOUCHES: touch_table,
        EXPLAINED: late_table,
        DECISIONS: partial(decision_table, partition),
    }
    for (kind, carrier, day), rows in sorted(waiting.rows.items()):
        yield DayFolder(kind, carrier, _EPOCH + timedelta(days=day)), rows, made[kind](rows)


def _write(table: pa.Table, file: BinaryIO) -> None:
    pq.write_table(table, file, compression="zstd")
