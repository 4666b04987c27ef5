"""A broker with TLS, SASL and an authorizer: everything works with the least rights, and what is wrong is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner
from pydantic import SecretStr

from streams.broker_security import BrokerSecurity
from streams.cli import main
from streams.flow.connection import login_problem
from streams.flow.control import ControlRecord
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, PARCEL_LOG
from streams.kafka.broker import Broker
from streams.kafka.broker_config import free_port
from streams.kafka.broker_login import Login
from streams.kafka.control import publish, read
from streams.kafka.rights import Right, RightsError, Role, check_rights, rights
from streams.kafka.sender import SendError, producer, topic_partitions
from streams.kafka.topic_admin import TopicError, check_topics, ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from tests.receivers import SECRET
from tests.secured import PATIENCE, Secured, ready, running

pytestmark = pytest.mark.broker
ROLES: tuple[Role, ...] = ("operator", "worker", "tell", "history", "sender", "analyst")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    login = Login(folder / "certificates", (*ROLES, "nobody", "mute"))
    with Broker(folder / "broker", login=login) as broker:
        made = Secured(broker, login)
        for role in ROLES:
            made.grant(role, rights(made.settings(role), role))
        ensure_topics(made.settings("operator"))
        yield made


async def test_from_a_senders_event_to_the_receiver_each_with_its_own_least_rights(
    secured: Secured, tmp_path: Path, hook: tuple[str, asyncio.Queue[dict[str, object]]]
) -> None:
    url, told = hook
    ring = Keyring()
    ring.add_carrier("vnx")
    ring.save(tmp_path / "keys.toml")
    ports = free_port(), free_port()
    worker = {**secured.environment("worker", tmp_path), "PARCELWATCH_HTTP_PORT": str(ports[0])}
    tell = {
        **secured.environment("tell", tmp_path),
        "PARCELWATCH_TELL_HTTP_PORT": str(ports[1]),
        "PARCELWATCH_RECEIVERS__SOC__URL": url,
        "PARCELWATCH_RECEIVERS__SOC__SECRET": SECRET,
        "PARCELWATCH_RECEIVERS__SOC__ALLOW": '["127.0.0.0/8"]',
    }
    async with running(["worker"], worker), running(["tell"], tell):
        await asyncio.gather(*map(ready, ports))
        await send(secured.settings("sender"))
        alert = await asyncio.wait_for(told.get(), PATIENCE)
    assert "honeytoken" in json.dumps(alert)


async def send(settings: Settings) -> None:
    """A parcel that does not exist, and somebody who opens it."""
    now = datetime.now(UTC)
    planted = {"time": (now - timedelta(minutes=1)).isoformat(), "carrier": "vnx", "kind": "honeytoken"}
    opened = {"time": now.isoformat(), "carrier": "vnx", "actor": "a1", "action": "view", "parcels": ["VN1"]}
    async with producer(settings) as client:
        await client.send_and_wait(
            PARCEL_CONTEXT, json.dumps({**planted, "parcel": "VN1", "feed": "f"}).encode()
        )
        await client.send_and_wait(ACCESS_EVENTS, json.dumps(opened).encode())


@pytest.fixture
async def hook() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, object]]]]:
    """A receiver that takes everything: its address, and what it was told."""
    told: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def take(request: aiohttp.web.Request) -> aiohttp.web.Response:
        told.put_nowait(await request.json())
        return aiohttp.web.Response()

    app = aiohttp.web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/")), told


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
async def test_every_mechanism_lets_both_kinds_of_client_in(
    secured: Secured, mechanism: Literal["SCRAM-SHA-256", "PLAIN"]
) -> None:
    security = secured.login.security("history", mechanism)
    settings = Settings(broker=secured.broker.bootstrap, broker_security=security, partitions=1)
    assert await asyncio.to_thread(topic_partitions, settings, "actor-log") == 1
    async with AIOKafkaConsumer(**settings.kafka_client) as consumer:
        assert "actor-log" in await consumer.topics()


WRONG_PASSWORD = "guessed-wrongly"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": SecretStr(WRONG_PASSWORD)}, "does not know user worker with this password"),
        ({"ca_file": None}, "is not trusted"),
        ({"tls": False, "ca_file": None}, "breaks off when spoken to in clear"),
        (
            {"username": None, "password": None, "tls": False, "ca_file": None},
            "breaks off when spoken to in clear",
        ),
    ],
)
def test_a_wrong_login_is_named_with_its_remedy_and_without_the_password(
    secured: Secured, change: dict[str, object], said: str
) -> None:
    security = secured.login.security("worker").model_copy(update=change)
    settings = Settings(broker=secured.broker.bootstrap, partitions=1)
    settings = settings.model_copy(update={"broker_security": security})
    with pytest.raises(TopicError) as caught:
        check_topics(settings, timeout=1.0)
    text = str(caught.value)
    assert said in text
    assert "PARCELWATCH_BROKER_SECURITY__" in text
    assert WRONG_PASSWORD not in text
    assert secured.login.passwords["worker"] not in text


async def test_a_broker_in_clear_is_told_apart_from_one_with_tls(broker: Broker) -> None:
    settings = Settings(broker=broker.bootstrap, broker_security=BrokerSecurity(tls=True))
    assert "TLS" in await login_problem(settings, timeout=2.0)
    assert await login_problem(Settings(broker=broker.bootstrap)) == ""


def test_a_start_without_a_right_ends_with_what_is_missing_and_who_grants_it(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_but_one = tuple(
        Right(
            right.kind,
            right.name,
            tuple(o for o in right.operations if (right.name, o) != (PARCEL_LOG, "WRITE")),
        )
        for right in rights(secured.settings("mute"), "worker")
    )
    secured.grant("mute", all_but_one)
    Keyring().save(tmp_path / "keys.toml")
    for name, value in secured.environment("mute", tmp_path).items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["worker"])
    assert result.exit_code == 1
    assert f"user mute of {secured.broker.bootstrap} lacks WRITE on topic parcel-log;" in result.output
    assert "`parcelwatch topics acls worker --user mute` prints the commands" in result.output


@pytest.mark.parametrize("role", ["worker", "tell", "history"])
def test_every_right_of_a_role_is_looked_at(secured: Secured, role: Role) -> None:
    settings = secured.settings("nobody")
    check_rights(secured.settings(role), role)
    with pytest.raises(RightsError) as caught:
        check_rights(settings, role)
    for right in rights(settings, role):
        assert f"{' and '.join(right.operations)} on {right.kind} {right.name}" in str(caught.value)


def test_a_user_without_rights_creates_and_sends_nothing_and_is_told_why(secured: Secured) -> None:
    settings = secured.settings("nobody")
    with pytest.raises(TopicError, match=r"may not see .*access-events.*parcelwatch topics acls"):
        ensure_topics(settings)
    with pytest.raises(SendError, match="may not see topic access-events"):
        topic_partitions(settings, ACCESS_EVENTS)


def test_who_decides_may_not_admit_and_who_sends_may_not_decide(secured: Secured) -> None:
    analyst, sender = secured.settings("analyst"), secured.settings("sender")
    now = datetime.now(UTC).isoformat()
    publish(analyst, ControlRecord(time=now, carrier="vnx", kind="strictness", value="1", by="an.tran"))
    assert [entry.record.by for entry in read(analyst)] == ["an.tran"]
    with pytest.raises(SendError, match="may not see topic control"):
        list(read(sender))
    with pytest.raises(SendError, match="may not see topic actor-log"):
        topic_partitions(analyst, "actor-log")
    assert all(not state.problems for state in check_topics(secured.settings("operator")))
