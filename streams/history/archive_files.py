"""Where the history lies on disk, and the manifest that says how much of it counts.

    _manifest.json
    touches/carrier=<code>/day=<local day>/<partition>-<first>-<next>.parquet
    explained/carrier=<code>/day=<UTC day of the touch>/<partition>-<first>-<next>.parquet
    decisions/carrier=<code>/day=<UTC day it took effect>/<partition>-<first>-<next>.parquet

A file holds what came from the offsets first ≤ offset < next of one partition of the actor log, and is never changed.
The manifest says for each partition how far the history goes; a file counts once that reaches its `next`. So one
rename, the manifest's, makes all files of a flush count together, and the manifest stays small however many files there
are. What a crash leaves behind lies beyond the manifest and is removed before anything is written again: at no moment
do two files hold the same row, whoever reads the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

import msgspec

from streams.flow.events import Position
from streams.history.archive_order import Progress, of_layout_1

KINDS = TOUCHES, EXPLAINED, DECISIONS = "touches", "explained", "decisions"
MANIFEST = "_manifest.json"
VERSION = 2
#: Longest name of a folder, bytes: what ext4 and XFS allow.
LONGEST_NAME = 255

_NAME = re.compile(r"([0-9]{4,})-([0-9]+)-([0-9]+)\.parquet")
_PART = ".part"


class ArchiveError(Exception):
    """The history cannot be written or read; the text says what, where and the remedy."""


class DayFolder(NamedTuple):
    """One folder of files: `kind` is one of KINDS."""

    kind: str
    carrier: str
    day: date

    def path(self, root: Path) -> Path:
        """Where it is; always two levels below `root/kind`, whatever the carrier is called."""
        return root / self.kind / carrier_folder(self.carrier) / f"day={self.day.isoformat()}"


class Content(msgspec.Struct, array_like=True):
    """What a day folder holds as of the manifest.

    Attributes:
        kind, carrier, day: which folder.
        files, rows, bytes: how much.
        earliest: order time (ms) of its first row; None where layout 1 has written, which did not say.
    """

    kind: str
    carrier: str
    day: date
    files: int = 0
    rows: int = 0
    bytes: int = 0
    earliest: int | None = None

    def grow(self, rows: int, size: int, earliest: int) -> None:
        """Count one more file."""
        if not self.files or (self.earliest is not None and earliest < self.earliest):
            self.earliest = earliest
        self.files, self.rows, self.bytes = self.files + 1, self.rows + rows, self.bytes + size

    @property
    def folder(self) -> DayFolder:
        """Which."""
        return DayFolder(self.kind, self.carrier, self.day)


class Gap(msgspec.Struct, frozen=True):
    """Offsets first ≤ offset < next of a partition that Kafka no longer had when they were to be archived."""

    partition: int
    first: int
    next: int


class Manifest(msgspec.Struct):
    """What the history consists of.

    Attributes:
        version: of this layout.
        partitions: progress by partition of the actor log.
        content: every day folder.
        gaps: what the history lacks.
    """

    version: int = VERSION
    partitions: dict[int, Progress] = {}
    content: list[Content] = []
    gaps: list[Gap] = []

    def counts(self, name: str) -> bool:
        """Whether the file of that name is part of the history."""
        match = _NAME.fullmatch(name)
        if match is None:
            return False
        progress = self.partitions.get(int(match[1]))
        return progress is not None and int(match[3]) <= progress.next


class _Layout(msgspec.Struct):
    version: int = VERSION


class _Progress1(msgspec.Struct):
    next: int = 0
    through: dict[int, Position] = {}


class _Manifest1(msgspec.Struct):
    """Layout 1, which had no decisions."""

    partitions: dict[int, _Progress1] = {}
    content: list[Content] = []
    gaps: list[Gap] = []

    def now(self) -> Manifest:
        count = len(self.partitions)
        partitions = {n: of_layout_1(one.next, one.through, count) for n, one in self.partitions.items()}
        return Manifest(VERSION, partitions, self.content, self.gaps)


def carrier_folder(carrier: str) -> str:
    """Folder name of a carrier: `carrier=` and its code, percent-encoded where it is not letters, digits or `_.-`.

    >>> carrier_folder("vnx"), carrier_folder("../x"), carrier_folder("a/b")
    ('carrier=vnx', 'carrier=..%2Fx', 'carrier=a%2Fb')
    """
    code = "".join(c if c.isalnum() or c in "_.-" else quote(c, safe="") for c in carrier)
    name = f"carrier={code}"
    if len(name.encode()) > LONGEST_NAME:
        name = f"carrier={blake2b(carrier.encode(), digest_size=16).hexdigest()}"
    return name


def file_name(partition: int, first: int, following: int) -> str:
    """Name of the file with what came from offsets first ≤ offset < following of a partition."""
    return f"{partition:04d}-{first:020d}-{following:020d}.parquet"


def load_manifest(root: Path) -> Manifest | None:
    """The manifest of the history at `root`; None when there is no history.

    Raises:
        ArchiveError: it cannot be read, or another version of parcelwatch wrote it.
    """
    path = root / MANIFEST
    try:
        raw = path.read_bytes()
        version = msgspec.json.decode(raw, type=_Layout).version
        if version == 1:
            return msgspec.json.decode(raw, type=_Manifest1).now()
        if version == VERSION:
            return msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ArchiveError(f"cannot read {path}: {exc.strerror}; mend that and start again") from None
    except msgspec.DecodeError as exc:
        raise ArchiveError(
            f"{path} is no manifest of a history: {exc}; restore it from a backup together with its folder"
        ) from None
    raise ArchiveError(
        f"{path} is of layout {version}, this parcelwatch reads up to {VERSION}; use the version that wrote it"
    )


def save_manifest(root: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step that outlives a power failure. Raises OSError."""
    make_folder(root)
    content = msgspec.json.encode(manifest)
    write_file(root / MANIFEST, lambda file: file.write(content))
    sync_folder(root)


