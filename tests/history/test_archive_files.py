"""The history's folder: nothing leaves it, nothing in it counts too early, and the manifest is small and whole."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from detectors.base import Person
from streams.history import archive_files
from streams.history.archive import Archive
from streams.history.archive_files import MANIFEST, ArchiveError
from streams.history.archive_reader import read
from tests.archives import archived, block, touch
from tests.senders import DAY, MONDAY

HOSTILE = [
    "../../x",
    "a/b",
    "a%2Fb",
    "a\0b",
    "..",
    ".",
    "/etc",
    "a=b",
    "x" * 64,
    "😀" * 64,
    "Bưu điện",
    "a\nb",
    " ",
]


def test_no_carrier_leaves_the_folder_or_meets_another(tmp_path: Path) -> None:
    root = tmp_path / "inside"
    archive = Archive(root)
    people = [Person(f"k1.{number}", carrier) for number, carrier in enumerate(HOSTILE)]
    archive.add(0, 0, block(*(touch(n + 1, who=n) for n in range(len(HOSTILE))), people=people))
    archive.flush()
    files = sorted(tmp_path.rglob("*.parquet"))
    assert {path.parent.parent.parent for path in files} == {root / "touches"}
    assert len({path.parent for path in files}) == len(files) == len(HOSTILE)
    assert sorted(row.who.carrier for row in archived(root).values()) == sorted(HOSTILE)
    # Other engines decode folder names; only one that the file system cannot hold is a hash there.
    seen = (
        ds.dataset(root / "touches", partitioning="hive").to_table(["carrier"]).column("carrier").to_pylist()
    )
    assert sorted(set(seen) & set(HOSTILE)) == sorted(set(HOSTILE) - {"😀" * 64})


def test_all_that_the_manifest_counts_is_on_the_disk_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power failure: every file's contents, its name in its folder, and the folders' own names."""
    safe: set[int] = set()
    fsync, replace = os.fsync, os.replace
    checked: list[Path] = []

    def synced(number: int) -> None:
        safe.add(os.fstat(number).st_ino)
        fsync(number)

    def renamed(source: Path, target: Path) -> None:
        assert os.stat(source).st_ino in safe, f"{target} is renamed before its contents are on the disk"
        if target.name == MANIFEST:
            for path in tmp_path.glob("h/*/*/*/*.parquet"):
                checked.append(path)
                for above in path.parents[:5]:
                    assert above.stat().st_ino in safe, f"{above} is not on the disk"
        else:
            safe.discard(os.stat(target.parent).st_ino)
        replace(source, target)

    monkeypatch.setattr(archive_files.os, "fsync", synced)
    monkeypatch.setattr(archive_files.os, "replace", renamed)
    archive = Archive(tmp_path / "h")
    archive.add(0, 0, block(touch(1), touch(2, time=MONDAY + DAY)))
    archive.flush()
    assert len(checked) == 2
    assert tmp_path.joinpath("h").stat().st_ino in safe


def test_what_somebody_else_put_into_the_folder_is_left_alone(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add(0, 0, block(touch(1)))
    archive.flush()
    [day] = tmp_path.glob("touches/*/*")
    note = day / "note.txt"
    note.write_text("mine")
    (day / "0000-00000000000000000001-00000000000000000002.parquet").write_bytes(b"left by a crash")
    (day / "0000-00000000000000000001-00000000000000000002.parquet.part").write_bytes(b"likewise")
    archive = Archive(tmp_path)
    assert len(list(day.iterdir())) == 2
    archive.add(0, 1, block(touch(2, time=MONDAY + 9 * DAY)))
    archive.flush()
    archive.expire(1)
    assert list(day.iterdir()) == [note]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is no manifest"),
        (b'{"version":3}', "is of layout 3"),
        (b'{"partitions":{"0":{"next":"k1.secret"}}}', "is no manifest"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_named_and_left_alone(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(ArchiveError, match=said) as caught:
        Archive(tmp_path)
    assert "secret" not in str(caught.value)
    assert (tmp_path / MANIFEST).read_bytes() == content


def test_the_manifest_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    sizes = []
    for offset in range(30):
        archive = Archive(tmp_path)
        archive.add(0, offset, block(touch(offset + 1)))
        archive.flush()
        sizes.append((tmp_path / MANIFEST).stat().st_size)
    assert max(sizes) - min(sizes) < 20
    assert len(read(tmp_path)) == 30
