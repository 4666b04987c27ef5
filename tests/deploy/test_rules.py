"""Rules fire on what they promise and on nothing else, name only what is exported, and each alert has its runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus import reference
from streams.cli import COMMANDS
from streams.sinks.alertmanager import ALERT_NAME

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))
SECTIONS = ["Meaning", "What is lost", "Look at", "Mend"]


def rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in rules() if "record" in rule}


def run(tool: str, package: str, *args: str | Path) -> str:
    """What a Debian tool prints; it must end well."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not on PATH; on Debian: apt install {package}")
    done = subprocess.run([tool, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_configuration_and_every_rule() -> None:
    said = run("promtool", "prometheus", "check", "config", "--lint=all", PROMETHEUS / "prometheus.yml")
    assert f"SUCCESS: {len(list((PROMETHEUS / 'rules').glob('*.yml')))} rule files found" in said
    run(
        "promtool", "prometheus", "check", "rules", "--lint=all", "--lint-fatal",
        *sorted((PROMETHEUS / "rules").glob("*.yml")),
    )  # fmt: skip


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    run("promtool", "prometheus", "test", "rules", path)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, silent = set(), set()
    for path in CASES:
        for group in yaml.safe_load(path.read_text())["tests"]:
            for case in group["alert_rule_test"]:
                (fires if case["exp_alerts"] else silent).add(case["alertname"])
    assert fires == silent == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_how_urgent_it_is_what_happened_and_where_its_runbook_is(name: str) -> None:
    rule = ALERTS[name]
    assert re.fullmatch(r"Parcelwatch([A-Z][a-z]+)+", name)
    assert rule["labels"] in ({"severity": s} for s in ("critical", "warning", "info"))
    said = rule["annotations"]
    assert set(said) == {"summary", "description", "runbook_url"}
    assert "{{" not in said["summary"]
    assert not said["summary"].endswith(".")
    assert said["description"].endswith(".")
    assert said["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{name}.md"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_runbook_says_what_is_meant_lost_to_be_looked_at_and_to_be_done(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    head, *sections = re.split(r"^## ", text, flags=re.M)
    severity, summary = ALERTS[name]["labels"]["severity"], ALERTS[name]["annotations"]["summary"]
    assert head.lower() == f"# {name}\n\n*{severity}*: {summary}.\n\n".lower()
    assert [section.partition("\n")[0] for section in sections] == SECTIONS
    assert all(len(section.split()) > 10 for section in sections)


def test_there_is_a_runbook_for_each_alert_and_none_for_others_and_the_index_names_all() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*ALERTS, "README"}
    rows = re.findall(
        r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (.*) \|$", (RUNBOOKS / "README.md").read_text(), re.M
    )
    assert rows == [(n, r["labels"]["severity"], r["annotations"]["summary"]) for n, r in ordered_alerts()]


def ordered_alerts() -> list[tuple[str, dict[str, Any]]]:
    """Alerts as the index has them: what stops the stream first."""
    order = ("pipeline", "delivery", "detection")
    files = [yaml.safe_load((PROMETHEUS / "rules" / f"{name}.yml").read_text()) for name in order]
    return [(r["alert"], r) for file in files for group in file["groups"] for r in group["rules"]]


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_links_and_commands_of_a_runbook_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
    shown = re.findall(r"```.*?```|`[^`\n]+`", text, re.S)
    for name in re.findall(r"\bparcelwatch ([a-z]+)", "\n".join(shown)):
        assert name in COMMANDS


SELECTOR = re.compile(r"\b(parcelwatch_\w+|\w+:parcelwatch_\w+:\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)(=~|!~|!=|=)\"([^\"]*)\"")


def exported() -> dict[str, dict[str, list[str]]]:
    """Every series the processes export: its labels and their values."""
    return {
        sample: family.labels
        for registry in reference.registries().values()
        for family in reference.families(registry)
        for sample in family.samples
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_only_metrics_labels_and_values_that_are_exported(rule: dict[str, Any]) -> None:
    series = exported()
    found = SELECTOR.findall(rule["expr"])
    for name, matchers in found:
        assert name in series or name in RECORDED, name
        for label, _, value in MATCHER.findall(matchers):
            if name in series and label != "le":
                assert set(value.split("|")) <= set(series[name][label]), f"{name}: {label} {value}"
    if "alert" in rule and rule["alert"] != "ParcelwatchProcessDown":  # that one asks Prometheus itself: up
        assert found


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_a_recording_rule_is_named_by_level_metric_and_operation_and_used(name: str) -> None:
    level, metric, operation = name.split(":")
    assert set(level.split("_")) <= {"job", "topic", "detector"}
    assert metric in {series.removesuffix("_total").removesuffix("_count") for series in exported()}
    assert operation
    assert any(name in rule["expr"] for rule in rules()), "nothing rests on it"


def test_the_bucket_of_the_promised_second_is_exported() -> None:
    worker = reference.registries()["worker"]
    bucket = "parcelwatch_end_to_end_delay_seconds_bucket"
    assert worker.get_sample_value(bucket, {"le": "1.0"}) == 0
    assert any(f'{bucket}{{le="1.0"}}' in rule["expr"] for rule in rules())


def test_alertmanager_takes_its_example_configuration() -> None:
    run(
        "amtool",
        "prometheus-alertmanager",
        "check-config",
        ROOT / "deploy" / "alertmanager" / "alertmanager.yml",
    )


@pytest.mark.parametrize(
    ("alertname", "severity", "receiver"),
    [
        ("ParcelwatchNotReady", "critical", "on-call"),
        ("ParcelwatchLagGrowing", "warning", "team"),
        ("ParcelwatchModelDrift", "info", "nobody"),
        (ALERT_NAME, "critical", "security"),
        (ALERT_NAME, "info", "security"),
    ],
)
def test_alertmanager_routes_by_severity_and_leaks_to_the_security_team(
    alertname: str, severity: str, receiver: str
) -> None:
    file = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    said = run(
        "amtool", "prometheus-alertmanager", "config", "routes", "test", f"--config.file={file}",
        f"alertname={alertname}", f"severity={severity}",
    )  # fmt: skip
    assert said.strip() == receiver


def test_the_reference_of_metrics_is_up_to_date() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: python -m deploy.prometheus.reference"
