"""Every topic parcelwatch touches: its name, its partitions, its clean-up policy. Nothing else names a topic."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.settings import Settings

ACCESS_EVENTS = "access-events"
PARCEL_CONTEXT = "parcel-context"
STAFF_DIRECTORY = "staff-directory"
REJECTED = "rejected"
PARCEL_LOG = "parcel-log"
ACTOR_LOG = "actor-log"
ALERTS = "alerts"
CONTROL = "control"

DAY_MS = 86_400_000
#: The largest value a carrier may send (and `rejected` must be able to hold), bytes.
LARGEST_VALUE = 16 * 1024 * 1024


@dataclass(frozen=True)
class TopicSpec:
    """How one topic must exist on the broker.

    Attributes:
        name: topic name.
        partitions: number of partitions.
        config: topic settings that parcelwatch relies on, as Kafka spells them.
        purpose: one sentence for `parcelwatch topics describe`.
        key: what its records are keyed by; empty when the partition is chosen and records have no key.
    """

    name: str
    partitions: int
    purpose: str
    config: dict[str, str] = field(default_factory=dict)
    key: str = ""


def topic_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """All topics in the order data flows through them (state changelogs last)."""
    n = settings.partitions
    delete = {"cleanup.policy": "delete"}
    week = {**delete, "retention.ms": str(7 * DAY_MS)}
    # The broker's clock stamps what carriers send: a sender's wrong clock can then neither hold the stream up nor
    # expire data.
    inbound = {**week, "message.timestamp.type": "LogAppendTime", "max.message.bytes": str(LARGEST_VALUE)}
    block = {**week, "max.message.bytes": str(LARGEST_VALUE)}
    compact = {"cleanup.policy": "compact", "max.message.bytes": str(LARGEST_VALUE)}
    return (
        TopicSpec(
            ACCESS_EVENTS,
            n,
            "who read which shipment record, as the carrier's systems log it",
            inbound,
            "actor",
        ),
        TopicSpec(
            PARCEL_CONTEXT,
            n,
            "what happens to parcels: assignments, scans, tickets, calls",
            inbound,
            "parcel",
        ),
        TopicSpec(
            STAFF_DIRECTORY, n, "the staff: role, team, site, shifts, status", compact, "carrier/actor"
        ),
        TopicSpec(
            CONTROL,
            n,
            "verdicts, suppressions, watchlist, strictness, models and rules: what people decided, kept for ever",
            {**inbound, "retention.ms": "-1"},
            "carrier",
        ),
        TopicSpec(
            REJECTED,
            n,
            "what could not be admitted, sealed, with reason and remedy",
            {**delete, "retention.ms": str(30 * DAY_MS), "max.message.bytes": str(2 * LARGEST_VALUE)},
            "topic/partition/offset of the record",
        ),
        TopicSpec(PARCEL_LOG, n, "admitted records in blocks, keyed by parcel", block),
        TopicSpec(ACTOR_LOG, n, "labelled touches in blocks, keyed by staff member", block),
        TopicSpec(
            ALERTS,
            n,
            "alerts, OCSF Detection Finding 2004",
            {**delete, "retention.ms": str(365 * DAY_MS)},
            "token of the person",
        ),
        *(
            TopicSpec(
                f"{settings.app_id}-{table}-changelog",
                n,
                f"state of the {table} stage",
                compact,
                "key of the state",
            )
            for table in ("admit", "relate", "detect")
        ),
    )
