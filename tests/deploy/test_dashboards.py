"""Dashboards are what their generator writes, and keep the rules of Grafana's dashboard-linter.

The linter itself is a program in Go that no package brings: its rules are written out here, under their names.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.generate import DASHBOARDS, FOLDER, rendered
from deploy.prometheus import reference

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in rendered().items()}
#: Of the linter's list of units, those in use here.
UNITS = {"none", "short", "percentunit", "bytes", "s", "cps", "ops", "rps", "bool_yes_no"}
LINTED = ("stat", "singlestat", "graph", "table", "timeseries", "gauge", "bargauge")
SELECTOR = re.compile(r"\b(parcelwatch_\w+|process_\w+)\{([^}]*)\}")
EVERY = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def drawn(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in drawn(board):
        for target in panel["targets"]:
            yield target["expr"]


def variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in board["templating"]["list"] if one["name"] == name]
    return dict(found)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_committed_dashboard_is_byte_for_byte_what_the_generator_writes(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert text == rendered()[name], "run: python -m deploy.grafana.generate"


def test_no_other_dashboard_lies_beside_them_and_each_has_an_address_and_numbers_of_its_own() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DASHBOARDS)
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    for board in BOARDS.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


@EVERY
def test_template_datasource(board: dict[str, Any]) -> None:
    found = variable(board, "datasource")
    assert (found["type"], found["query"], found["label"]) == ("datasource", "prometheus", "Data source")


@EVERY
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_template_instance(board: dict[str, Any], name: str) -> None:
    found = variable(board, name)
    assert found["type"] == "query"
    assert found["label"] == name.title()
    assert found["datasource"]["uid"] == "${datasource}"
    assert (found["multi"], found["includeAll"], found["allValue"]) == (True, True, ".+")


@EVERY
def test_template_label_promql(board: dict[str, Any]) -> None:
    for found in board["templating"]["list"]:
        if found["type"] == "query":
            assert re.fullmatch(
                r"label_values\(parcelwatch_build_info(\{job=~\"\$job\"\})?, \w+\)", found["query"]
            )


@EVERY
def test_template_on_time_change_reload(board: dict[str, Any]) -> None:
    assert {one["refresh"] for one in board["templating"]["list"] if one["type"] == "query"} == {2}


@EVERY
def test_panel_datasource(board: dict[str, Any]) -> None:
    for panel in drawn(board):
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@EVERY
def test_panel_title_description(board: dict[str, Any]) -> None:
    for panel in drawn(board):
        assert panel["type"] in LINTED
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["description"] != panel["title"]


@EVERY
def test_panel_units(board: dict[str, Any]) -> None:
    for panel in drawn(board):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]


@EVERY
def test_panel_no_targets(board: dict[str, Any]) -> None:
    for panel in drawn(board):
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@EVERY
def test_target_logql_and_target_logql_auto(board: dict[str, Any]) -> None:
    """There is no Loki here, so no query in LogQL either."""
    assert not any(re.search(r"\|[=~]|\$__auto", expr) for expr in expressions(board))


@EVERY
def test_target_promql(board: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH; on Debian: apt install prometheus")
    plain = [expr.replace("$__rate_interval", "5m").replace("$__range", "1h") for expr in expressions(board)]
    rules = [{"record": f"panel:target:{number}", "expr": expr} for number, expr in enumerate(plain)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@EVERY
def test_target_rate_interval(board: dict[str, Any]) -> None:
    for expr in expressions(board):
        for window in re.findall(r"\brate\([^\[]*\[([^\]]*)\]", expr):
            assert window == "$__rate_interval", expr
        assert "irate(" not in expr


@EVERY
@pytest.mark.parametrize("name", ["job", "instance"])
def test_target_job_and_target_instance(board: dict[str, Any], name: str) -> None:
    for expr in expressions(board):
        selectors = SELECTOR.findall(expr)
        assert selectors
        assert len(selectors) == len(re.findall(r"\b(?:parcelwatch|process)_\w+", expr)), (
            "one has no matchers"
        )
        assert all(f'{name}=~"${name}"' in matchers for _, matchers in selectors), expr


@EVERY
def test_target_counter_agg(board: dict[str, Any]) -> None:
    rule = yaml.safe_load((FOLDER / ".lint").read_text())["exclusions"]["target-counter-agg-rule"]
    excluded = {entry["panel"] for entry in rule["entries"]}
    for panel in drawn(board):
        for expr in (target["expr"] for target in panel["targets"] if panel["title"] not in excluded):
            for found in re.finditer(r"(\S*)\bparcelwatch_\w+_(?:total|count|sum|bucket)\b", expr):
                assert re.search(r"(rate|increase)\($", found[1]), expr


@EVERY
def test_uneditable_dashboard(board: dict[str, Any]) -> None:
    assert board["editable"] is False


@EVERY
def test_a_panel_asks_only_for_what_is_exported(board: dict[str, Any]) -> None:
    exported = {
        sample: family.labels
        for registry in reference.registries().values()
        for family in reference.families(registry)
        for sample in family.samples
    }
    for expr in expressions(board):
        for name, matchers in SELECTOR.findall(expr):
            if name.startswith("process_"):
                continue
            assert name in exported
            for label, value in re.findall(r"(\w+)=~?\"([^\"$]*)\"", matchers):
                if label != "le":
                    assert set(value.split("|")) <= set(exported[name][label]), expr


@EVERY
def test_panels_lie_side_by_side_and_none_over_another(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_what_the_issue_asks_for_is_on_the_dashboards() -> None:
    asked = {
        "leaks": ("alerts_total", "deliveries_total", "verdicts_total"),
        "pipeline": ("records_received_total", "consumer_lag_records", "end_to_end_delay_seconds_bucket",
                     "records_rejected_total", "checkpoint_seconds_bucket", "state_keys"),
        "detection": ("alert_budget_ratio", "verdicts_total", "model_drift_psi", "systems_heard"),
    }  # fmt: skip
    for name, metrics in asked.items():
        whole = "\n".join(expressions(BOARDS[name]))
        for metric in metrics:
            assert re.search(rf"\bparcelwatch_(tell_)?{metric}\b", whole), metric


def test_the_thresholds_of_dashboards_are_those_of_the_alerts() -> None:
    """Two numbers for one thing would part sooner or later."""
    rules = (ROOT / "deploy" / "prometheus" / "rules" / "detection.yml").read_text()
    [drift] = [panel for panel in drawn(BOARDS["detection"]) if panel["title"] == "Drift"]
    [ratio] = [panel for panel in drawn(BOARDS["detection"]) if panel["title"] == "False-positive ratio"]
    for panel, metric in ((drift, "model_drift_psi"), (ratio, "false_positive_ratio_increase4w")):
        red = panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
        assert re.search(rf"{metric}\)? > {red:g}\b", rules)


def test_dashboards_are_provisioned_from_files_and_the_datasource_scrapes_as_often_as_prometheus() -> None:
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/parcelwatch.yml").read_text())[
        "providers"
    ]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    scrapes = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["global"][
        "scrape_interval"
    ]
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", scrapes)
