"""An engineer sees what each line of a log becomes, and backtests and replays it at once."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.formats.catalogue import FORMATS
from tests.format_examples import AUDIT, csvlog, trail

LINE = '10.2.3.4 - {} [02/Mar/2026:0{}:{:02}:{:02} +0700] "GET /shipments/R{} HTTP/1.1" 200 512 "-" "x"\n'
WEB = "[constants]\ncarrier = 'mine'\n[[patterns]]\nmatch = '^/shipments/(?P<parcel>\\w+)'\n"
PG = "[constants]\ncarrier = 'mine'\n[[patterns]]\nmatch = \"'(?P<parcel>VN[0-9]+)'\"\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "web.toml").write_text(WEB)
    (tmp_path / "pg.toml").write_text(PG)
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, [*map(str, words)])


def test_every_format_is_listed(run: Callable[..., Result]) -> None:
    shown = run("formats", "list").output
    assert [line.split()[0] for line in shown.splitlines()[1:]] == list(FORMATS)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_each_line_is_shown_with_what_it_becomes_and_no_id_in_clear(
    run: Callable[..., Result], tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    lines = [LINE.format("nv0231", 8, 3, 21, "VN123456"), "nonsense 0912345678\n",
             LINE.format("nv0231", 8, 3, 22, 7).replace("/shipments", "/css"),
             LINE.format("-", 8, 3, 23, 8)]  # fmt: skip
    (tmp_path / "log").write_bytes(pack("".join(lines).encode()))
    result = run("formats", "try", "log", "--format", "weblog", "--mapping", "web.toml")
    assert result.exit_code == 0
    assert re.search(r"^1 +2026-03-02T08:03:21\+07:00 +mine +nv…1 +view +RV…6", result.output, re.M)
    assert re.search(
        "^2 .*not_this_format: the line is not as the combined format has it", result.output, re.M
    )
    assert re.search("^3 .*ignored: none of the mapping file's patterns", result.output, re.M)
    assert re.search(r"^4 .*missing_field at \$.actor", result.output, re.M)
    assert "4 entries: 1 can be admitted, 2 refused, 1 ignored" in result.output
    assert not re.search("nv0231|VN123456|0912345678|10.2.3.4", result.output)


def test_what_admit_would_refuse_is_said_beforehand(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("T;WHO;N\n2026-03-02T08:00:00;a;1\n2026-03-02T08:00:00+07:00;b;-5\n")
    words = ["--map", "time=T", "--map", "actor=WHO", "--map", "records=N", "--set", "carrier=c", "--set"]
    result = run("formats", "try", "log.csv", *words, "action=view")
    assert result.exit_code == 1
    assert "time_without_offset at $.time" in result.output
    assert "invalid_records at $.records" in result.output
    wrong = run("formats", "try", "log.csv", *words, "action=open").output
    assert "there is no action 'open'; the actions are" in wrong


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--format", "weblog", "--set", "carrier=c"], r"needs \[\[patterns\]\]"),
        (["--format", "ecs"], "--set carrier=CODE"),
        (["--mapping", "web.toml"], "--mapping FILE goes with --format"),
        (["--format", "mapping", "--mapping", "none.toml"], "cannot read the mapping none.toml"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    run: Callable[..., Result], tmp_path: Path, words: list[str], complaint: str
) -> None:
    (tmp_path / "log").write_text("x\n")
    result = run("formats", "try", "log", *words)
    assert result.exit_code == 2
    assert re.search(complaint, result.output)


def test_an_access_log_is_backtested_at_once_and_every_line_accounted_for(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    lines = [LINE.format("s1", 3, n // 60, n % 60, n) for n in range(900)]
    lines[5:5] = ["nonsense\n", LINE.format("s1", 3, 0, 5, 5).replace("/shipments", "/css")]
    lines.append(LINE.format("s1", 3, 0, 5, 5).replace("2026", "2046"))
    (tmp_path / "log").write_bytes(gzip.compress("".join(lines).encode()))
    words = [
        "--events",
        "log",
        "--format",
        "weblog",
        "--mapping",
        "web.toml",
        "--alerts",
        "alerts",
        "--rejected",
        "no",
    ]
    result = run("backtest", *words, "--clear-actors")
    assert result.exit_code == 0, result.output
    assert re.search(r"access-events +902 +900 +2 +0", result.stderr)
    assert "not received, ignored, access-events: no_pattern 1" in result.stderr
    alerts = [orjson.loads(line) for line in (tmp_path / "alerts").read_bytes().splitlines()]
    assert {alert["actor"]["user"]["uid"] for alert in alerts} == {"s1"}
    refused = [orjson.loads(line) for line in (tmp_path / "no").read_bytes().splitlines()]
    assert [(one["record"], one["reason"]) for one in refused] == [
        (6, "not_this_format"),
        (903, "time_in_future"),
    ]


def test_the_settings_say_what_a_backtest_reads(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_INPUT_FORMAT", "cloudtrail")
    monkeypatch.setenv("PARCELWATCH_INPUT_CARRIER", "mine")
    records = [trail(eventTime="2026-03-02T01:00:00Z", eventID=str(n)) for n in range(3)]
    (tmp_path / "log").write_bytes(
        orjson.dumps({"Records": [*records, records[0], {"eventName": "PutObject"}]})
    )
    result = run("backtest", "--events", "log", "--alerts", "alerts")
    assert re.search(r"access-events +4 +3 +0 +1", result.stderr)
    assert "ignored, access-events: other_operation 1" in result.stderr


def test_a_statement_of_several_lines_is_one_entry(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(csvlog("started") + b"\n" + csvlog() + b"\n" + csvlog(AUDIT) + b"\n")
    result = run("formats", "try", "log", "--format", "pgaudit", "--mapping", "pg.toml")
    assert "3 entries: 2 can be admitted, 0 refused, 1 ignored" in result.output
    prefix = b"2026-11-24 08:03:21.120 +07 [1] nv0231@tms "
    plain = prefix + b"LOG:  " + AUDIT.encode().replace(b"\n", b"\n\t") + b"\n"
    (tmp_path / "log").write_bytes(plain + prefix + b'ERROR:  syntax error at or near """\n' + plain)
    result = run("formats", "try", "log", "--format", "pgaudit", "--mapping", "pg.toml")
    assert "3 entries: 2 can be admitted, 0 refused, 1 ignored" in result.output
