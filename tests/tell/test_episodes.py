"""What a receiver is told of an episode as a whole: from which severity, in batches, and nothing outdated."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from streams.receivers import WebhookReceiver
from streams.sinks import Delivery, Outcome, Sink
from streams.tell.deliveries import Outbox
from streams.tell.schema import SCHEMA, SCHEMA_VERSION
from tests.receivers import SECRET, Hooks, Running, alert, alerts, record, serving, until


@pytest.fixture
async def hooks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    async with serving(monkeypatch) as start:
        yield start


class Recorder(Sink):
    """Keeps what it is handed, and says what it is told to, by message id; all else is delivered."""

    def __init__(self, **more: Any) -> None:
        settings = {key: more.pop(key) for key in ("minimum_severity",) if key in more}
        super().__init__("soc", WebhookReceiver(url="https://soc.example/", secret=SECRET, **settings))  # type: ignore[arg-type]  # texts become secrets
        for name, value in more.items():
            setattr(self, name, value)
        self.handed: list[list[str]] = []
        self.says: dict[str, list[Outcome]] = {}
        self.held: dict[str, asyncio.Event] = {}

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.handed.append([one.id for one in deliveries])
        for one in deliveries:
            if one.id in self.held:
                await self.held[one.id].wait()
        return [
            self.says[one.id].pop(0) if self.says.get(one.id) else Outcome("delivered", "HTTP 200", 200)
            for one in deliveries
        ]


def severe(id_: str, severity: object, activity: int = 1) -> ConsumerRecord[Any, Any]:
    body = {**json.loads(alert(id_.partition("-")[0], activity)), "severity_id": severity}
    return record(json.dumps(body).encode(), id_.encode())


async def test_a_receiver_is_spared_what_is_below_its_minimum_severity(hooks: Hooks, tmp_path: Path) -> None:
    siem = await hooks()
    async with Running(tmp_path, {"soc": Recorder(minimum_severity="high"), "siem": siem}) as running:
        await running.tell.take([severe("a-1", 2), severe("b-1", 4), severe("c-1", 3), severe("d-1", 5)])
        await until(lambda: len(siem.ids) == 4)
        await until(lambda: running.states() == {"b-1": "delivered", "d-1": "delivered"})
    assert running.metric("alerts_total") == 4


async def test_an_episode_once_told_is_told_to_its_end(tmp_path: Path) -> None:
    """Also when it sinks below the minimum: whoever was told that it opened is told that it closed."""
    soc = Recorder(minimum_severity="high")
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(
            [severe("a-1", 2), severe("a-2", 4, 2), severe("a-3", 2, 3), severe("b-3", 2, 3)]
        )
        await until(lambda: running.states() == {"a-2": "delivered", "a-3": "delivered"})
    assert soc.handed == [["a-2"], ["a-3"]]


@pytest.mark.parametrize("severity", [None, 0, 99, "4", -1])
async def test_an_alert_of_no_known_severity_is_kept_from_nobody(tmp_path: Path, severity: object) -> None:
    async with Running(tmp_path, {"soc": Recorder(minimum_severity="fatal")}) as running:
        await running.tell.take([severe("a-1", severity)])
        await until(lambda: running.states() == {"a-1": "delivered"})


async def test_each_alert_of_a_batch_keeps_its_own_fate(tmp_path: Path) -> None:
    soc = Recorder(batch=10)
    soc.says = {
        "b-1": [Outcome("retry", "item status 429", 429)],
        "c-1": [Outcome("refused", "item status 400", 400)],
    }
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1", "b-1", "c-1", "d-1"))
        await until(lambda: len(running.states()) == 4 and "item status 429" in running.answers().values())
        await until(lambda: list(running.states().values()).count("delivered") == 2)
        await until(lambda: running.states()["c-1"] == "undelivered")
        running.later(5.1)
        await until(lambda: running.states()["b-1"] == "delivered")
    assert soc.handed == [["a-1", "b-1", "c-1", "d-1"], ["b-1"]]
    assert running.metric("attempts_total", receiver="soc") == 5


async def test_a_batch_is_no_larger_than_the_sink_takes(tmp_path: Path) -> None:
    soc = Recorder(batch=3)
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts(*(f"e{number}-1" for number in range(20))))
        await until(lambda: list(running.states().values()) == ["delivered"] * 20)
    assert {len(batch) for batch in soc.handed[:6]} == {3}
    assert sorted(id_ for batch in soc.handed for id_ in batch) == sorted(
        f"e{number}-1" for number in range(20)
    )


async def test_a_receiver_of_states_is_not_told_what_is_outdated(tmp_path: Path) -> None:
    """An opening that comes after its closing would open the episode again."""
    soc, siem = Recorder(newest_only=True), Recorder()
    siem.name = "siem"
    for sink in (soc, siem):
        sink.says = {"a-1": [Outcome("retry", "HTTP 500", 500)]}
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take([severe("a-1", 4), severe("a-2", 4, 3)])
        for name in ("soc", "siem"):
            await until(lambda n=name: running.states(n).get("a-2") == "delivered")  # type: ignore[misc]  # bound early
        running.later(5.1)
        await until(
            lambda: running.states() == running.states("siem") == {"a-1": "delivered", "a-2": "delivered"}
        )
        assert running.answers()["a-1"].startswith("superseded")
    assert [batch for batch in soc.handed if batch == ["a-1"]] == [["a-1"]]
    assert siem.handed[-1] == ["a-1"]
    assert running.metric("deliveries_total", receiver="soc", outcome="superseded") == 1


async def test_two_messages_of_an_episode_never_pass_each_other_on_the_way_to_a_receiver_of_states(
    tmp_path: Path,
) -> None:
    """An opening that is tried again waits for the closing that is under way, and is then outdated."""
    soc = Recorder(newest_only=True, batch=10)
    soc.says = {
        "a-1": [Outcome("retry", "HTTP 500", 500)],
        "a-2": [Outcome("retry", "HTTP 500", 500)],
        "b-1": [Outcome("retry", "HTTP 500", 500)],
    }
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take([severe("a-1", 4), severe("a-2", 4, 3), severe("b-1", 4)])
        await until(lambda: running.metric("attempts_total", receiver="soc") == 3)
        await until(lambda: list(running.answers().values()) == ["HTTP 500"] * 3)
        soc.handed.clear()
        running.later(5.1)  # all are due again
        await until(lambda: set(running.states().values()) == {"delivered"})
    # In one batch or two, as the courier happens to look.
    assert sorted(id_ for batch in soc.handed for id_ in batch) == ["a-2", "b-1"]


async def test_open_episodes_are_told_again_until_they_close(tmp_path: Path) -> None:
    soc = Recorder(refresh=60.0, batch=10)
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(
            [severe("a-1", 4), severe("b-1", 4), severe("a-2", 4, 2), severe("c-1", 4, 3)]
        )
        await until(lambda: set(running.states().values()) == {"delivered"} and len(running.states()) == 4)
        soc.handed.clear()
        running.later(60.1)
        await until(lambda: soc.handed == [["b-1", "a-2"]])
        running.later(30.0)  # nothing is due, as what comes next shows
        await running.tell.take([severe("d-3", 4, 3)])
        await until(lambda: running.states().get("d-3") == "delivered")
        assert soc.handed == [["b-1", "a-2"], ["d-3"]]
        soc.says = {"a-2": [Outcome("retry", "HTTP 500", 500)]}
        running.later(30.1)
        await until(lambda: running.metric("refreshes_total", receiver="soc", outcome="failed") == 1)
        # What could not be told again stays what it was: delivered.
        assert set(running.states().values()) == {"delivered"}
        await running.tell.take([severe("a-3", 4, 3)])
        await until(lambda: running.states().get("a-3") == "delivered")
        soc.handed.clear()
        running.later(60.1)
        await until(lambda: soc.handed == [["b-1"]])


async def test_a_closing_waits_for_the_refresh_of_its_episode_that_is_under_way(tmp_path: Path) -> None:
    """Were it to arrive first, the refresh would open the episode again."""
    soc = Recorder(refresh=60.0, batch=10, newest_only=True)
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take([severe("a-1", 4)])
        await until(lambda: running.states() == {"a-1": "delivered"})
        soc.held["a-1"] = asyncio.Event()
        running.later(60.1)
        await until(lambda: soc.handed == [["a-1"]] * 2)
        await running.tell.take([severe("a-2", 4, 3), severe("b-1", 4)])
        await until(lambda: running.states().get("b-1") == "delivered")
        assert soc.handed[2:] == [["b-1"]]
        soc.held["a-1"].set()
        await until(lambda: running.states().get("a-2") == "delivered")


async def test_a_refresh_leaves_out_what_closed_after_it_began(tmp_path: Path) -> None:
    soc = Recorder(refresh=60.0, batch=1, newest_only=True)
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take([severe("a-1", 4), severe("b-1", 4), severe("c-1", 4)])
        await until(lambda: list(running.states().values()) == ["delivered"] * 3)
        soc.handed.clear()
        soc.held["a-1"] = asyncio.Event()
        running.later(60.1)
        await until(lambda: soc.handed == [["a-1"]])
        await running.tell.take([severe("b-2", 4, 3)])
        await until(lambda: running.states().get("b-2") == "delivered")
        soc.held["a-1"].set()
        await until(lambda: ["c-1"] in soc.handed)
    assert soc.handed == [["a-1"], ["b-2"], ["c-1"]]


async def test_what_is_resent_opens_no_episode_again(tmp_path: Path) -> None:
    """An opening that was given up while the receiver was away is outdated once the closing arrived."""
    soc = Recorder(newest_only=True)
    soc.says = {"a-1": [Outcome("refused", "HTTP 400", 400)]}
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take([severe("a-1", 4), severe("a-2", 4, 3)])
        await until(lambda: running.states() == {"a-1": "undelivered", "a-2": "delivered"})
        with closing(Outbox(running.path)) as other:
            assert other.resend(running.clock.now, ["soc"]) == 1
        await until(lambda: running.states()["a-1"] == "delivered")
        assert running.answers()["a-1"].startswith("superseded")
    assert soc.handed == [["a-1"], ["a-2"]]


async def test_growth_that_did_not_arrive_ends_no_episode_but_a_close_does(tmp_path: Path) -> None:
    soc = Recorder(refresh=60.0, batch=10)
    soc.says = {id_: [Outcome("refused", "HTTP 400", 400)] for id_ in ("a-2", "b-2")}
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(
            [severe(id_, 4, int(id_[2]) if id_ == "a-2" else 1) for id_ in ("a-1", "b-1", "a-2")]
        )
        await running.tell.take([severe("b-2", 4, 3)])
        await until(lambda: list(running.states().values()).count("undelivered") == 2)
        soc.handed.clear()
        running.later(60.1)
        await until(lambda: soc.handed == [["a-1"]])


def test_an_outbox_of_an_older_version_is_taken_over_with_its_deliveries(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.sqlite"
    with closing(sqlite3.connect(path)) as old:
        for statement in filter(str.strip, SCHEMA.split(";")):
            if "by_episode" not in statement:
                old.execute(statement)
        old.execute(
            "INSERT INTO messages VALUES (1, 'a-1', 'a', 'parcelwatch.alert.created', 1, 1.0, 1.0, x'7b7d')"
        )
        old.execute("INSERT INTO deliveries VALUES ('soc', 1, 'a', 'pending', 0, 1.0, 1.0, 1.0, '')")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    with closing(Outbox(path)) as outbox:
        assert [item.delivery.id for item in outbox.due("soc", 2.0, 9)] == ["a-1"]
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert now.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_episode'").fetchone()
