"""The doctor tells green from red, says what to do, ends in time, and shows no secret."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from streams.cli import main
from streams.doctor import Check, Status, examine
from streams.doctor.examination import _side_by_side
from streams.doctor.local import check_data_dir, check_keys, check_outbox
from streams.doctor.models import check_models
from streams.doctor.network import check_receiver, check_worker
from streams.kafka.control import Entry, new_record
from streams.monitoring.health import serve
from streams.monitoring.metrics import Metrics, new_registry
from streams.privacy.tokens import Keyring
from streams.receivers import WebhookReceiver
from streams.settings import Settings
from streams.sinks import Delivery
from streams.tell.deliveries import Outbox
from tests.receivers import LOCAL

SECRET = "whsec_" + "c2VjcmV0" * 5


def ready() -> tuple[bool, str]:
    return True, "2 partitions"


@pytest.fixture
def listening() -> Iterator[int]:
    """Port of a server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment of which nothing runs yet; keys are there."""
    ring = Keyring()
    ring.add_carrier("vnx")
    ring.save(tmp_path / "keys.toml")
    return Settings(broker="127.0.0.1:1", data_dir=tmp_path, http_port=1, partitions=2)


def with_receiver(
    settings: Settings, url: str, *, allow: tuple[str, ...] = LOCAL, secret: str = SECRET
) -> Settings:
    receiver = WebhookReceiver(url=SecretStr(url), secret=SecretStr(secret), allow=allow)
    return settings.model_copy(update={"receivers": {"soc": receiver}})


def ask(settings: Settings, timeout: float = 0.5) -> dict[str, Check]:
    return {
        check.name: check
        for check in examine(settings, settings.data_dir / "deliveries.sqlite", timeout=timeout)
    }


def not_green(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.detail for name, check in checks.items() if check.status is not Status.GREEN}


def test_whatever_is_not_green_has_a_remedy(settings: Settings) -> None:
    checks = ask(with_receiver(settings, "http://127.0.0.1:1/"))
    assert checks["broker"].status is Status.RED
    assert checks["topics"].status is checks["lag"].status is Status.YELLOW
    assert checks["worker"].status is Status.RED
    assert checks["keys"].status is Status.GREEN
    assert checks["receiver soc"].status is Status.RED
    assert checks["deliveries"].status is Status.YELLOW
    assert all(bool(check.remedy) == (check.status is not Status.GREEN) for check in checks.values())


def invoke(settings: Settings, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    monkeypatch.setenv("PARCELWATCH_BROKER", settings.broker)
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PARCELWATCH_HTTP_PORT", str(settings.http_port))
    return CliRunner().invoke(main, ["doctor", *args])


def test_with_everything_down_it_ends_in_ten_seconds_with_exit_code_1(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    result = invoke(settings, monkeypatch)
    assert result.exit_code == 1
    assert time.monotonic() - began < 10
    assert "red    broker" in result.output
    assert "remedy: start one (`parcelwatch broker`" in result.output


def test_a_bad_setting_is_red_and_scripts_get_json(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARCELWATCH_PARTITIONS", "none")
    result = invoke(settings, monkeypatch, "--json")
    assert result.exit_code == 1
    (check,) = json.loads(result.output)["checks"]
    assert json.loads(result.output)["status"] == check["status"] == "red"
    assert "setting partitions = 'none'" in check["detail"]
    assert set(check) == {"name", "status", "detail", "remedy"}


def test_a_check_that_hangs_is_red_at_the_deadline_and_holds_up_no_other() -> None:
    never = threading.Event()

    def hangs() -> list[Check]:
        never.wait()
        return []

    quick = Check("quick", Status.GREEN, "here")
    checks = _side_by_side({"slow": hangs, "quick": lambda: [quick]}, 0.2)
    never.set()
    assert checks[1] == quick
    assert (checks[0].name, checks[0].status) == ("slow", Status.RED)
    assert "no answer within 0.2 s" in checks[0].detail


def test_a_key_ring_others_may_read_is_red_and_shows_no_key(settings: Settings) -> None:
    keys = settings.keys_path
    keys.chmod(keys.stat().st_mode | stat.S_IRGRP | stat.S_IROTH)
    check = check_keys(settings)
    assert check.status is Status.RED
    assert str(keys) in check.detail


def test_a_carrier_without_a_key_is_red(settings: Settings) -> None:
    check = check_keys(Settings(**{**dict(settings), "carriers": {"other": {}}}))
    assert check.status is Status.RED
    assert "no key for other" in check.detail
    assert check.remedy == "`parcelwatch keys add other`"


def test_a_data_folder_that_is_a_file_is_red(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = check_data_dir(settings.model_copy(update={"data_dir": tmp_path / "file"}))
    assert check.status is Status.RED


@pytest.mark.parametrize(
    ("url", "allow", "says"),
    [
        ("http://127.0.0.1:1/hook", LOCAL, "127.0.0.1:1: "),
        ("http://127.0.0.1:80/hook", (), "private address"),
        ("http://receiver.invalid/hook", (), "receiver.invalid:80"),
    ],
)
def test_a_receiver_that_cannot_be_reached_is_red(
    settings: Settings, url: str, allow: tuple[str, ...], says: str
) -> None:
    check = check_receiver("soc", with_receiver(settings, url, allow=allow), 2.0)
    assert check.status is Status.RED
    assert says in check.detail


def test_neither_secret_nor_path_of_a_receiver_is_shown(settings: Settings, listening: int) -> None:
    url = f"http://user:hunter2@127.0.0.1:{listening}/T0/hidden?k=v"
    good = check_receiver("soc", with_receiver(settings, url), 2.0)
    assert (good.status, good.detail) == (Status.GREEN, f"127.0.0.1:{listening} takes connections")
    bad = check_receiver("soc", with_receiver(settings, url, allow=()), 2.0)
    assert bad.status is Status.RED
    for check in (good, bad):
        assert not any(word in repr(check) for word in ("hunter2", "hidden", "dG9vc2hvcnQ", "c2VjcmV0"))


def test_deliveries_are_read_from_the_outbox(settings: Settings) -> None:
    settings = with_receiver(settings, "http://127.0.0.1:1/")
    outbox = Outbox(settings.data_dir / "deliveries.sqlite")
    message = Delivery(
        id="u-1", uid="u", type="parcelwatch.alert.created", occurred=0, recorded=0.0, body=b"{}"
    )
    outbox.admit([message], ["soc"], time.time())
    (check,) = check_outbox(settings, settings.data_dir / "deliveries.sqlite")
    assert (check.name, check.detail) == ("deliveries soc", "1 pending, 0 undelivered, 0 delivered")
    outbox.disable("soc", time.time(), "410 Gone")
    outbox.close()
    (check,) = check_outbox(settings, settings.data_dir / "deliveries.sqlite")
    assert check.status is Status.RED
    assert "disabled: 410 Gone; 0 pending, 1 undelivered" in check.detail
    assert "deliveries resend --receiver soc" in check.remedy


async def asked_worker(settings: Settings, registry: CollectorRegistry, is_ready: bool = True) -> Check:
    async with serve("127.0.0.1", 0, registry, lambda: (is_ready, "2 partitions"), ready) as endpoint:
        settings = settings.model_copy(update={"http_port": endpoint.port})
        return await asyncio.to_thread(check_worker, settings, 2.0)


async def test_a_worker_is_stuck_when_it_is_behind_and_its_last_checkpoint_is_old(settings: Settings) -> None:
    registry = new_registry()
    metrics = Metrics(registry)
    assert (await asked_worker(settings, registry)).status is Status.YELLOW
    metrics.stage["detect"].checkpointed(0.1, time.time() - 300)
    idle = await asked_worker(settings, registry)
    assert idle.status is Status.GREEN
    assert "last checkpoint 300 s ago" in idle.detail
    metrics.lag("actor-log", 12)
    stuck = await asked_worker(settings, registry)
    assert stuck.status is Status.RED
    assert "12 records behind" in stuck.detail


async def test_a_worker_that_is_not_ready_is_red_with_its_own_reason(settings: Settings) -> None:
    registry = new_registry()
    Metrics(registry)
    check = await asked_worker(settings, registry, is_ready=False)
    assert (check.status, check.detail) == (Status.RED, "not ready: 2 partitions")


async def test_another_process_on_the_workers_port_is_not_taken_for_it(settings: Settings) -> None:
    check = await asked_worker(settings, new_registry())
    assert check.status is Status.RED
    assert "is no worker" in check.detail


def test_a_model_in_force_that_cannot_be_used_here_is_red(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = new_record("model", "vnx", datetime.now(UTC), value="active:" + "a" * 64)
    monkeypatch.setattr("streams.doctor.models.admin_client", lambda *_: nullcontext())
    monkeypatch.setattr("streams.doctor.models.read", lambda _: iter([Entry(record, 0, 0, 0)]))
    [check] = check_models(settings)
    assert (check.name, check.status) == ("model vnx", Status.RED)
    assert "parcelwatch train" in check.detail


def test_models_are_not_asked_for_longer_than_the_doctor_has_time_when_the_broker_is_down(
    settings: Settings,
) -> None:
    began = time.monotonic()
    [check] = check_models(settings.model_copy(update={"broker": "127.0.0.1:1"}), timeout=0.2)
    assert (check.status, check.remedy) == (Status.YELLOW, "make the broker answer first")
    assert time.monotonic() - began < 5
