"""Logs are read value by value, whatever they are packed in, and what cannot be read is named."""

import csv
import gzip
import io
import itertools
import os
import threading

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.flow.topics import LARGEST_VALUE
from streams.formats.mapping import Mapping, MappingError
from streams.history.files import FileError, read_values, total_bytes

EVENTS = [b'{"time":"2026-11-24T08:03:2%dZ","carrier":"vnx","actor":"a"}' % n for n in range(5)]
NDJSON = b"\n".join(EVENTS) + b"\n"
CSV = (
    b"time,carrier,actor,action\n"
    b"2026-11-24T08:03:21+07:00,vnx,a0,view\n"
    b"2026-11-24T08:03:22+07:00,vnx,a1,view\n"
)


@pytest.fixture
def read(tmp_path):
    """Read bytes as a file that says nothing of its kind by its name."""
    numbers = itertools.count()

    def read(content, columns=(), constants=()):
        path = tmp_path / f"log{next(numbers)}"
        path.write_bytes(content)
        return list(read_values(path, Mapping.parse(columns, constants)))

    return read


def rows(values):
    return [orjson.loads(value) for value in values]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "mark"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_ndjson_gives_its_lines(read, pack, mark, ending):
    content = mark + ending + ending.join(EVENTS[:2]) + ending * 3 + b"  " + ending + EVENTS[2]
    assert read(pack(content)) == EVENTS[:3]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "mark"])
def test_csv_with_the_contracts_names_needs_no_mapping(read, pack, mark):
    assert rows(read(pack(mark + CSV))) == [
        {"time": "2026-11-24T08:03:21+07:00", "carrier": "vnx", "actor": "a0", "action": "view"},
        {"time": "2026-11-24T08:03:22+07:00", "carrier": "vnx", "actor": "a1", "action": "view"},
    ]


def test_broken_lines_are_given_as_they_are_for_admit_to_name(read):
    content = EVENTS[0] + b"\nnot json\n\xff\xfe\x00\n" + EVENTS[1] + b"\n{"
    assert read(content) == [EVENTS[0], b"not json", b"\xff\xfe\x00", EVENTS[1], b"{"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_are_mapped_constants_set_and_empty_cells_left_out(read, delimiter):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(
        [
            ("when", "who", "what", "n", "ids", "why"),
            ("2026-11-24", "a0", "v1", "12", "", "T9"),
            ("2026-11-25", "a,;|\t0", "v2", "many", "VN1;VN2; ", ""),
        ]
    )
    maps = ["time=when", "actor=who", "records=n", "parcels=ids", "reason.id=why"]
    sets = ["carrier=vnx", "reason.kind=ticket", "fields=name;phone", "action=view"]
    same = {"carrier": "vnx", "fields": ["name", "phone"], "action": "view"}
    first = {"time": "2026-11-24", "actor": "a0", "records": 12, "reason": {"kind": "ticket", "id": "T9"}}
    second = {"time": "2026-11-25", "actor": "a,;|\t0", "records": "many", "parcels": ["VN1", "VN2"]}
    assert rows(read(text.getvalue().encode(), maps, sets)) == [
        {**first, **same},
        {**second, "reason": {"kind": "ticket"}, **same},
    ]


def test_a_missing_column_is_named_with_those_there_are(read):
    with pytest.raises(
        FileError, match=r"log0: there is no column 'user'; the columns are 'time', 'carrier'"
    ):
        read(CSV, ["actor=user"])


@pytest.mark.parametrize(
    ("columns", "constants", "complaint"),
    [
        (["actor"], [], "write --map FIELD=COLUMN"),
        ([], ["carrier="], "write --set FIELD=VALUE"),
        (["actr=user"], [], r"no field 'actr'; the fields are action, actor,"),
        (["actor=a", "actor=b"], [], "given twice"),
        (["actor=a"], ["actor=b"], "both --map and --set"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_with_the_remedy(columns, constants, complaint):
    with pytest.raises(MappingError, match=complaint):
        Mapping.parse(columns, constants)


def test_a_row_of_the_wrong_length_and_one_that_is_not_utf8_reach_admit_alone(read):
    good = b"2026-11-24T08:03:21+07:00,vnx,a9,view"
    content = CSV + b"2026,vnx,Nguyen, A,view\n2026,vnx\n2026,vnx,\xff\xe9,view\n\n" + good + b"\n"
    values = read(content)
    assert values[2:5] == [
        b'["2026","vnx","Nguyen"," A","view"]',
        b'["2026","vnx"]',
        b"2026,vnx,\xff\xe9,view",
    ]
    assert orjson.loads(values[5])["actor"] == "a9"
    assert len(values) == 6


def test_a_number_no_json_reader_takes_is_left_to_admit(read):
    (value,) = read(b"time,carrier,actor,records\nt,vnx,a0," + b"9" * 40 + b"\n")
    assert value == b"t,vnx,a0," + b"9" * 40


@given(
    st.lists(st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r\0"))] * 4), max_size=20)
)
def test_any_text_survives_csv(tmp_path_factory, table):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("time", "carrier", "actor", "site"), *table])
    path = tmp_path_factory.mktemp("csv") / "log"
    path.write_bytes(text.getvalue().encode())
    names = ("time", "carrier", "actor", "site")
    expected = [{n: cell for n, cell in zip(names, row, strict=True) if cell} for row in table]
    assert rows(read_values(path)) == expected


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'[{"time":1},\n{"time":2}]', "one JSON object a line; convert it with `jq"),
        (b'{\n  "time": 1\n}', "one JSON object a line; convert it with `jq"),
        ("time,carrier,actor\n".encode("utf-16"), "UTF-16; convert it with `iconv"),
        (b'time,carrier,actor\n"2026,vnx,a\n', "near line 2: not CSV .* quote left open"),
        (EVENTS[0] + b"\n" + b"x" * (LARGEST_VALUE + 1), "line 2 is over 16 MiB"),
        (gzip.compress(NDJSON, mtime=0)[:-12], "gzip data is cut short after line"),
        (gzip.compress(NDJSON, mtime=0)[:-8] + bytes(8), r"gzip data is damaged \(CRC"),
    ],
    ids=["array", "indented", "utf-16", "open quote", "long line", "cut", "damaged"],
)
def test_a_file_that_cannot_be_read_says_which_where_and_how_to_mend_it(read, content, complaint):
    with pytest.raises(FileError, match=complaint) as caught:
        read(content)
    assert "log0" in str(caught.value)
    assert "vnx" not in str(caught.value), "content must not get into an error"


