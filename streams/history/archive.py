"""Labelled touches as Parquet by carrier and day, each exactly once, without asking Kafka where it stood.

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
from streams.flow.events import DETECT_SOURCE, START, Block, Explained, Position
from streams.history.archive_columns import late_table, touch_table
from streams.history.archive_files import (
    EXPLAINED,
    TOUCHES,
    ArchiveError,
    Content,
    DayFolder,
    Gap,
    Manifest,
    Progress,
    file_name,
    load_manifest,
    make_folder,
    remove_folder,
    remove_leftovers,
    save_manifest,
    sync_folder,
    write_file,
)

DAY = 86_400_000
MINUTE = 60_000
_EPOCH = date(1970, 1, 1)

_position = attrgetter("st", "src", "off", "idx")
_Groups = dict[tuple[str, int], list[Any]]
_Row = TypeVar("_Row", Touch, Explained)
_T = TypeVar("_T")


class Flushed(NamedTuple):
    """What a flush wrote: number of files, rows (touches and late reasons) and bytes."""

    files: int = 0
    rows: int = 0
    bytes: int = 0


class _Waiting(msgspec.Struct):
    """What is read of one partition and not yet written, by (carrier, day)."""

    progress: Progress
    touches: _Groups = msgspec.field(default_factory=lambda: defaultdict(list))
    explained: _Groups = msgspec.field(default_factory=lambda: defaultdict(list))


class Archive:
    """Writes the history at a folder; nobody else may at the same time (see `streams.privacy.filelock`).

    Opening it removes what a crash left unfinished. After an error it is of no further use: open it anew.

    Args:
        root: the folder; made when absent.

    Attributes:
        rows: touches and late reasons taken in and not yet written.
        duplicates: rows dropped since they had been taken in before.

    Raises:
        ArchiveError: the folder cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
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
        progress.next = offset + 1
        if block.source >> 16 == DETECT_SOURCE:
            return
        skip = progress.through.get(block.source, START)
        progress.through[block.source] = max(skip, block.through)
        people = block.people
        touches, explained = _beyond(skip, block.touches), _beyond(skip, block.explained)
        for touch in touches:
            who = touch.who = people[touch.who]
            waiting.touches[who.carrier, (touch.time + touch.tz * MINUTE) // DAY].append(touch)
        for late in explained:
            who = late.who = people[late.who]
            # By UTC: nothing says what the touch's local day was.
            waiting.explained[who.carrier, late.time // DAY].append(late)
        fresh = len(touches) + len(explained)
        self.rows += fresh
        self.duplicates += len(block.touches) + len(block.explained) - fresh

    def skip_to(self, partition: int, offset: int) -> bool:
        """Go on at `offset`: Kafka no longer has what lies between. Gives whether the history lacks that.

        It does not when it only begins here. Otherwise the manifest keeps it as a gap.
        """
        progress = self._of(partition).progress
        lacks = partition in self._manifest.partitions or progress.next > 0
        if lacks:
            self._manifest.gaps.append(Gap(partition, progress.next, offset))
        progress.next = offset
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
            first = self._manifest.partitions.get(number, Progress()).next
            name = file_name(number, first, waiting.progress.next)
            for folder, rows, table in _tables(waiting):
                path = folder.path(self._root)
                make_folder(path)
                size = sizes[folder, name] = write_file(path / name, partial(_write, table))
                one = content.setdefault(folder, Content(*folder))
                one.files, one.rows, one.bytes = one.files + 1, one.rows + rows, one.bytes + size
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
        # A late reason lies by UTC day, and its touch may be of the local day after.
        limits = {TOUCHES: oldest, EXPLAINED: oldest - timedelta(days=1)}
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
            progress = deepcopy(self._manifest.partitions.get(partition, Progress()))
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


def _tables(waiting: _Waiting) -> Iterator[tuple[DayFolder, int, pa.Table]]:
    for (carrier, day), touches in sorted(waiting.touches.items()):
        yield DayFolder(TOUCHES, carrier, _EPOCH + timedelta(days=day)), len(touches), touch_table(touches)
    for (carrier, day), late in sorted(waiting.explained.items()):
        yield DayFolder(EXPLAINED, carrier, _EPOCH + timedelta(days=day)), len(late), late_table(late)


def _write(table: pa.Table, file: BinaryIO) -> None:
    pq.write_table(table, file, compression="zstd")
