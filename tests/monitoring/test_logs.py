"""Logs are JSON lines on standard error, and hold nothing that looks private."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from streams.monitoring import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was before the test."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_both_loggings_end_up_as_json_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    structlog.get_logger("parcelwatch").info("checkpoint", stage="detect", seconds=0.2)
    logging.getLogger("elsewhere").warning("disk at %d %%", 91)
    ours, theirs = lines(capsys)
    assert (ours["event"], ours["stage"], ours["level"]) == ("checkpoint", "detect", "info")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("disk at 91 %", "warning", "elsewhere")


def test_below_the_level_nothing_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("error")
    structlog.get_logger("parcelwatch").warning("noise")
    logging.getLogger("elsewhere").info("noise")
    assert lines(capsys) == []


def test_private_looking_keys_are_replaced_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    structlog.get_logger("parcelwatch").info(
        "sent",
        phone="0901234567",
        receiver={"webhook_secret": "whsec_x", "status": 200},
        rows=[{"customer-name": "Mai"}],
        raw=b"0901234567",
    )
    text = json.dumps(lines(capsys))
    assert "0901234567" not in text
    assert "whsec_x" not in text
    assert "Mai" not in text
    assert '"status": 200' in text


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    customer = "Nguyen Van A"
    try:
        int(customer and "x")
    except ValueError:
        structlog.get_logger("parcelwatch").exception("failed")
    (line,) = lines(capsys)
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert "Nguyen" not in json.dumps(line)


def test_fausts_chatter_is_not_heard_but_its_warnings_are(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    for name in ("faust.worker", "mode.services", "aiokafka.consumer"):
        logging.getLogger(name).info("fetching")
        logging.getLogger(name).warning("rebalancing")
    assert [line["event"] for line in lines(capsys)] == ["rebalancing"] * 3


def test_a_library_that_repeats_itself_is_written_once_in_a_while_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a broker aiokafka says the same thing thousands of times a second."""
    logs.configure()
    for node in range(1000):
        logging.getLogger("aiokafka").error("Unable to update metadata from %s", node)
    logging.getLogger("aiokafka").error("something else")
    assert len(capsys.readouterr().err.splitlines()) == 2
    once = logs.Repeats(seconds=1)
    kept = []
    for at in (10.0, 10.1, 10.2, 11.5):
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "no broker at %s", ("b1",), None)
        record.created = at
        if once.filter(record):
            kept.append(record.getMessage())
    assert kept == ["no broker at b1", "no broker at b1 (and 2 times more since it was last logged)"]