def test_gzip_cut_short_gives_what_was_whole_and_then_the_line(tmp_path):
    lines = [b'{"n":%d,"x":"%s"}' % (n, os.urandom(60).hex().encode()) for n in range(20_000)]
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(b"\n".join(lines))[:-400_000])
    seen = []
    with pytest.raises(FileError, match=r"after line (\d+)") as caught:
        seen.extend(read_values(path))
    assert f"after line {len(seen)};" in str(caught.value)
    assert 0 < len(seen) < len(lines)
    assert seen == lines[: len(seen)]


def test_a_mapping_for_a_json_file_is_refused(read):
    with pytest.raises(FileError, match="leave --map and --set out"):
        read(NDJSON, ["actor=staff"])


@pytest.mark.parametrize(("name", "complaint"), [("nowhere", "there is no file"), ("", "Is a directory")])
def test_what_is_no_file_is_said_to_be_none(tmp_path, name, complaint):
    with pytest.raises(FileError, match=complaint):
        list(read_values(tmp_path / name))


def test_empty_files_hold_no_values(read):
    assert read(b"") == read(b"\n\n") == read(gzip.compress(b"")) == read(CSV.splitlines()[0]) == []


def test_progress_reaches_the_size_of_the_file(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(NDJSON * 20_000))
    seen = []
    assert sum(1 for _ in read_values(path, progress=seen.append)) == 100_000
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert seen[-1] == total_bytes(path) == path.stat().st_size


def test_stdin_is_read_like_a_file(monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source:
        monkeypatch.setattr("sys.stdin", source)
        feed = threading.Thread(target=lambda: (os.write(writer, gzip.compress(NDJSON)), os.close(writer)))
        feed.start()
        assert list(read_values("-")) == EVENTS
        feed.join()
    assert total_bytes("-") is None


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_a_csv_whose_header_names_no_fields_is_refused_with_the_remedy_and_without_its_content(
    tmp_path, name
):
    path = tmp_path / name
    text = b"WHEN;WHO;WHAT\n2026-11-24T08:00:00+07:00;nv0231;VN1\n"
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    with pytest.raises(
        FileError, match=r"log\.csv.*does not name three fields.*--map FIELD=COLUMN"
    ) as refused:
        list(read_values(path))
    assert "WHO" not in str(refused.value)
