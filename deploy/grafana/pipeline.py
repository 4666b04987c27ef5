"""Dashboard *Pipeline*: whether every record gets through, in time."""

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
    select,
)

DELAY = "parcelwatch_end_to_end_delay_seconds"
HISTORY = "parcelwatch_history_"
RECORDS = "parcelwatch_records_"
PARTS = ("received", "admitted", "duplicate", "rejected")


def pipeline() -> Dashboard:
    """For whoever is on call."""
    return dashboard(
        "parcelwatch-pipeline",
        "Pipeline",
        "Throughput, lag, delay, what is rejected, checkpoints, state: whether every record gets through, in time.",
        {
            "Now": _now(),
            "Throughput and delay": _throughput(),
            "What became of the records": _records(),
            "Checkpoints and state": _state(),
            "Processes": _processes(),
        },
        since="now-6h",
    )


def _unaccounted() -> str:
    """Of the counters themselves: rates near a counter's 0 are extrapolated less, so that they do not add up."""
    parts = [f"sum by (topic) ({select(f'{RECORDS}{part}_total')})" for part in PARTS]
    return " - ".join(parts)


def _now() -> list[object]:
    in_time = f"{grown(DELAY + '_bucket', le='1.0')} / ({grown(DELAY + '_count')} > 0)"
    return [
        number(
            "Processes ready",
            "Share of the processes that say they do their work.",
            "percentunit",
            f"avg({select('parcelwatch_ready')})",
        ),
        number(
            "Records a second",
            "Records read from the carriers' topics.",
            "rps",
            per_second(RECORDS + "received_total"),
        ),
        number(
            "Lag",
            "Records that the workers have not applied yet, all topics.",
            "short",
            f"sum({select('parcelwatch_consumer_lag_records')})",
            limits=[(10_000, AMBER), (1_000_000, RED)],
        ),
        number(
            "Alerts within a second",
            "Share of the alerts of the time range that kept the promise.",
            "percentunit",
            in_time,
        ),
        number(
            "Rejected",
            "Share of the records that could not be admitted.",
            "percentunit",
            f"{per_second(RECORDS + 'rejected_total')} / ({per_second(RECORDS + 'received_total')} > 0)",
            limits=[(0.01, AMBER), (0.1, RED)],
        ),
        number(
            "Unaccounted",
            "Received less admitted, rejected and duplicate; anything but 0 is a defect.",
            "short",
            f"sum(abs({_unaccounted()}))",
            limits=[(1, RED)],
        ),
    ]


def _throughput() -> list[object]:
    return [
        lines(
            "Records received, by topic",
            "What carriers send.",
            "rps",
            Query(per_second(RECORDS + "received_total", "topic"), "{{topic}}"),
        ),
        lines(
            "Blocks and records applied, by stage",
            "What each stage took in: admit records, relate and detect blocks of them.",
            "rps",
            Query(per_second("parcelwatch_stage_records_total", "stage"), "{{stage}}"),
        ),
        lines(
            "Lag, by topic",
            "Records that the workers have not applied yet.",
            "short",
            Query(f"sum by (topic) ({select('parcelwatch_consumer_lag_records')})", "{{topic}}"),
        ),
        lines(
            "From event to alert",
            "From the triggering record being in Kafka to the alert being there. Dashed: the promise.",
            "s",
            *(Query(quantile(q, DELAY), f"{q * 100:g} %") for q in (0.5, 0.95, 0.99)),
            limits=[(1, RED)],
        ),
        lines(
            "Event time behind",
            "Age of what a stage works on: of live data the carriers' own delay, else that of a backlog.",
            "s",
            Query(
                f"time() - max by (stage) ({select('parcelwatch_event_time_timestamp_seconds')} > 1e8)",
                "{{stage}}",
            ),
        ),
        lines(
            "Held back",
            "Records that wait until slower sources have caught up in event time.",
            "short",
            Query(f"sum by (stage) ({select('parcelwatch_pending_records')})", "{{stage}}"),
        ),
    ]


