"""A real Prometheus scrapes real processes, and finds data behind every panel of every dashboard."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from deploy.grafana.draw import Prometheus, Window, picture
from deploy.grafana.generate import DASHBOARDS, FOLDER
from streams.kafka.broker import Broker
from tests.monitored import Monitored, carriers_days, faulty, monitored, staffed

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not on PATH; on Debian: apt install prometheus",
    ),
]
#: Lines of panels that may be empty in a run of a minute, and why.
EMPTY = {
    ("Surprises, by mode", "A"): "no model is in force, so no hour is scored",
    ("Systems heard of", "B"): "a week ago there was no Prometheus",
    ("Records, and a week ago", "B"): "a week ago there was no Prometheus",
}


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Topics have one name, and what is counted here must be what was sent here."""
    with Broker(tmp_path_factory.mktemp("broker")) as own:
        yield own


async def test_there_is_data_behind_every_panel_and_every_rule_works(
    own_broker: Broker, app_id: str, tmp_path: Path
) -> None:
    """Its parts need the same processes and the same day of a carrier, which take most of the time."""
    directory, events = carriers_days()
    async with monitored(own_broker.bootstrap, app_id, tmp_path) as one:
        await staffed(one, directory)
        await one.send(*events, *faulty(events))
        await one.through()
        await one.judge("true_positive")
        await one.until("count(parcelwatch_history_rows_total > 0)")
        await one.until("count(job_detector:parcelwatch_verdicts:false_positive_ratio_increase4w)")
        window = Window(time.time() - 300, time.time(), rate_interval=120)
        missing = await asyncio.to_thread(without_data, one.prometheus, window)
        assert missing == set(EMPTY), missing ^ set(EMPTY)
        await everything_adds_up(one)
        rules_work(one.prometheus)
        await metrics_are_clean(one)
        await asyncio.to_thread(can_be_drawn, one.prometheus, window)


def without_data(prometheus: Prometheus, window: Window) -> set[tuple[str, str]]:
    """Lines of panels, by title and letter, for which Prometheus has no number."""
    missing = set()
    for name in DASHBOARDS:
        for panel in json.loads((FOLDER / f"{name}.json").read_text())["panels"]:
            for target in panel.get("targets", []):
                found = prometheus.now(window.fill(target["expr"]), window.end)
                if not any(math.isfinite(series.points[-1][1]) for series in found):
                    missing.add((panel["title"], target["refId"]))
    return missing


async def everything_adds_up(one: Monitored) -> None:
    assert await one.value("sum(parcelwatch_records_received_total)") == one.sent
    parts = ("admitted", "rejected", "duplicate")
    found = [await one.value(f"sum(parcelwatch_records_{part}_total)") for part in parts]
    assert sum(found) == one.sent
    assert all(found)


def rules_work(prometheus: Prometheus) -> None:
    """No rule failed on real series, and nothing is wrong with what is well."""
    groups = prometheus.get("rules")["groups"]
    assert len(groups) == 4
    assert {
        (rule["name"], rule["lastError"])
        for group in groups
        for rule in group["rules"]
        if "lastError" in rule
    } == set()
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
    recorded = [rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "recording"]
    assert [name for name in recorded if not prometheus.now(name, time.time())] == []
    assert prometheus.now('ALERTS{alertstate="firing"}', time.time()) == []


async def metrics_are_clean(one: Monitored) -> None:
    """`promtool check metrics` has nothing to say of any process, in either format of the exposition."""
    async with aiohttp.ClientSession() as http:
        for job, port in one.ports.items():
            async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
                text = await response.text()
            done = await asyncio.to_thread(
                subprocess.run,
                ["promtool", "check", "metrics"],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), job
            assert "vnx" not in text
            assert "k1." not in text


def can_be_drawn(prometheus: Prometheus, window: Window) -> None:
    board = json.loads((FOLDER / "leaks.json").read_text())
    figure = picture(board, prometheus, window)
    shown = {text.get_text() for text in figure.texts}
    assert {panel["title"] for panel in board["panels"]} <= shown
    drawn = BytesIO()
    figure.savefig(drawn, dpi=20)
    assert drawn.tell() > 5_000
