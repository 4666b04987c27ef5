"""Dashboard *Leaks*: what fired, where it went, who reviews it."""

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
    quantile,
    ranking,
    select,
)

ALERTS = "parcelwatch_alerts_total"
VERDICTS = "parcelwatch_verdicts_total"
TELL = "parcelwatch_tell_"


def leaks() -> Dashboard:
    """For the security team: not the alerts themselves, but how many, of what kind, and what became of them."""
    return dashboard(
        "parcelwatch-leaks",
        "Leaks",
        "What fired, where it went, who reviews it. Persons and parcels are in the alerts, never here.",
        {"What fired": _fired(), "Where it went": _went(), "Who reviews it": _reviewed()},
        since="now-24h",
    )


def _fired() -> list[object]:
    opened = grown(ALERTS, activity="create")
    urgent = grown(ALERTS, activity="create", severity="high|critical")
    budget = (
        f"max({select('parcelwatch_alert_rate_ratio')}) / max({select('parcelwatch_alert_budget_ratio')})"
    )
    return [
        number("Alerts opened", "Episodes that began within the time range.", "short", opened),
        number(
            "High or critical",
            "Of those, the ones that are to be looked at now.",
            "short",
            urgent,
            limits=[(1, RED)],
        ),
        number(
            "Alerts against budget",
            "Alerts per person and active day over two weeks, as a share of what is wanted at the most.",
            "percentunit",
            budget,
            limits=[(1, AMBER), (2, RED)],
        ),
        number(
            "Delay, 95 %",
            "From the triggering record being in Kafka to the alert being there; the promise is one second.",
            "s",
            f"histogram_quantile(0.95, {grown('parcelwatch_end_to_end_delay_seconds_bucket', 'le')})",
            limits=[(1, AMBER), (5, RED)],
        ),
        number(
            "Suppressed",
            "Alerts that a suppression in force kept from being told.",
            "short",
            grown(TELL + "suppressed_total"),
        ),
        number(
            "Undelivered",
            "Alerts that some receiver has not heard of and that are no longer tried.",
            "short",
            f"sum({select(TELL + 'undelivered')})",
            limits=[(1, RED)],
        ),
        lines(
            "Alerts opened, by detector",
            "Episodes that began, within each step.",
            "short",
            Query(grown(ALERTS, "detector", "$__rate_interval", activity="create") + " > 0", "{{detector}}"),
            width=12,
            bars=True,
        ),
        lines(
            "Alerts opened, by severity",
            "How soon they are to be looked at: high now, medium today, low this week.",
            "short",
            Query(grown(ALERTS, "severity", "$__rate_interval", activity="create"), "{{severity}}"),
            width=12,
            bars=True,
        ),
        ranking(
            "Detectors that fired",
            "Episodes that began within the time range.",
            "short",
            Query(f"sort_desc({grown(ALERTS, 'detector', activity='create')} > 0)", "{{detector}}"),
            width=12,
        ),
        lines(
            "Messages, by activity",
            "An episode is created, updated as the evidence grows, and closed after quiet.",
            "cps",
            Query(per_second(ALERTS, "activity"), "{{activity}}"),
            width=12,
        ),
    ]


def _went() -> list[object]:
    return [
        lines(
            "Deliveries, by receiver and outcome",
            "Undelivered means given up, refused, or the receiver is gone.",
            "cps",
            Query(per_second(TELL + "deliveries_total", "receiver, outcome"), "{{receiver}} {{outcome}}"),
        ),
        lines(
            "Waiting, by receiver",
            "Deliveries that are still being tried.",
            "short",
            Query(f"sum by (receiver) ({select(TELL + 'pending')})", "{{receiver}} pending"),
            Query(f"sum by (receiver) ({select(TELL + 'undelivered')})", "{{receiver}} undelivered"),
        ),
        lines(
            "Delay of delivery, 95 %",
            "From the alert being in the topic to the receiver having it.",
            "s",
            Query(quantile(0.95, TELL + "delivery_delay_seconds", "receiver"), "{{receiver}}"),
        ),
        number(
            "Receivers switched off",
            "Receivers that answered 410 Gone: they are sent nothing more.",
            "short",
            f"sum({select(TELL + 'receiver_disabled')})",
            width=8,
            limits=[(1, RED)],
        ),
        number(
            "Oldest waiting",
            "How long the oldest alert has been waiting for its receiver.",
            "s",
            f"max((time() - {select(TELL + 'oldest_pending_timestamp_seconds')}) "
            f"* ({select(TELL + 'oldest_pending_timestamp_seconds')} > bool 0))",
            width=8,
            limits=[(300, AMBER), (900, RED)],
        ),
        number(
            "Not read by tell",
            "Records of the alerts topic that tell has yet to read.",
            "short",
            f"sum({select(TELL + 'lag_records')})",
            width=8,
            limits=[(100, AMBER)],
        ),
    ]


def _reviewed() -> list[object]:
    opened, judged = grown(ALERTS, activity="create"), grown(VERDICTS)
    return [
        number("Judged", "Verdicts that analysts gave within the time range.", "short", judged, width=8),
        number(
            "Leaks among them",
            "Verdicts that called the alert a leak, or an attempt.",
            "short",
            grown(VERDICTS, verdict="true_positive"),
            width=8,
        ),
        number(
            "Without a verdict",
            "Alerts opened less verdicts given within the time range: about how many wait to be judged.",
            "short",
            f"clamp_min({opened} - {judged}, 0)",
            width=8,
        ),
        lines(
            "Verdicts",
            "What alerts turned out to be, within each step.",
            "short",
            Query(grown(VERDICTS, "verdict", "$__rate_interval"), "{{verdict}}"),
            width=12,
            bars=True,
        ),
        ranking(
            "Verdicts, by detector",
            "Whose alerts were judged within the time range.",
            "short",
            Query(f"sort_desc({grown(VERDICTS, 'detector')} > 0)", "{{detector}}"),
            width=12,
        ),
    ]
