"""A mapping file says what it means, or is refused with what is wrong and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.admit.translation import IgnoredError
from streams.admit.validate import RefusalError
from streams.formats.catalogue import input_format, make_format
from streams.formats.mapping import Mapping, MappingError
from streams.formats.paths import lookup
from streams.formats.times import common_log, postgres, reader, zone_of
from streams.settings import Settings, SettingsError

TEN_LINES = """
split = "|"
[fields]
time = "TS"
actor = "USER"
parcels = "SHIPMENTS"
action = "OP"
[constants]
carrier = "vnx"
[values.action]
OPEN = "view"
LOGOUT = ""
"*" = "update"
[time]
format = "%d/%m/%Y %H:%M:%S"
zone = "Asia/Ho_Chi_Minh"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.toml"


def outcomes(file: Path, text: str, value: bytes) -> list[Any]:
    file.write_text(text)
    return [entry.outcome for entry in make_format("mapping", file).entries(value)]


EXPECTED = {
    "time": "2026-11-24T08:03:21.000+07:00", "actor": "nv1", "parcels": ["VN1", "VN2"], "action": "view",
    "carrier": "vnx",
}  # fmt: skip


def test_ten_lines_read_json_and_csv_lines(file: Path) -> None:
    row = {
        "TS": "24/11/2026 08:03:21",
        "USER": "nv1",
        "SHIPMENTS": "VN1|VN2",
        "OP": "OPEN",
        "PHONE": "0912345678",
    }
    assert outcomes(file, TEN_LINES, orjson.dumps(row)) == [EXPECTED]
    columns = 'columns = ["TS", "USER", "SHIPMENTS", "OP"]\n' + TEN_LINES
    line = b'24/11/2026 08:03:21,nv1,"VN1|VN2",%s'
    assert outcomes(file, columns, line % b"OPEN") == [EXPECTED]
    assert outcomes(file, columns, line % b"whatever")[0]["action"] == "update"
    [left_out] = outcomes(file, columns, line % b"LOGOUT")
    assert isinstance(left_out, IgnoredError)
    [short] = outcomes(file, columns, b"24/11/2026 08:03:21,nv1")
    assert str(short) == "not_this_format: 2 cells, where the mapping names 4 columns"


def test_a_regular_expression_takes_lines_of_text_apart(file: Path) -> None:
    text = "line = '^(?P<TS>.{19}) (?P<USER>\\w+) (?P<OP>\\w+) (?P<SHIPMENTS>\\S+)'\n" + TEN_LINES
    assert outcomes(file, text, b"24/11/2026 08:03:21 nv1 OPEN VN1|VN2") == [EXPECTED]


def test_each_element_of_a_list_is_an_event_with_what_the_record_says(file: Path) -> None:
    text = (
        'each = "data.rows"\n[fields]\nactor = "user"\nparcels = "ids"\nrecords = "n"\nsite = "data.site"\n'
    )
    value = {"user": "nv1", "data": {"site": "HN", "rows": [{"ids": ["a"], "n": "3"}, {"ids": ["b"]}]}}
    assert outcomes(file, text, orjson.dumps(value)) == [
        {"actor": "nv1", "parcels": ["a"], "records": 3, "site": "HN"},
        {"actor": "nv1", "parcels": ["b"], "site": "HN"},
    ]


