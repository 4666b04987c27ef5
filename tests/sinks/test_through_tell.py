"""A running tell brings an episode to receivers of different kinds, also when they fail in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka import ConsumerRecord

from streams.receivers import SyslogReceiver
from streams.sinks.base import Delivery
from streams.sinks.syslog import SyslogSink
from tests.receivers import LOCAL, Running, record, until
from tests.receivers import serving as quick_tell
from tests.sinks.apis import PagerDuty, Slack, TheHive, serving
from tests.sinks.notices import delivery
from tests.sinks.test_syslog import Collector
from tests.sinks.test_syslog import serving as syslog_server


def told(message: Delivery) -> ConsumerRecord[Any, Any]:
    return record(message.body, message.id.encode())


async def test_every_kind_has_the_whole_episode_after_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = Collector()
    messages = [delivery(activity) for activity in (1, 2, 3)]
    async with quick_tell(monkeypatch), serving() as start:
        oncall, chat, cases = await start(PagerDuty), await start(Slack), await start(TheHive)
        oncall.trouble = [web.Response(status=500)]
        chat.trouble = [web.Response(status=429, headers={"Retry-After": "60"})]
        cases.trouble = [web.Response(status=503)]
        with syslog_server(collector) as port:
            siem = SyslogReceiver(kind="syslog", host="127.0.0.1", port=port, tls=False, allow=LOCAL)
            receivers: dict[str, Any] = {"siem": SyslogSink("siem", siem)}
            for name, api in {"oncall": oncall, "chat": chat, "cases": cases}.items():
                receivers[name] = api.sink()
                receivers[name].name = name
            async with Running(tmp_path, receivers) as running:
                await running.tell.take([told(message) for message in messages])
                await until(lambda: len(collector.messages()) == 3)
                await until(
                    lambda: all(running.metric("attempts_total", receiver=name) for name in receivers)
                )
                running.later(60)
                for name in receivers:
                    await until(lambda name=name: set(running.states(name).values()) == {"delivered"})
    # What failed at first and is older by now would open the incident, or the case, again.
    assert [body["event_action"] for _, _, body in oncall.requests] == ["trigger", "trigger", "resolve"]
    assert running.metric("deliveries_total", receiver="oncall", outcome="superseded") == 1
    [kept] = cases.alerts.values()
    assert "closed" in kept["title"]
    # Where messages stand one beside the other, each arrives.
    assert {message["text"].partition(",")[0] for _, _, message in chat.requests[1:]} == {
        "New leak alert", "Leak alert has grown", "Leak alert closed",
    }  # fmt: skip
    assert [part.split(b" - ")[1] for part in collector.messages()] == [b"opened", b"grew", b"closed"]
