"""Checks that go over the network: the receivers, and the worker's own health endpoint."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from streams.doctor.check import Check, green, red, yellow
from streams.receivers import BaseReceiver, HttpReceiver
from streams.settings import Settings, SettingsError
from streams.sinks import open_sink
from streams.sinks.addresses import AddressRefusedError, CheckedResolver, Permitted

#: A worker that is behind and has not checkpointed for this many intervals (and this many seconds) is stuck.
STUCK_INTERVALS, STUCK_SECONDS = 10, 30.0


def check_receivers(settings: Settings) -> list[Check]:
    """Does anybody get the alerts?"""
    if settings.receivers:
        return []
    return [
        yellow(
            "receivers",
            "none: alerts stay in the alerts topic",
            "add one in the settings, see docs/settings.md",
        )
    ]


def check_receiver(name: str, settings: Settings, timeout: float) -> Check:
    """Can the receiver's settings be used, does its host resolve to a permitted address, does it take
    connections?"""
    label, receiver = f"receiver {name}", settings.receivers[name]
    try:
        open_sink(name, receiver)
    except SettingsError as exc:
        text, _, remedy = str(exc).partition("; ")
        return red(label, text, remedy or "correct it, see docs/receivers.md")
    where = receiver.address()
    if where is None:
        return green(label, f"its settings are read; ask it with `parcelwatch tell test {name}`")
    host, port = where
    try:
        asyncio.run(_connect(host, port, Permitted(receiver.allow, encrypted=_encrypted(receiver)), timeout))
    except AddressRefusedError:
        return red(
            label,
            f"{host} has a private address or is spoken to without encryption, which is refused",
            f"name the host or its network in allow of receiver {name} if that is meant",
        )
    except TimeoutError:
        return red(
            label, f"{host}:{port} does not answer within {timeout:g} s", "check the network and the firewall"
        )
    except OSError as exc:
        return red(
            label,
            f"{host}:{port}: {exc.strerror or exc}",
            "check the name, the port, the network and the firewall",
        )
    return green(label, f"{host}:{port} takes connections")


def _encrypted(receiver: BaseReceiver) -> bool:
    return not isinstance(receiver, HttpReceiver) or URL(receiver.url.get_secret_value()).scheme == "https"


async def _connect(host: str, port: int, permitted: Permitted, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        permitted.check_literal(host)
        addresses = await CheckedResolver(permitted).resolve(host, port)
        _, writer = await asyncio.open_connection(addresses[0]["host"], port)
        writer.close()
        await writer.wait_closed()


def check_worker(settings: Settings, timeout: float) -> Check:
    """Is the worker of this machine ready, and when was its last checkpoint?"""
    name, remedy = "worker", "start it: `parcelwatch worker`; if it runs, look at its log"
    if settings.http_port <= 0:
        return yellow(
            name,
            f"cannot be asked: http_port is {settings.http_port}",
            "set PARCELWATCH_HTTP_PORT to a fixed port to let doctor and Prometheus ask the worker",
        )
    # An address that stands for all of this machine's is one to bind, none to ask.
    host = settings.http_host.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - compared, not bound
    host = "::1" if host == "::" else host
    where = f"{host}:{settings.http_port}"
    try:
        status, ready = _get(host, settings.http_port, "/readyz", timeout)
        reason = str(json.loads(ready)["reason"])
        metrics = _get(host, settings.http_port, "/metrics", timeout)[1]
        values = _values(metrics)
    except ConnectionRefusedError:
        return red(name, f"nothing listens at {where}", remedy)
    except (OSError, http.client.HTTPException) as exc:
        return red(name, f"{where} does not answer: {exc or type(exc).__name__}", remedy)
    except (ValueError, KeyError, TypeError):
        values = {}
    if "parcelwatch_last_checkpoint_timestamp_seconds" not in values:
        return red(
            name,
            f"what listens at {where} is no worker",
            "give each process of this machine its own PARCELWATCH_HTTP_PORT, and doctor the worker's",
        )
    if status != 200:
        return red(
            name, f"not ready: {reason}", "wait for it to get its partitions; if it stays, look at its log"
        )
    return _judge_checkpoints(name, settings, reason, values)


def _judge_checkpoints(name: str, settings: Settings, reason: str, values: dict[str, list[float]]) -> Check:
    checkpoints = [at for at in values["parcelwatch_last_checkpoint_timestamp_seconds"] if at]
    if not checkpoints:
        return yellow(
            name, f"ready ({reason}), no checkpoint yet", "none is due before the first records come"
        )
    age = max(0.0, time.time() - min(checkpoints))
    detail = f"ready ({reason}), last checkpoint {age:.0f} s ago"
    behind = sum(values.get("parcelwatch_consumer_lag_records", []))
    if behind and age > max(STUCK_SECONDS, STUCK_INTERVALS * settings.checkpoint_interval):
        return red(name, f"{detail}, {behind:.0f} records behind", "it is stuck: keep its log and restart it")
    return green(name, detail)


def _values(text: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        values[family.name] += [sample.value for sample in family.samples]
    return values


def _get(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(4 * 1024 * 1024).decode()
    finally:
        connection.close()
