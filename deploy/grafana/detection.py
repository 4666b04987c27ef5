"""Dashboard *Detection health*: whether what is told is worth reading, and whether anything is no longer seen."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    AMBER,
    RED,
    Query,
    dashboard,
    grown,
    lines,
    number,
    per_second,
    ranking,
    select,
)

VERDICTS = "parcelwatch_verdicts_total"
RATE, BUDGET = "parcelwatch_alert_rate_ratio", "parcelwatch_alert_budget_ratio"
FALSE = "false_positive|benign"
WEEK = "1w"


def detection() -> Dashboard:
    """For whoever tends the detectors."""
    return dashboard(
        "parcelwatch-detection",
        "Detection health",
        "Alerts against their budget, false-positive ratio, drift, silence of a system.",
        {"Worth reading": _worth(), "Models": _models(), "Nothing unseen": _silence()},
        since="now-7d",
    )


def _worth() -> list[object]:
    ratio = f"{grown(VERDICTS, verdict=FALSE)} / ({grown(VERDICTS)} > 0)"
    by_detector = f"{grown(VERDICTS, 'detector', verdict=FALSE)} / ({grown(VERDICTS, 'detector')} > 0)"
    return [
        number(
            "Alerts per 1,000 user-days",
            "Episodes opened per person and active day, over two weeks; of the carrier with most.",
            "short",
            f"1000 * max({select(RATE)})",
            width=6,
        ),
        number(
            "Budget",
            "What is wanted at the most: alerts_per_1000_user_days.",
            "short",
            f"1000 * max({select(BUDGET)})",
            width=6,
        ),
        number(
            "False-positive ratio",
            "Share of false and harmless ones among the alerts that were judged within the time range.",
            "percentunit",
            ratio,
            width=6,
            limits=[(0.1, AMBER), (0.15, RED)],
        ),
        number(
            "Judged",
            "Verdicts within the time range: with fewer than ten, the ratio says nothing.",
            "short",
            grown(VERDICTS),
            width=6,
        ),
        lines(
            "Alerts against budget",
            "Per 1,000 days on which a person was active.",
            "short",
            Query(f"1000 * max({select(RATE)})", "alerts"),
            Query(f"1000 * max({select(BUDGET)})", "budget"),
        ),
        lines(
            "Findings, by detector",
            "What detectors said, before episodes were made of it.",
            "cps",
            Query(per_second("parcelwatch_findings_total", "detector") + " > 0", "{{detector}}"),
        ),
        ranking(
            "False-positive ratio, by detector",
            "Among those judged within the time range. Mature is below 15 %, with at least ten judged.",
            "percentunit",
            Query(f"sort_desc({by_detector})", "{{detector}}"),
        ),
    ]


def _models() -> list[object]:
    scored, surprising = "parcelwatch_model_scores_total", "parcelwatch_model_surprises_total"
    return [
        lines(
            "Drift",
            "Highest population stability index of a feature of an active model: from 0.25 on, train anew.",
            "none",
            Query(f"max({select('parcelwatch_model_drift_psi')})", "psi"),
            limits=[(0.1, AMBER), (0.25, RED)],
        ),
        lines(
            "Hours scored, by mode",
            "Hours of people that a model has looked at. A shadow model alerts nobody.",
            "cps",
            Query(per_second(scored, "mode"), "{{mode}}"),
        ),
        lines(
            "Surprises, by mode",
            "Share of the hours that are rarer than one in a thousand by the model: 0.1 % is what to expect.",
            "percentunit",
            Query(f"{per_second(surprising, 'mode')} / ({per_second(scored, 'mode')} > 0)", "{{mode}}"),
            width=5,
        ),
        number(
            "Models missing",
            "Models in force that cannot be used.",
            "short",
            f"max({select('parcelwatch_models_missing')})",
            width=3,
            limits=[(1, RED)],
        ),
    ]


def _silence() -> list[object]:
    systems = select("parcelwatch_systems_heard")
    received = "parcelwatch_records_received_total"
    sent = select(received, topic="access-events|parcel-context")
    then = f"sum by (topic) (rate({sent}[$__rate_interval] offset {WEEK}))"
    return [
        lines(
            "Systems heard of",
            "Systems that sent access events within an hour; fewer than a week ago: one has fallen silent.",
            "short",
            Query(f"max({systems})", "now"),
            Query(f"max({systems} offset {WEEK})", "a week ago"),
        ),
        lines(
            "Records, and a week ago",
            "A topic that falls silent hides every leak.",
            "rps",
            Query(per_second(received, "topic", topic="access-events|parcel-context"), "{{topic}}"),
            Query(then, "{{topic}} a week ago"),
        ),
        lines(
            "Event time behind",
            "Grows by a second a second when nobody sends anything.",
            "s",
            Query(
                f"time() - max by (stage) ({select('parcelwatch_event_time_timestamp_seconds', stage='admit')} > 1e8)",
                "admit",
            ),
        ),
    ]