def _records() -> list[object]:
    return [
        lines(
            "Received, and what became of it",
            "Admitted, rejected and duplicate add up to received.",
            "rps",
            *(
                Query(per_second(f"{RECORDS}{part}_total"), part)
                for part in ("admitted", "rejected", "duplicate")
            ),
            stacked=True,
        ),
        lines(
            "Rejected, by topic and reason",
            "They are in the topic rejected, with the remedy.",
            "rps",
            Query(per_second(RECORDS + "rejected_total", "topic, reason") + " > 0", "{{topic}} {{reason}}"),
        ),
        lines(
            "Corrections, by kind",
            "Admitted records in which something had to be put right.",
            "rps",
            Query(per_second("parcelwatch_corrections_total", "correction") + " > 0", "{{correction}}"),
            Query(per_second("parcelwatch_unknown_fields_total"), "unknown fields left out"),
        ),
        lines(
            "Unaccounted, by topic",
            "Received less admitted, rejected and duplicate; anything but 0 is a defect.",
            "short",
            Query(f"abs({_unaccounted()})", "{{topic}}"),
            limits=[(1, RED)],
        ),
        lines(
            "Sent twice between stages",
            "Dropped since the stage before sent it twice after a crash.",
            "rps",
            Query(per_second("parcelwatch_stage_duplicates_total", "stage"), "{{stage}}"),
        ),
        lines(
            "Holes in offsets",
            "Records fetched and lost on the way, each mended by reading again.",
            "ops",
            Query(per_second("parcelwatch_stage_holes_total", "stage"), "{{stage}}"),
        ),
    ]


def _state() -> list[object]:
    age = f"time() - max by (stage) ({select('parcelwatch_last_checkpoint_timestamp_seconds')} > 0)"
    return [
        lines(
            "Checkpoints",
            "One a partition each checkpoint_interval, or when it falls quiet.",
            "ops",
            Query(per_second("parcelwatch_stage_checkpoints_total", "stage"), "{{stage}}"),
        ),
        lines(
            "Time of a checkpoint, 95 %",
            "Until Kafka has acknowledged all that it rests on.",
            "s",
            Query(quantile(0.95, "parcelwatch_checkpoint_seconds", "stage"), "{{stage}}"),
        ),
        lines(
            "Since the last checkpoint",
            "What a crash would have done again; grows also when nothing is to be saved.",
            "s",
            Query(age, "{{stage}}"),
        ),
        lines(
            "Time of a batch, 95 %",
            "Other stages of the process wait that long.",
            "s",
            Query(quantile(0.95, "parcelwatch_batch_seconds", "stage"), "{{stage}}"),
        ),
        lines(
            "States in memory",
            "Decoded states of people and parcels; the others are on disk.",
            "short",
            Query(f"sum by (stage) ({select('parcelwatch_state_keys')})", "{{stage}}"),
        ),
        lines(
            "Rebalances",
            "Times a worker lost its partitions, within each step.",
            "short",
            Query(
                f"sum by (instance) (increase({select('parcelwatch_rebalances_total')}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
    ]


def _processes() -> list[object]:
    return [
        lines(
            "Ready",
            "1 while the process says that it does its work.",
            "bool_yes_no",
            Query(f"min by (job, instance) ({select('parcelwatch_ready')})", "{{job}} {{instance}}"),
            width=6,
        ),
        lines(
            "CPU",
            "Cores that a process uses; a worker cannot use more than about one.",
            "percentunit",
            Query(per_second("process_cpu_seconds_total", "job, instance"), "{{job}} {{instance}}"),
            width=6,
            limits=[(0.9, AMBER)],
        ),
        lines(
            "Memory",
            "Resident memory of a process.",
            "bytes",
            Query(
                f"sum by (job, instance) ({select('process_resident_memory_bytes')})", "{{job}} {{instance}}"
            ),
            width=6,
        ),
        lines(
            "History behind",
            "Records of the actor log that are not in the history yet, and rows read but not written.",
            "short",
            Query(f"sum({select(HISTORY + 'lag_records')})", "not read"),
            Query(f"sum({select(HISTORY + 'waiting_rows')})", "not written"),
            width=6,
        ),
    ]