def files_of(root: Path, manifest: Manifest, content: Content) -> list[Path]:
    """The files of a day folder that count.

    Raises:
        ArchiveError: some are missing.
    """
    path = content.folder.path(root)
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        names = []
    found = sorted(path / name for name in names if manifest.counts(name))
    if len(found) != content.files:
        raise ArchiveError(
            f"{path} holds {len(found)} files of the history, {MANIFEST} counts {content.files}: restore the folder "
            "from a backup; if it was just removed as too old, read again"
        )
    return found


def remove_leftovers(root: Path, manifest: Manifest) -> int:
    """Remove what a crash left behind and the manifest does not count; gives how many files. Raises OSError."""
    known = {content.folder.path(root) for content in manifest.content}
    removed = 0
    for kind in KINDS:
        for folder in sorted((root / kind).glob("carrier=*/day=*")):
            removed += sum(1 for _ in _remove(folder, lambda name: not manifest.counts(name)))
            if folder not in known:
                removed += remove_folder(folder)
    return removed


def remove_folder(folder: Path) -> int:
    """Remove a day folder's files, then it and its carrier's folder if nothing else is in them. Raises OSError."""
    removed = sum(1 for _ in _remove(folder, lambda name: True))
    for path in (folder, folder.parent):
        if path.is_dir() and not os.listdir(path):
            os.rmdir(path)
    return removed


def _remove(folder: Path, unwanted: Callable[[str], bool]) -> Iterator[Path]:
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        # Whatever else somebody has put there is not ours to remove.
        ours = _NAME.fullmatch(name.removesuffix(_PART))
        if ours and (name.endswith(_PART) or unwanted(name)):
            os.unlink(folder / name)
            yield folder / name


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that they outlive a power failure. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        os.mkdir(path)
        sync_folder(path.parent)


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> int:
    """Write a file under a passing name, down to the disk, and rename it; gives its size. Raises OSError."""
    part = path.with_name(path.name + _PART)
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    os.replace(part, path)
    return size


def sync_folder(path: Path) -> None:
    """See that what was renamed within a folder stays so after a power failure. Raises OSError."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
