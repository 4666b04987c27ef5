"""The demo plays a carrier's day through real processes, tells the truth about it, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from streams.cli import main
from streams.demo import Plan, Seen, judge, prepare
from streams.demo.scene import timeline
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.kafka import jars as kafka_jars
from streams.privacy.filelock import file_lock

DEMO = [sys.executable, "-c", "from streams.cli import main; main()", "demo", "--staff", "25"]


class Silent:
    """Nobody is told."""

    def step(self, text: str) -> None: ...
    def progress(self, done: float, total: float, note: str) -> None: ...
    def alert(self, seen: Seen) -> None: ...


def environment(tmp_path: Path) -> dict[str, str]:
    mine = {k: v for k, v in os.environ.items() if not k.startswith("PARCELWATCH_")}
    # Settings of whoever runs it must not reach the demo's own processes: these would stop them.
    return mine | {
        "PARCELWATCH_DATA_DIR": str(tmp_path),
        "PARCELWATCH_BROKER": "127.0.0.1:1",
        "PARCELWATCH_HTTP_HOST": "192.0.2.1",
        "COLUMNS": "160",
    }


def processes(tmp_path: Path) -> list[str]:
    """Command lines of running processes that work in the folder (as argument, environment or directory)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if str(tmp_path).encode() in line or str(os.readlink(entry / "cwd")).startswith(str(tmp_path)):
                found.append(f"{entry.name} {line[:200]!r}")
        except OSError:
            continue  # it has just ended, or is not ours to look at
    return found


@pytest.mark.broker
def test_a_day_is_played_and_every_record_and_message_accounted_for(tmp_path: Path) -> None:
    command = [*DEMO, "--speed", "40000", "--before", "1", "--keep"]
    done = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(
        r"^(access-events|parcel-context|staff-directory) +([\d, ]+?) +(yes|NO)", done.stdout, re.M
    )
    assert len(rows) == 3
    for topic, numbers, whole in rows:
        sent, received, admitted, rejected, duplicate = numbers.replace(",", "").split()
        assert whole == "yes", topic
        assert int(sent) == int(received) == int(admitted) > 0 == int(rejected) == int(duplicate)
    messages, delivered = map(
        int, re.search(r"(\d+) alert messages, (\d+) at the webhook", done.stdout).groups()
    )  # type: ignore[union-attr]  # fails then, as it should
    assert messages == delivered > 0
    assert "every signature right" in done.stdout
    shapes = re.findall(
        r"^(bulk_read|bulk_export|off_hours|unrelated_parcel|enumeration) +(?:nv\d+) ", done.stdout, re.M
    )
    assert Counter(shapes) >= Counter(["bulk_read", "bulk_export", "off_hours", "enumeration"])
    assert re.search(r"[1-9] of \d planted leaks found", done.stdout), done.stdout
    assert not done.stderr.strip(), "libraries' complaints are for the log"
    assert (tmp_path / "demo" / "truth.ndjson").exists(), "--keep keeps"
    assert (tmp_path / "demo" / "parcelwatch.toml").stat().st_mode & 0o077 == 0, "it holds a secret"
    assert not processes(tmp_path)


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_halfway_ends_every_process_and_removes_the_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [*DEMO, "--speed", "60", "--before", "0"]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        for line in demo.stdout:
            if "live" in line:
                break
        demo.send_signal(number)
        said = demo.stderr.read()
    assert demo.returncode == 130
    assert said.strip() == "Stopped; everything has ended."
    assert not processes(tmp_path)
    assert not (tmp_path / "demo").exists()


def test_two_demos_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    with file_lock(tmp_path / "demo.lock", 0):
        result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "another demo runs in" in result.stderr


def test_without_network_at_first_use_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> str:
        raise kafka_jars.JarError("Apache Kafka is not on this machine; run this once with network access")

    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "missing", lambda: 3)
    monkeypatch.setattr(kafka_jars, "classpath", unreachable)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "fetching Apache Kafka" in result.stdout
    assert "run this once with network access" in result.stderr


def test_what_is_prepared_is_whole_in_order_and_leaks_on_the_live_day_only(tmp_path: Path) -> None:
    plan = Plan.make(staff=25, days=1, seed=3, speed=1800, before=1)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "of an earlier demo").touch()
    scene = prepare(tmp_path / "demo", plan, Silent())
    assert not (tmp_path / "demo" / "of an earlier demo").exists()
    records = list(timeline(scene.folder))
    assert [at for at, _, _ in records] == sorted(at for at, _, _ in records)
    assert Counter(topic for _, topic, _ in records) == {
        topic: scene.records[topic] for topic in (ACCESS_EVENTS, PARCEL_CONTEXT)
    }
    when = {orjson.loads(value).get("id"): at for at, topic, value in records if topic == ACCESS_EVENTS}
    leaks = [line for line in scene.truth if line["label"] == "leak"]
    assert leaks
    for line in leaks:
        assert all(plan.starts <= when[event] < plan.ends for event in line["event_ids"])


def message(uid: str, actor: str, time: int, activity: int = 1, sequence: int = 1) -> Seen:
    event: dict[str, Any] = {
        "activity_id": activity,
        "time": time,
        "end_time": time,
        "actor": {"user": {"uid": actor}},
        "finding_info": {"uid": uid},
        "metadata": {"sequence": sequence},
    }
    return Seen(f"{uid}-{sequence}", event, 1, 2)


def test_an_alert_counts_for_a_leak_when_it_is_on_that_person_at_that_time() -> None:
    noon, hour = 1_772_427_600_000, 3_600_000
    truth = [
        {"actor": "a", "start": "2026-03-02T12:00:00+07:00", "end": "2026-03-02T13:00:00+07:00"},
        {"actor": "b", "start": "2026-03-02T12:00:00+07:00", "end": "2026-03-02T13:00:00+07:00"},
        {"actor": "*", "start": "2026-03-02T00:00:00+07:00", "end": "2026-03-03T00:00:00+07:00"},
    ]
    seen = [
        message("in time", "A", noon + hour // 2, activity=2, sequence=2),
        message("in time", "A", noon),
        message("after the grace", "A", noon + 25 * hour),
        message("before", "A", noon - hour),
        message("days later", "A", noon + 100 * hour),
        message("somebody else", "C", noon),
        message("somebody else", "C", noon, activity=2, sequence=2),
    ]
    judged, others = judge(truth, seen, {"a": "A", "b": "B"})
    assert [[alert.id for alert in one.alerts] for one in judged] == [
        ["in time-1", "in time-2", "after the grace-1"],
        [],
    ]
    assert sorted(alert.id for alert in others) == ["before-1", "days later-1", "somebody else-1"]
