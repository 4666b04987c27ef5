"""A courier delivers at its receiver's own pace, and says what became of each alert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from streams.receivers import WebhookReceiver
from streams.settings import Settings
from streams.sinks import Delivery, Outcome, Sink, open_sinks
from streams.tell.courier import LONGEST_STEP
from streams.tell.deliveries import Outbox
from tests.receivers import (
    SECRET,
    Hooks,
    Running,
    alert,
    alerts,
    record,
    serving,
    until,
)


@pytest.fixture
async def hooks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    async with serving(monkeypatch) as start:
        yield start


async def test_a_failed_attempt_is_repeated_under_the_same_id(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.answers = [web.Response(status=500), web.Response(status=500)]
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.answers() == {"a-1": "HTTP 500"})
        running.later(4.9)
        running.later(0.2)  # 5 s after the first
        await until(lambda: len(soc.ids) == 2)
        await until(lambda: running.metric("attempts_total", receiver="soc") == 2)
        running.later(10.1)
        await until(lambda: running.states() == {"a-1": "delivered"})
    assert soc.ids == ["a-1"] * 3
    assert soc.bodies[0] == soc.bodies[2]


async def test_nothing_is_tried_before_its_time(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.answers = [web.Response(status=500)]
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.answers() == {"a-1": "HTTP 500"})
        running.later(4.9)
        await running.tell.take(alerts("b-1"))  # a later turn of the same courier
        await until(lambda: running.states().get("b-1") == "delivered")
    assert soc.ids == ["a-1", "b-1"]


@pytest.mark.parametrize(("asked", "waits"), [("120", 120.0), ("999999", LONGEST_STEP)])
async def test_retry_after_holds_the_whole_receiver(
    hooks: Hooks, tmp_path: Path, asked: str, waits: float
) -> None:
    """A receiver that asks to be left alone is, also with other alerts, but for an hour at the most."""
    soc, siem = await hooks(), await hooks()
    soc.answers = [web.Response(status=429, headers={"Retry-After": asked})]
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.metric("attempts_total", receiver="soc") == 1)
        await until(lambda: "429" in running.answers()["a-1"])
        running.later(waits - 1)
        await running.tell.take(alerts("b-1"))
        await until(lambda: running.states("siem") == {"a-1": "delivered", "b-1": "delivered"})
        assert soc.ids == ["a-1"]
        running.later(2)
        await until(lambda: running.states() == {"a-1": "delivered", "b-1": "delivered"})


async def test_an_alert_is_given_up_after_a_day_kept_and_resent(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.otherwise = 500
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts("a-1"))
        for attempts in range(1, 100):
            await until(lambda n=attempts: running.entries()[0].attempts == n)  # type: ignore[misc]  # bound early
            if running.states() == {"a-1": "undelivered"}:
                break
            running.later(LONGEST_STEP)
        assert running.clock.now - running.entries()[0].since == pytest.approx(86_400, abs=LONGEST_STEP)
        assert running.answers() == {"a-1": f"given up after {attempts} attempts: HTTP 500"}
        await until(lambda: running.metric("undelivered", receiver="soc") == 1)
        soc.otherwise = 200
        with closing(Outbox(running.path)) as other:  # as `parcelwatch deliveries resend` does
            assert other.resend(running.clock.now, ["soc"]) == 1
        await until(lambda: running.states() == {"a-1": "delivered"})
    assert running.metric("deliveries_total", receiver="soc", outcome="undelivered") == 1


async def test_gone_disables_the_receiver_and_keeps_its_alerts(hooks: Hooks, tmp_path: Path) -> None:
    soc, siem = await hooks(), await hooks()
    soc.answers = [web.Response(status=410)]
    async with Running(tmp_path, {"soc": soc, "siem": siem}) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.metric("receiver_disabled", receiver="soc") == 1)
        await running.tell.take(alerts("b-1"))
        await until(lambda: running.states("siem") == {"a-1": "delivered", "b-1": "delivered"})
        assert running.states() == {"a-1": "undelivered", "b-1": "undelivered"}
        assert all("HTTP 410" in answer for answer in running.answers().values())
    assert soc.ids == ["a-1"]
    assert running.metric("receiver_disabled", receiver="siem") == 0


async def test_a_private_address_is_refused_at_once_and_the_alert_kept(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    settings = Settings(receivers={"soc": WebhookReceiver(url=SecretStr(soc.url), secret=SecretStr(SECRET))})
    async with Running(tmp_path, dict(open_sinks(settings))) as running:
        await running.tell.take(alerts("a-1"))
        await until(lambda: running.states() == {"a-1": "undelivered"})
        assert "receivers.soc.allow" in running.answers()["a-1"]
    assert soc.ids == []


async def test_a_hanging_receiver_delays_no_other(hooks: Hooks, tmp_path: Path) -> None:
    dead, soc = await hooks(), await hooks()
    dead.hanging = True
    ids = [f"e{n}-1" for n in range(50)]
    async with Running(tmp_path, {"dead": dead, "soc": soc}) as running:
        await running.tell.take(alerts(*ids))
        await until(lambda: set(running.states().values()) == {"delivered"})
        assert set(running.states("dead").values()) == {"pending"}
    assert sorted(soc.ids) == sorted(ids)
    assert len(dead.ids) == 4  # no more than that at a time


async def test_a_sink_that_breaks_delays_no_other_and_says_nothing_private(
    hooks: Hooks, tmp_path: Path
) -> None:
    class Broken(Sink):
        name = "broken"
        give_up_after = 60.0

        def __init__(self) -> None:
            pass

        async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            raise KeyError("0901234567")

    soc = await hooks()
    with capture_logs() as logged:
        async with Running(tmp_path, {"broken": Broken(), "soc": soc}) as running:
            await running.tell.take(alerts("a-1"))
            await until(lambda: running.states() == {"a-1": "delivered"})
            await until(lambda: running.answers("broken") == {"a-1": "internal error: KeyError"})
    assert "0901234567" not in repr(logged)


async def test_messages_of_an_episode_arrive_in_order(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    ids = [f"{uid}-{n}" for n in range(1, 9) for uid in "abc"]
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take(alerts(*ids))
        await until(lambda: set(running.states().values()) == {"delivered"})
    for uid in "abc":
        assert [i for i in soc.ids if i[0] == uid] == [f"{uid}-{n}" for n in range(1, 9)]


async def test_what_was_under_way_at_the_end_is_delivered_after_a_restart(
    hooks: Hooks, tmp_path: Path
) -> None:
    """Cut off before an attempt and in the middle of one: the same ids arrive afterwards."""
    soc = await hooks()
    soc.hanging = True
    running = Running(tmp_path, {"soc": soc})
    await running.tell.take(alerts(*(f"e{n}-1" for n in range(6))))
    await until(lambda: len(soc.ids) == 4)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert set(running.states().values()) == {"pending"}
    soc.hanging = False
    async with Running(tmp_path, {"soc": soc}) as again:
        await until(lambda: set(again.states().values()) == {"delivered"})
    assert sorted(set(soc.ids)) == [f"e{n}-1" for n in range(6)]


async def test_the_delay_runs_from_the_topic_to_the_answer(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    async with Running(tmp_path, {"soc": soc}) as running:
        await running.tell.take([record(alert("a"), b"a-1", timestamp=running.clock.now - 7)])
        await until(lambda: running.states() == {"a-1": "delivered"})
        await until(lambda: running.metric("delivery_delay_seconds_count", receiver="soc") == 1)
        assert running.metric("delivery_delay_seconds_sum", receiver="soc") == pytest.approx(7, abs=0.01)


async def test_no_log_line_holds_an_address_a_secret_or_a_body(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    soc.url = soc.url.replace("http://", "http://user:hunter2@") + "?token=hunter3"
    soc.answers = [web.Response(status=500, text="hunter4"), web.Response(status=410)]
    with capture_logs() as logged:
        async with Running(tmp_path, {"soc": soc}) as running:
            await running.tell.take(alerts("a-1"))
            await until(lambda: running.answers() == {"a-1": "HTTP 500"})
            running.later(6)
            await until(lambda: running.states() == {"a-1": "undelivered"})
    text = repr(logged)
    assert "attempt failed" in text
    assert "hunter" not in text
    assert SECRET[6:] not in text
    assert "Đã xem" not in text
