"""Labelled touches, as relate sends them on: out of the history, or kept while files run through admit and relate.

They travel in the blocks of the actor log, encoded: what `streams.history.detection` runs the detect stage over, as
often as it takes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from detectors.base import Person, Touch
from streams.admit.local_time import Zones
from streams.flow.events import RELATE_SOURCE, Block, Control, Explained, encode_block, source_id
from streams.flow.topics import ACTOR_LOG
from streams.history.archive_columns import late_reasons, touches
from streams.history.archive_files import ArchiveError
from streams.history.archive_reader import beginnings, opened, scan_apart
from streams.history.pipeline import Pipeline
from streams.privacy.tokens import Keyring

DAY = 86_400_000
#: Rows of one block.
ROWS = 5_000
SOURCE = source_id(RELATE_SOURCE, 0)

_EPOCH = date(1970, 1, 1)
_position = attrgetter("st", "src", "off", "idx")
LabelledRow = Touch | Explained
_Row = TypeVar("_Row", bound=LabelledRow)


def archived(
    root: Path,
    carriers: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """The touches of a history and the reasons that came later, in the one order of the log, in encoded blocks.

    What people decided is left out; `streams.history.archive_replay` has it.

    Memory holds a day or two of them. The last block says how far the log had come, parcel context included, so that
    what time alone made ripe after the last touch is decided as it was; when only days up to `until` are read,
    time ends with their last row.

    Args:
        root: the history's folder.
        carriers: whose; all by default.
        since, until: first and last local day, both included; by default all there are.
        progress: called with the rows (touches and late reasons) of each day read.

    Raises:
        ArchiveError: there is no history or no touch in what was chosen, or files are missing or damaged.
    """
    reached, last = 0, None
    manifest = opened(root)

    def days() -> Iterator[tuple[date, list[LabelledRow]]]:
        nonlocal last
        for last, table, late in scan_apart(root, carriers, since, until, manifest):
            yield last, [*touches(table), *late_reasons(late)]
            progress(len(table) + len(late))

    for rows in in_order(days(), beginnings(manifest, carriers, since, until)):
        reached = rows[-1].st
        for start in range(0, len(rows), ROWS):
            yield block(rows[start : start + ROWS])
    if last is None:
        raise nothing_in(root)
    whole = until is None or until > last
    ends = (progress.end for progress in manifest.partitions.values()) if whole else ()
    yield ending(max([reached, *ends]))


def in_order(
    days: Iterable[tuple[date, list[_Row]]], begins: Mapping[date, int] | None = None
) -> Iterator[list[_Row]]:
    """Rows of local days, the oldest first, in the one order of the log; a late event stands days after its own.

    Args:
        days: with their rows.
        begins: order time before which no row of a day or a later one stands, see `archive_reader.beginnings`. A row
            that stands before it nevertheless is moved to where the order has come. By default a day before the day.
    """
    waiting: list[_Row] = []
    reached = 0
    for day, rows in days:
        # No local day begins more than a day before the same one in UTC.
        begin = ((day - _EPOCH).days - 1) * DAY if begins is None else begins[day]
        ready = [row for row in waiting if row.st < begin]
        if ready:
            reached = ready[-1].st
            yield ready
        for row in rows:
            row.st = max(row.st, reached)
        waiting = sorted([*waiting[len(ready) :], *rows], key=_position)
    if waiting:
        yield waiting


def nothing_in(root: Path) -> ArchiveError:
    """The error that nothing of what was asked for is in a history."""
    return ArchiveError(
        f"the history {root} has no touches of the carriers and days asked for; `parcelwatch history list` shows what "
        "it has"
    )


def block(rows: Sequence[LabelledRow], clock: int | None = None, controls: Sequence[Control] = ()) -> bytes:
    """Rows, in order and with their `Person`, as one encoded block of the actor log.

    Args:
        rows: touches and late reasons.
        clock: order time the log has come to; by default that of the last row.
        controls: decisions that take effect before `clock` or at it, each at its order time.
    """
    index: dict[Person, int] = {}
    for row in rows:
        row.who = index.setdefault(row.who, len(index))
    reached = rows[-1].st if clock is None else clock
    seen = [row for row in rows if type(row) is Touch]
    late = [row for row in rows if type(row) is Explained]
    place = (reached, -1, -1, -1)
    return encode_block(Block(SOURCE, place, reached, False, list(index), seen, [], late, [], [*controls]))


def ending(clock: int) -> bytes:
    """The block that says nothing more comes: the log has come to order time `clock`."""
    return encode_block(Block(SOURCE, (clock, -1, -1, -1), clock, True))


class Labelling(Pipeline):
    """admit and relate in memory: labelled touches are handed over instead of being looked at by detectors.

    Args:
        keep: called with every block of the actor log, encoded.
        keys, arrived, zones: as of `Pipeline`.
        partitions: of every topic. With more than one, blocks come from several sources in no one order.
    """

    def __init__(
        self,
        keys: Keyring,
        *,
        keep: Callable[[bytes], None],
        partitions: int = 1,
        arrived: Callable[[], int],
        zones: Zones | None = None,
    ) -> None:
        self._hand_over = keep
        super().__init__(keys, partitions=partitions, arrived=arrived, zones=zones)

    def append(
        self, where: tuple[str, int], key: bytes | None, value: bytes | None, headers: Any = ()
    ) -> None:
        """See `Pipeline`."""
        if where[0] != ACTOR_LOG:
            super().append(where, key, value, headers)
        elif value is not None:
            self._hand_over(value)


class Spool:
    """Encoded blocks in a file that has no name and ends with the process: as many as the disk holds.

    It can be read again and again, but only once at a time. A context manager: leaving it closes the file.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as this

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def add(self, value: bytes) -> None:
        """Append a block. Raises OSError when the disk is full."""
        self._file.write(len(value).to_bytes(4))
        self._file.write(value)

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while size := self._file.read(4):
            yield self._file.read(int.from_bytes(size))
        self._file.seek(0, 2)
