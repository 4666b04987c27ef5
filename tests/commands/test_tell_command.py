"""`parcelwatch tell` and `parcelwatch deliveries` do what they say, and say what to do."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.commands.tell import only_one
from streams.tell.deliveries import Outbox
from streams.tell.service import read_alert
from tests.receivers import (
    Hooks,
    alerts,
    environment,
    serving,
)


@pytest.fixture
async def hooks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hooks]:
    async with serving(monkeypatch) as start:
        yield start


async def invoke(env: dict[str, str], *args: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, ["tell", *args])


async def deliveries(env: dict[str, str], *args: str) -> Result:
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, ["deliveries", *args])


async def test_a_test_message_is_signed_and_its_answer_shown(hooks: Hooks, tmp_path: Path) -> None:
    soc = await hooks()
    result = await invoke(environment(tmp_path, soc), "test", "soc")
    assert (result.exit_code, soc.bodies[0]["type"]) == (0, "parcelwatch.test")
    assert f"soc took {soc.ids[0]}: HTTP 200" in result.output
    soc.otherwise = 503
    result = await invoke(environment(tmp_path, soc), "test", "soc")
    assert result.exit_code == 1
    assert "HTTP 503" in result.output


async def test_undelivered_alerts_can_be_listed_and_resent(hooks: Hooks, tmp_path: Path) -> None:
    env = environment(tmp_path, await hooks())
    with closing(Outbox(tmp_path / "deliveries.sqlite")) as outbox:
        outbox.admit([read_alert(r) for r in alerts("a-1", "b-1")], ["soc"], 1.0)
        outbox.disable("soc", 2.0, "HTTP 410: the receiver wants no more alerts")
    result = await deliveries(env, "list", "--state", "undelivered")
    assert result.exit_code == 0
    assert "disabled: HTTP 410" in result.output
    assert {"a-1", "b-1"} <= set(result.output.split())
    result = await deliveries(env, "resend", "--id", "a-1")
    assert result.output == "1 deliveries will be tried again by `parcelwatch tell`.\n"
    assert "b-1" not in (await deliveries(env, "list", "--state", "pending")).output
    assert (await deliveries(env, "resend", "--all-undelivered")).exit_code == 0
    pending = await deliveries(env, "list", "--receiver", "soc", "--state", "pending")
    assert {"a-1", "b-1"} <= set(pending.output.split())
    assert "disabled" not in pending.output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["resend"], "give one of"),
        (["resend", "--receiver", "soc", "--all-undelivered"], "give one of"),
        (["resend", "--receiver", "siem"], "no receiver is called 'siem'; there are: soc"),
        (["resend", "--all-undelivered"], "there is no outbox"),
        (["list"], "there is no outbox"),
    ],
)
async def test_a_mistaken_command_says_what_to_do(
    hooks: Hooks, tmp_path: Path, args: list[str], said: str
) -> None:
    result = await deliveries(environment(tmp_path, await hooks()), *args)
    assert result.exit_code != 0
    assert said in result.output


async def test_no_test_message_goes_to_a_receiver_that_is_none(hooks: Hooks, tmp_path: Path) -> None:
    result = await invoke(environment(tmp_path, await hooks()), "test", "siem")
    assert result.exit_code == 1
    assert "no receiver is called 'siem'; there are: soc" in result.output


async def test_tell_does_not_start_over_settings_that_would_lose_alerts(hooks: Hooks, tmp_path: Path) -> None:
    result = await invoke({"PARCELWATCH_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert "no receiver is set up; set PARCELWATCH_RECEIVERS__SOC__URL" in result.output
    short = "whsec_" + base64.b64encode(b"short").decode()
    result = await invoke(environment(tmp_path, await hooks(), PARCELWATCH_RECEIVERS__SOC__SECRET=short))
    assert result.exit_code == 1
    assert "receivers.soc.secret = (not shown): holds 5 bytes" in result.output
    assert short[6:] not in result.output


async def test_a_second_tell_over_the_same_outbox_does_not_start(hooks: Hooks, tmp_path: Path) -> None:
    env = environment(tmp_path, await hooks())
    with only_one(tmp_path):
        result = await invoke(env)
    assert result.exit_code == 1
    assert "another `parcelwatch tell` already delivers" in result.output
