"""The history read back: touches by local day, with the reasons that arrived later applied; decisions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.history.archive_columns import (
    DECISION_SCHEMA,
    KEY,
    LATE_SCHEMA,
    ORDER,
    TOUCH_KEY,
    TOUCH_SCHEMA,
)
from streams.history.archive_files import (
    DECISIONS,
    EXPLAINED,
    TOUCHES,
    ArchiveError,
    Content,
    Manifest,
    files_of,
    load_manifest,
)

_ONE_DAY, _MILLISECOND = timedelta(days=1), timedelta(milliseconds=1)
_EPOCH = date(1970, 1, 1)
_NEVER = 1 << 62

#: What a reader gets: whose and which local day it is, the columns of a touch, and whether its explanation came late.
SCHEMA = pa.schema([("carrier", pa.string()), ("day", pa.date32()), *TOUCH_SCHEMA, ("late", pa.bool_())])
_APART = pa.schema([("carrier", pa.string()), *LATE_SCHEMA])
_DECISIONS = pa.schema([("carrier", pa.string()), *DECISION_SCHEMA])


def contents(root: Path) -> list[Content]:
    """What the history at `root` holds, by kind, carrier and day.

    Raises:
        ArchiveError: there is no history, or none that can be read.
    """
    return opened(root).content


def opened(root: Path) -> Manifest:
    """What the history at `root` consists of at this moment: what is read by it is of this moment too.

    Raises:
        ArchiveError: there is no history, or none that can be read.
    """
    manifest = load_manifest(root)
    if manifest is None:
        raise ArchiveError(
            f"there is no history in {root}; `parcelwatch history write` makes one, "
            "and PARCELWATCH_HISTORY_DIR says where"
        )
    return manifest


def read(
    root: Path,
    carriers: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> pa.Table:
    """The touches of some days in one table, see `scan`."""
    return pa.concat_tables([SCHEMA.empty_table(), *scan(root, carriers, since, until)])


def scan(
    root: Path,
    carriers: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Iterator[pa.Table]:
    """The touches of some days, one table a local day, the oldest first; within it in the order of the log.

    What is flushed or removed meanwhile is not seen, or ends the reading with an error.

    Args:
        root: the history's folder.
        carriers: whose; all by default.
        since, until: first and last local day, both included; by default all there are.

    Raises:
        ArchiveError: there is no history, files of it are missing or damaged, or it is removed meanwhile.
    """
    for _, touches, late in scan_apart(root, carriers, since, until):
        yield _apply(touches, late)


def scan_apart(
    root: Path,
    carriers: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
    manifest: Manifest | None = None,
) -> Iterator[tuple[date, pa.Table, pa.Table]]:
    """The same with the reasons that came later apart, as they stood in the log.

    Gives for each local day, the oldest first: the day, its touches with the explanation known when they were
    touched (columns of SCHEMA but `late`), and the late reasons of these very touches (LATE_SCHEMA after `carrier`),
    which stand anywhere later in the log.

    Args and errors as of `scan`; `manifest` as `opened` gave it, by default as of now.
    """
    manifest = manifest or opened(root)
    touches: dict[date, list[Content]] = {}
    late: dict[date, list[Content]] = {}
    for content in manifest.content:
        into = {TOUCHES: touches, EXPLAINED: late}.get(content.kind)
        if into is not None and (carriers is None or content.carrier in carriers):
            into.setdefault(content.day, []).append(content)
    for day, parts in sorted(touches.items()):
        if (since is None or day >= since) and (until is None or day <= until):
            # Late reasons lie by UTC day, which is one before to one after the local one.
            around = [part for n in (-1, 0, 1) for part in late.get(day + n * _ONE_DAY, ())]
            rows = _touches(root, manifest, parts)
            late_rows = _late(root, manifest, around)
            yield day, rows, late_rows.join(rows.select(KEY), list(TOUCH_KEY), list(KEY), "left semi")


def beginnings(
    manifest: Manifest,
    carriers: Collection[str] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> dict[date, int]:
    """By local day, the order time (ms) before which no touch of that day or of a later one stands.

    Mostly the day's own begin or so; but what came after a long silence may stand days before its own day.

    Args:
        manifest: as `opened` gave it.
        carriers, since, until: as of `scan`.
    """
    found: dict[date, int] = {}
    least = _NEVER
    for one in sorted(manifest.content, key=lambda one: one.day, reverse=True):
        if one.kind == TOUCHES and _chosen(one, carriers, since, until):
            # Where layout 1 did not say: order time is hardly ever before event time, and no local day begins more
            # than a day before the same one in UTC.
            begin = (one.day - _EPOCH - _ONE_DAY) // _MILLISECOND if one.earliest is None else one.earliest
            found[one.day] = least = min(least, begin)
    return found


def _chosen(one: Content, carriers: Collection[str] | None, since: date | None, until: date | None) -> bool:
    days = (since is None or one.day >= since) and (until is None or one.day <= until)
    return days and (carriers is None or one.carrier in carriers)


def read_decisions(root: Path, manifest: Manifest, carriers: Collection[str] | None = None) -> pa.Table:
    """The decisions of the whole history in one table: `carrier` and DECISION_SCHEMA, in the order of the log.

    One for a whole carrier or about a person, verdicts excepted, is there once for each partition of the actor log.

    Args:
        manifest: as `opened` gave it.
        root, carriers: as of `scan`.

    Raises:
        ArchiveError: files are missing or damaged, or are removed meanwhile.
    """
    parts = [
        content for content in manifest.content
        if content.kind == DECISIONS and (carriers is None or content.carrier in carriers)
    ]  # fmt: skip
    tables = _rows(root, manifest, parts)
    # Files from before there were rules lack their column.
    return pa.concat_tables([_DECISIONS.empty_table(), *tables], promote_options="default").sort_by(
        [(name, "ascending") for name in ORDER]
    )


def _touches(root: Path, manifest: Manifest, parts: list[Content]) -> pa.Table:
    tables = []
    for part in parts:
        for path in files_of(root, manifest, part):
            table = _of_carrier(_load(path), part)
            days = pa.repeat(pa.scalar(part.day, pa.date32()), len(table))
            tables.append(table.add_column(1, SCHEMA.field(1), days))
    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in ORDER]).combine_chunks()


def _late(root: Path, manifest: Manifest, parts: list[Content]) -> pa.Table:
    return pa.concat_tables([_APART.empty_table(), *_rows(root, manifest, parts)])


def _rows(root: Path, manifest: Manifest, parts: list[Content]) -> list[pa.Table]:
    return [_of_carrier(_load(path), part) for part in parts for path in files_of(root, manifest, part)]


def _of_carrier(table: pa.Table, part: Content) -> pa.Table:
    return table.add_column(0, SCHEMA.field(0), pa.repeat(part.carrier, len(table)))


def _load(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except FileNotFoundError:
        raise ArchiveError(f"{path} was removed as too old while it was read; read again") from None
    except (OSError, pa.ArrowException) as exc:
        raise ArchiveError(
            f"cannot read {path}: {type(exc).__name__}; if it is damaged, restore it from a backup"
        ) from None


def _apply(touches: pa.Table, late: pa.Table) -> pa.Table:
    """Put late reasons in where they belong, and say where that is."""
    belated = np.zeros(len(touches), dtype=bool)
    explanation = touches.column("explanation").combine_chunks()
    if len(late):
        keys = touches.select(KEY).append_column("row", pa.array(np.arange(len(touches))))
        reasons = late.select([*TOUCH_KEY, "explanation"])
        found = keys.join(reasons, list(KEY), list(TOUCH_KEY), "inner").sort_by("row")
        belated[found.column("row").to_numpy()] = True
        final = found.column("explanation").combine_chunks()
        explanation = pc.replace_with_mask(explanation, pa.array(belated), final)
    index = touches.schema.get_field_index("explanation")
    table = touches.set_column(index, touches.schema.field(index), explanation)
    return table.append_column("late", pa.array(belated)).cast(SCHEMA)
