"""What can be asked of the simulator, and the command."""

from __future__ import annotations

import gzip
from datetime import date
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from streams.commands.simulate import command
from streams.simulator import (
    LEAKS,
    SimulationConfig,
    SimulationError,
    parse_counts,
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"staff": 3}, "staff = 3: must be 20 to"),
        ({"days": 0}, "days = 0"),
        ({"carrier": "VN X"}, "lower-case"),
        ({"country": "XX"}, "ISO 3166"),
        ({"start": date(9999, 12, 31)}, "start .year. = 9999"),
        ({"time_zone": "Hanoi"}, "Asia/Ho_Chi_Minh"),
        ({"leaks": ("bulk_raed",)}, "known are bulk_read"),
        ({"leaks": (("bulk_read", -1),)}, "cannot be negative"),
        ({"lookalikes": ("party",)}, "'party' is unknown"),
    ],
)
def test_a_bad_setting_is_refused_with_its_value_and_the_remedy(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SimulationError, match=says):
        SimulationConfig(**change)


def test_counts_read_all_none_and_lists() -> None:
    assert dict(parse_counts("all=2", LEAKS, "leaks")) == dict.fromkeys(LEAKS, 2)
    assert parse_counts("", LEAKS, "leaks") == ()
    with pytest.raises(SimulationError, match="whole number"):
        parse_counts("bulk_read=many", LEAKS, "leaks")


def test_the_command_writes_the_four_files_and_says_what_it_left_out(tmp_path: Any) -> None:
    options = [
        "--staff",
        "30",
        "--leaks",
        "bulk_export,leaver",
        "--lookalikes",
        "migration_batch,month_end_export",
    ]
    for out, extra in (("plain", []), ("packed", ["--gzip"])):
        result = CliRunner().invoke(command, [str(tmp_path / out), *options, *extra])
        assert result.exit_code == 0, result.output
        assert "left out: month_end_export" in result.output
    for name in ("access", "context", "directory", "truth"):
        plain = (tmp_path / "plain" / f"{name}.ndjson").read_bytes()
        assert gzip.decompress((tmp_path / "packed" / f"{name}.ndjson.gz").read_bytes()) == plain
    ids = {
        orjson.loads(line)["id"] for line in (tmp_path / "plain" / "access.ndjson").read_bytes().splitlines()
    }
    truth = [orjson.loads(line) for line in (tmp_path / "plain" / "truth.ndjson").read_bytes().splitlines()]
    assert {line["shape"] for line in truth} == {"bulk_export", "leaver", "migration_batch"}
    assert all(line["event_ids"] and ids.issuperset(line["event_ids"]) for line in truth)
    assert len(list((tmp_path / "plain").iterdir())) == 4


def test_the_command_replaces_nothing_unless_told_to(tmp_path: Any) -> None:
    (tmp_path / "truth.ndjson").write_text("precious")
    options = [str(tmp_path), "--staff", "20", "--leaks", "none", "--lookalikes", "none"]
    refused = CliRunner().invoke(command, options)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.output
    assert (tmp_path / "truth.ndjson").read_text() == "precious"
    assert CliRunner().invoke(command, [*options, "--overwrite"]).exit_code == 0
    assert (tmp_path / "truth.ndjson").read_text() == ""


def test_the_command_names_an_unknown_leak(tmp_path: Any) -> None:
    result = CliRunner().invoke(command, [str(tmp_path / "out"), "--leaks", "bulk_raed"])
    assert result.exit_code == 2
    assert "'bulk_raed' is unknown; known are bulk_read" in result.output
    assert not (tmp_path / "out").exists()