def test_entries_that_share_too_much_are_refused_as_one_record(file: Path) -> None:
    """Each refused one is kept with what it shares: 100 kB of a thousand entries would be 100 MB in `rejected`."""
    text = 'each = "rows"\n[fields]\nactor = "user"\n'
    rows = [{"user": "nv1"}] * 1_000
    assert len(outcomes(file, text, orjson.dumps({"note": "x" * 1_000, "rows": rows}))) == 1_000
    parts = [{"note": "x" * 10_000, "rows": rows[:100]}] * 10
    for large in ({"note": "x" * 100_000, "rows": rows}, parts):
        [refusal] = outcomes(file, text, orjson.dumps(large))
        assert isinstance(refusal, RefusalError)
        assert (refusal.reason, refusal.where) == ("too_large", "$.rows")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[fields", "is not TOML"),
        ('[fields]\nactr = "a"', "no field 'actr'; the fields are action, actor,"),
        ('[field]\nactor = "a"', "unknown field `field`.*docs/formats.md"),
        ('[fields]\nactor = "a"\n[constants]\nactor = "b"', "in both"),
        ('[time]\nzone = "Saigon"', "write for example Asia/Ho_Chi_Minh"),
        ("[[patterns]]\nmatch = '('", "is no regular expression"),
        ("[[patterns]]\nmatch = '(?P<phone>.)'", "has the group phone; those that mean something are"),
        ('[values.action]\nOPEN = "open"', "there is no action 'open'; the actions are search"),
        ('delimiter = ",,"', "write one character"),
        ('split = ""', "write what separates"),
        ("line = 'x'", "name what it finds"),
        ('columns = ["a"]\n[fields]\nactor = "b"', "there is no column 'b'; the columns are 'a'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_remedy(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(MappingError, match=complaint):
        make_format("mapping", file)


def test_settings_that_cannot_be_used_stop_the_start(file: Path) -> None:
    assert input_format(Settings()) is None
    with pytest.raises(SettingsError, match=r"input_format = 'weblog': .* \[\[patterns\]\]"):
        input_format(Settings(input_format="weblog", input_carrier="vnx"))
    with pytest.raises(SettingsError, match="needs a mapping file; set input_mapping"):
        input_format(Settings(input_format="mapping"))
    with pytest.raises(SettingsError, match=r"cannot read the mapping .*No such file"):
        input_format(Settings(input_format="mapping", input_mapping=file))


@pytest.mark.parametrize(
    ("pattern", "zone", "text", "expected"),
    [
        ("unix", "+07:00", "1795482201.12", "2026-11-24T08:03:21.120+07:00"),
        ("unix_ms", None, "1795482201120", "2026-11-24T01:03:21.120+00:00"),
        (None, "Asia/Ho_Chi_Minh", "2026-11-24 08:03:21", "2026-11-24T08:03:21.000+07:00"),
        (None, None, "2026-11-24 08:03:21", "2026-11-24 08:03:21"),
        (None, "Asia/Ho_Chi_Minh", "2026-11-24T01:03:21Z", "2026-11-24T01:03:21.000+00:00"),
        ("unix", None, "1e300", "1e300"),
        ("%d/%m/%Y", "+07:00", "yesterday", "yesterday"),
    ],
)
def test_times_are_read_or_left_for_admit_to_refuse(
    pattern: str | None, zone: str | None, text: str, expected: str
) -> None:
    assert reader(pattern, zone_of(zone) if zone else None)(text) == expected


def test_times_of_servers() -> None:
    assert common_log("24/Nov/2026:08:03:21 +0700") == "2026-11-24T08:03:21+07:00"
    assert common_log("24/Noe/2026:08:03:21 +0700") == "24/Noe/2026:08:03:21 +0700"
    assert postgres("2026-11-24 08:03:21 -0330", None) == "2026-11-24T08:03:21-03:30"
    assert postgres("2026-11-24 08:03:21.1 UTC", None) == "2026-11-24T08:03:21.1Z"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.b", 1), ("a.c.d", 2), ("x.y", 3), ("l.k", [5, 6]), ("l.1.k", 6), ("l.9.k", None), ("a.b.c", None)],
)  # fmt: skip
def test_a_path_finds_nested_dotted_and_listed_members(path: str, expected: object) -> None:
    assert lookup({"a": {"b": 1, "c.d": 2}, "x.y": 3, "l": [{"k": 5}, {"k": 6}]}, path) == expected


def test_options_and_file_mean_the_same() -> None:
    parsed = Mapping.parse(["actor=USER"], ["carrier=vnx"])
    assert parsed == Mapping(fields={"actor": "USER"}, constants={"carrier": "vnx"})
