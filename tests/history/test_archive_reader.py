"""What is read back is what was found, by carrier and local day, with the reasons that came later."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detectors.base import EXPLANATIONS, Person
from streams.detect.controls import SUPPRESS
from streams.flow.events import Explained
from streams.history.archive import Archive
from streams.history.archive_columns import LATE_SCHEMA, TOUCH_SCHEMA, touches
from streams.history.archive_files import ArchiveError
from streams.history.archive_reader import SCHEMA, read, scan
from tests.archives import block, deciding, touch
from tests.senders import DAY, HOUR, MONDAY

ROOT = Path(__file__).parents[2]
PEOPLE = [
    Person("k1.a", "vnx", "clerk", "A", "S0", "k1.boss", "active", False, ("06-14", "14-22")),
    Person("k1.b", "other", service=True),
]


def archive(root: Path, *rows: object) -> None:
    writer = Archive(root)
    begin = writer.next(0)
    for offset, row in enumerate(rows, begin):
        writer.add(0, offset, block(row, people=PEOPLE))  # type: ignore[arg-type]  # touches and late reasons
    writer.flush()


def test_every_field_of_a_touch_and_its_person_comes_back(tmp_path: Path) -> None:
    full = touch(
        1, action=3, records=500, site="S1", reason="ticket:k1.t", explanation=3, seen=MONDAY - 1, context=True,
        others=(7, 2**32 - 1), holiday=True, idle=90, device=2**32 - 1, place=5, channel=2, failed=True, serial=0,
        closed=MONDAY - DAY, crowd=9, ghost="shop-7", tz=-300,
    )  # fmt: skip
    bare = touch(2, who=1, parcel="", records=0)
    sent = [(full, PEOPLE[0]), (bare, PEOPLE[1])]
    archive(tmp_path, full, bare)
    assert [(row, row.who) for row in touches(read(tmp_path))] == sent


def test_what_was_not_said_is_null_or_empty_and_a_first_touch_says_so(tmp_path: Path) -> None:
    archive(tmp_path, touch(1), touch(2, seen=MONDAY - 1), touch(3, parcel=""))
    rows = read(tmp_path).to_pylist()
    assert [row["first"] for row in rows] == [True, False, False]
    assert [rows[0][name] for name in ("device", "place", "serial", "closed", "previous")] == [None] * 5
    assert [rows[0][name] for name in ("site", "channel", "reason", "explanation", "honeytoken")] == [""] * 5


def test_a_local_day_is_the_persons_not_utcs(tmp_path: Path) -> None:
    archive(tmp_path, touch(1, time=MONDAY + 20 * HOUR, tz=420), touch(2, time=MONDAY + 20 * HOUR, tz=0))
    table = read(tmp_path)
    assert table.column("day").to_pylist() == [date(2026, 3, 2), date(2026, 3, 3)]
    assert {path.name for path in tmp_path.glob("touches/carrier=vnx/*")} == {
        "day=2026-03-02",
        "day=2026-03-03",
    }


def test_days_and_carriers_can_be_chosen(tmp_path: Path) -> None:
    archive(tmp_path, *(touch(n + 1, who=n % 2, time=MONDAY + n // 2 * DAY) for n in range(8)))

    def chosen(**which: object) -> list[int]:
        return read(tmp_path, **which).column("source_offset").to_pylist()  # type: ignore[arg-type, no-any-return]  # by name

    assert chosen() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert chosen(carriers=["other"]) == [2, 4, 6, 8]
    assert chosen(since=date(2026, 3, 3), until=date(2026, 3, 4)) == [3, 4, 5, 6]
    assert chosen(since=date(2026, 3, 5)) == [7, 8]
    assert chosen(carriers=["nobody"]) == chosen(until=date(2026, 3, 1)) == []
    assert read(tmp_path, carriers=["nobody"]).schema == read(tmp_path).schema == SCHEMA
    assert [len(table) for table in scan(tmp_path)] == [2, 2, 2, 2]


def test_a_day_is_in_the_order_of_the_log_however_it_was_flushed(tmp_path: Path) -> None:
    writer = Archive(tmp_path)
    for partition, numbers in enumerate(((1, 4, 6), (2, 3, 5))):
        for offset, number in enumerate(numbers):
            writer.add(partition, offset, block(touch(number), people=PEOPLE))
            writer.flush()
    assert [row.st for row in touches(read(tmp_path))] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("time", "tz"), [(MONDAY, 420), (MONDAY + 23 * HOUR, 420), (MONDAY + HOUR, -600)])
def test_a_late_reason_reaches_its_touch_across_days_and_flushes(time: int, tz: int, tmp_path: Path) -> None:
    ticket = EXPLANATIONS.index("ticket")
    archive(tmp_path, touch(1, time=time, tz=tz, context=True), touch(2, time=time, tz=tz, explanation=1))
    before = {path: path.read_bytes() for path in tmp_path.glob("touches/*/*/*")}
    archive(tmp_path, Explained(9, 1, 4, 0, 0, (0, 1, 0), time, ticket))
    table = read(tmp_path)
    assert table.column("explanation").to_pylist() == ["ticket", "scan"]
    assert table.column("late").to_pylist() == [True, False]
    assert before == {path: path.read_bytes() for path in tmp_path.glob("touches/*/*/*")}, (
        "a file was changed"
    )


def test_a_late_reason_of_a_touch_that_is_gone_explains_nothing(tmp_path: Path) -> None:
    archive(tmp_path, touch(1), Explained(9, 1, 4, 0, 0, (0, 77, 0), MONDAY, 2))
    assert read(tmp_path).column("late").to_pylist() == [False]


def test_what_is_flushed_meanwhile_is_not_seen(tmp_path: Path) -> None:
    archive(tmp_path, touch(1), touch(2, time=MONDAY + DAY))
    reading = scan(tmp_path)
    assert len(next(reading)) == 1
    archive(tmp_path, touch(3, time=MONDAY + DAY), touch(4, time=MONDAY + 2 * DAY))
    assert [len(table) for table in reading] == [1]


def test_no_history_a_missing_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"no history in .*`parcelwatch history write` makes one"):
        read(tmp_path)
    archive(tmp_path, touch(1))
    [path] = tmp_path.glob("touches/*/*/*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArchiveError, match="if it is damaged, restore it from a backup"):
        read(tmp_path)
    path.unlink()
    with pytest.raises(ArchiveError, match=r"holds 0 files of the history, _manifest.json counts 1"):
        read(tmp_path)


def test_any_engine_gets_what_the_page_says(tmp_path: Path) -> None:
    """docs/history.md names every column of the files, and nothing else stands in them."""
    writer = Archive(tmp_path)
    writer.add(0, 0, block(touch(1), people=PEOPLE))
    writer.add(0, 1, deciding(0, SUPPRESS))
    writer.flush()
    page = (ROOT / "docs" / "history.md").read_text()
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")}
    for kind, title in (("touches", "Touches"), ("decisions", "Decisions")):
        [path] = tmp_path.glob(f"{kind}/*/*/*.parquet")
        cells = [line.split("|")[1] for line in sections[title].splitlines() if line.startswith("| `")]
        named = [name for cell in cells for name in cell.replace("`", "").replace(" ", "").split(",")]
        with pq.ParquetFile(path) as file:
            assert sorted(named) == sorted(["carrier", "day", *file.schema_arrow.names])
            assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert all(f"`{name}`" in page for name in (*TOUCH_SCHEMA.names, "touch_source", "touch_index", "late"))
    assert pa.schema(LATE_SCHEMA).names[:3] == ["staff", "time", "explanation"]
