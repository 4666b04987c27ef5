"""The commands that deploy/ contains are started as they stand there, against a broker with TLS, logins and rights."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import main
from streams.kafka.broker import Broker
from streams.kafka.broker_config import free_port
from streams.kafka.broker_login import Login
from streams.kafka.rights import Role, rights
from streams.privacy.tokens import Keyring
from streams.settings import load_settings
from tests.receivers import SECRET
from tests.secured import PATIENCE, Secured, ready, running

ROOT = Path(__file__).parents[2]
KUBERNETES, COMPOSE, SYSTEMD = ROOT / "deploy/kubernetes", ROOT / "deploy/compose", ROOT / "deploy/systemd"
ROLES: tuple[Role, ...] = ("operator", "worker", "tell", "history")
SERVING = {
    "worker": "PARCELWATCH_HTTP_PORT",
    "tell": "PARCELWATCH_TELL_HTTP_PORT",
    "history": "PARCELWATCH_HISTORY_HTTP_PORT",
}
RECEIVER = {
    "PARCELWATCH_RECEIVERS__SOC__URL": "https://soc.example.com/alerts",
    "PARCELWATCH_RECEIVERS__SOC__SECRET": SECRET,
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    login = Login(folder / "certificates", tuple(f"parcelwatch-{role}" for role in ROLES))
    with Broker(folder / "broker", login=login) as broker:
        made = Secured(broker, login)
        for role in ROLES:
            user = f"parcelwatch-{role}"
            made.grant(user, rights(made.settings(user), role))
        yield made


class Pod:
    """A pod of deploy/kubernetes, its mounts in a folder."""

    def __init__(self, name: str, folder: Path, secured: Secured) -> None:
        found = list(yaml.safe_load_all((KUBERNETES / f"{name}.yaml").read_text()))
        self.spec = next(one["spec"]["template"]["spec"] for one in found if "template" in one["spec"])
        self._folder = folder
        [container] = self.spec["containers"]
        self.args: list[str] = container["args"]
        self.probes = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("readiness", "liveness", "startup")
                       if f"{kind}Probe" in container}  # fmt: skip
        self._mount(container, secured)
        self.environment = {
            "PARCELWATCH_BROKER": secured.broker.bootstrap,
            "PARCELWATCH_REPLICATION": "1",
            "PARCELWATCH_DATA_DIR": self.inside("/var/lib/parcelwatch"),
            **{entry["name"]: self._value(entry) for entry in container["env"]},
            **(RECEIVER if "envFrom" in container else {}),
        }

    def inside(self, text: str) -> str:
        """The same with the pod's folders in ours."""
        return re.sub(
            r"(?<![\w.])(/etc/parcelwatch|/run/keys-secret|/run/keys|/var/lib/parcelwatch)",
            rf"{self._folder}\1",
            text,
        )

    def _value(self, entry: dict[str, Any]) -> str:
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            secrets = {
                s["metadata"]["name"]: s["stringData"]
                for s in yaml.safe_load_all((KUBERNETES / "secrets.example.yaml").read_text())
            }
            return str(secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]])
        if "fieldRef" in source:
            return "parcelwatch-worker-0"
        return self.inside(entry["value"])

    def _mount(self, container: dict[str, Any], secured: Secured) -> None:
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        for mount in container["volumeMounts"]:
            volume = volumes.get(mount["name"], {})
            path = Path(self.inside(mount["mountPath"]))
            if "configMap" in volume:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.inside((KUBERNETES / mount["subPath"]).read_text()))
            elif "secret" in volume:
                path.mkdir(parents=True)
                name = volume["secret"]["secretName"]
                if name == "parcelwatch-broker-ca":
                    (path / "ca.crt").write_bytes(secured.login.ca_file.read_bytes())
                else:
                    user = name.replace("login-", "")
                    (path / "password").write_text(secured.login.passwords[user])
            elif mount["name"] != "tmp":
                path.mkdir(parents=True, exist_ok=True)

    def initialise(self) -> None:
        """Run the pod's init containers."""
        for container in self.spec.get("initContainers", []):
            ring = Keyring()
            ring.add_carrier("vnx")
            source = Path(self.inside("/run/keys-secret/keys.toml"))
            source.parent.mkdir(parents=True)
            ring.save(source)
            source.chmod(0o440)  # as Kubernetes gives a Secret's files to a pod's group
            subprocess.run([self.inside(part) for part in container["command"]], check=True)


def healthcheck(setting: str, port: int) -> int:
    """Exit status of the image's health check."""
    environment = {**os.environ, **dict.fromkeys(SERVING.values(), "1"), setting: str(port)}
    return subprocess.run(
        [sys.executable, ROOT / "deploy/docker/healthcheck.py"], env=environment, check=False
    ).returncode


@pytest.mark.broker
async def test_every_pod_starts_gets_ready_answers_its_probes_and_ends(
    secured: Secured, tmp_path: Path
) -> None:
    topics = Pod("topics", tmp_path / "topics", secured)
    async with asyncio.timeout(PATIENCE):
        async with running(topics.args, topics.environment, forever=False):
            pass
    async with AsyncExitStack() as stack:
        ports = {}
        for name, setting in SERVING.items():
            pod = Pod(name, tmp_path / name, secured)
            pod.initialise()
            ports[name] = free_port()
            await stack.enter_async_context(running(pod.args, {**pod.environment, setting: str(ports[name])}))
            assert pod.probes == {"/healthz", "/readyz"}
        await asyncio.gather(
            *(ready(port, path) for port in ports.values() for path in ("/readyz", "/healthz"))
        )
        for name, setting in SERVING.items():
            assert await asyncio.to_thread(healthcheck, setting, ports[name]) == 0
    assert await asyncio.to_thread(healthcheck, SERVING["worker"], ports["worker"]) == 1


def others() -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, arguments and environment of what compose and systemd start."""
    found = []
    for name, service in yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"].items():
        if service["image"].startswith("${PARCELWATCH_IMAGE"):
            found.append((f"compose-{name}", service["command"], service["environment"]))
    for unit in sorted(SYSTEMD.glob("*.service")):
        text = unit.read_text().replace("%i", "9464").replace("%H", "host")
        [line] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        program, *args = shlex.split(line)
        assert program == "/opt/parcelwatch/bin/parcelwatch"
        environment = dict(
            pair.split("=", 1) for pair in re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
        )
        found.append((f"systemd-{unit.stem}", args, environment))
    return found


OTHERS = others()


@pytest.mark.parametrize(("name", "args", "environment"), OTHERS, ids=[name for name, *_ in OTHERS])
def test_what_compose_and_systemd_start_is_what_was_started_here_with_settings_that_can_be_used(
    name: str, args: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [yaml.safe_load_all((KUBERNETES / f"{pod}.yaml").read_text()) for pod in ("topics", *SERVING)]
    started = [
        one["spec"]["template"]["spec"]["containers"][0]["args"]
        for pod in pods
        for one in pod
        if "template" in one["spec"]
    ]
    assert args in started
    command: Any = main
    for argument in args:
        command = command.get_command(None, argument)
        assert command is not None
    for key, value in environment.items():
        monkeypatch.setenv(key, str(value))
    # Where the settings' file will be is no folder of this machine; compose's is here.
    monkeypatch.setenv("PARCELWATCH_CONFIG", str(COMPOSE / "parcelwatch.toml"))
    settings = load_settings()
    assert settings.carriers.keys() == {"vnx"}
    if args == ["worker"]:
        assert settings.worker_id
        assert settings.keys_file is not None
