"""The worker's metrics add up, start at zero, follow Prometheus' rules and name nobody."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.monitoring.metrics import SOURCES, STAGES, Metrics, new_registry

REJECTIONS = ("not_json", "missing_field")
CORRECTIONS = ("records_capped",)
DETECTORS = ("bulk_read", "off_hours", "unrelated_parcel")


@pytest.fixture
def registry() -> CollectorRegistry:
    return new_registry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, rejections=REJECTIONS, corrections=CORRECTIONS, detectors=DETECTORS)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"parcelwatch_{name}", labels)


def test_in_is_admitted_and_rejected_and_duplicate(registry: CollectorRegistry, metrics: Metrics) -> None:
    source = metrics.source["access-events"]
    source.count(
        received=10,
        admitted=6,
        duplicates=1,
        rejected={"not_json": 2, "missing_field": 1},
        corrected={"records_capped": 4},
        unknown_fields=3,
    )
    source.count(received=5, admitted=5)
    topic = {"topic": "access-events"}
    parts = [value(registry, f"records_{part}_total", **topic) for part in ("admitted", "duplicate")]
    parts += [value(registry, "records_rejected_total", reason=reason, **topic) for reason in REJECTIONS]
    assert parts == [11, 1, 2, 1]
    assert value(registry, "records_received_total", **topic) == 15
    assert value(registry, "corrections_total", correction="records_capped", **topic) == 4
    assert value(registry, "unknown_fields_total", **topic) == 3
    assert value(registry, "records_received_total", topic="parcel-context") == 0


def test_a_record_that_got_lost_shows(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.source["access-events"].count(received=3, admitted=2)
    received = value(registry, "records_received_total", topic="access-events")
    assert received == 3
    assert value(registry, "records_admitted_total", topic="access-events") == 2


def test_a_reason_nobody_announced_is_counted_under_its_own_name(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.source["access-events"].count(received=1, admitted=0, rejected={"brand_new": 1})
    assert value(registry, "records_rejected_total", topic="access-events", reason="brand_new") == 1


def test_every_known_label_set_is_there_before_anything_happens(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    for topic in SOURCES:
        assert value(registry, "records_duplicate_total", topic=topic) == 0
        for reason in REJECTIONS:
            assert value(registry, "records_rejected_total", topic=topic, reason=reason) == 0
    for stage in STAGES:
        assert value(registry, "stage_checkpoints_total", stage=stage) == 0
        assert value(registry, "batch_seconds_count", stage=stage) == 0
    for detector in DETECTORS:
        for severity in ("low", "medium", "high", "critical"):
            for activity in ("create", "update", "close"):
                labels = {"detector": detector, "severity": severity, "activity": activity}
                assert value(registry, "alerts_total", **labels) == 0


def test_the_lag_is_not_zero_before_it_is_known(registry: CollectorRegistry, metrics: Metrics) -> None:
    assert value(registry, "consumer_lag_records", topic="access-events") is None
    metrics.lag("access-events", 17)
    assert value(registry, "consumer_lag_records", topic="access-events") == 17


def test_a_checkpoint_is_counted_timed_and_dated(registry: CollectorRegistry, metrics: Metrics) -> None:
    metrics.stage["detect"].checkpointed(0.2, 1_795_000_000.5)
    assert value(registry, "stage_checkpoints_total", stage="detect") == 1
    assert value(registry, "checkpoint_seconds_sum", stage="detect") == pytest.approx(0.2)
    assert value(registry, "last_checkpoint_timestamp_seconds", stage="detect") == 1_795_000_000.5


def test_an_alert_counts_towards_the_one_second_promise(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    metrics.alerted("bulk_read", 4, 1, 0.8)
    metrics.alerted("bulk_read", 4, 1, 1.2)
    metrics.alerted("bulk_read", 5, 3, -0.3)
    assert value(registry, "alerts_total", detector="bulk_read", severity="high", activity="create") == 2
    assert value(registry, "alerts_total", detector="bulk_read", severity="critical", activity="close") == 1
    assert value(registry, "end_to_end_delay_seconds_bucket", le="1.0") == 2
    assert value(registry, "end_to_end_delay_seconds_sum") == pytest.approx(2.0)


def test_a_verdict_is_counted_under_its_detector_and_one_on_any_other_name_under_other(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    assert value(registry, "verdicts_total", detector="bulk_read", verdict="benign") == 0
    metrics.detection.judged("bulk_read", "benign", 2)
    metrics.detection.judged("a_rule_of_last_year", "false_positive", 1)
    assert value(registry, "verdicts_total", detector="bulk_read", verdict="benign") == 2
    assert value(registry, "verdicts_total", detector="other", verdict="false_positive") == 1


def test_a_system_heard_of_is_counted_once_and_not_named(
    registry: CollectorRegistry, metrics: Metrics
) -> None:
    for system in ("tms-web", "crm", "crm"):
        metrics.systems.note("vnx", system)
    assert value(registry, "systems_heard") == 2
    assert "tms-web" not in exposition(registry, metrics)


def exposition(registry: CollectorRegistry, metrics: Metrics) -> str:
    for topic in SOURCES:
        metrics.lag(topic, 1)
    return generate_latest(registry).decode()


def test_names_labels_and_help_follow_the_rules(registry: CollectorRegistry, metrics: Metrics) -> None:
    allowed = {
        "mode",
        "verdict",
        "topic",
        "reason",
        "correction",
        "stage",
        "detector",
        "severity",
        "activity",
        "le",
    }
    seen = 0
    for family in text_string_to_metric_families(exposition(registry, metrics)):
        if not family.name.startswith("parcelwatch_") or family.name == "parcelwatch_build_info":
            continue
        seen += 1
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_ms", "_count", "_sum"))
        for sample in family.samples:
            assert set(sample.labels) <= allowed
    assert seen > 20


def test_one_worker_exports_a_bounded_number_of_series(registry: CollectorRegistry, metrics: Metrics) -> None:
    samples = [line for line in exposition(registry, metrics).splitlines() if not line.startswith("#")]
    assert len(samples) < 500


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")
def test_promtool_finds_nothing_to_complain_about(registry: CollectorRegistry, metrics: Metrics) -> None:
    run = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition(registry, metrics),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
