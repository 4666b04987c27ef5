"""The page of topics: what each is for, and how it must exist."""

from __future__ import annotations

from streams.flow.topics import DAY_MS, TopicSpec, topic_specs
from streams.reference.markdown import code, table
from streams.settings import Settings


def topics_table() -> str:
    """A row for each topic, in the order data flows, as the default settings have it."""
    specs = topic_specs(Settings.model_construct())
    rows = [
        (
            code(spec.name),
            f"{spec.purpose[0].upper()}{spec.purpose[1:]}.",
            spec.key or "none",
            _kept(spec),
            _largest(spec),
        )
        for spec in specs
    ]
    return table(("topic", "what it holds", "key", "kept", "largest record"), rows)


def topics_settings() -> str:
    """The Kafka settings of each topic that parcelwatch relies on."""
    rows = [
        (code(spec.name), "<br>".join(f"`{name}={value}`" for name, value in spec.config.items()))
        for spec in topic_specs(Settings.model_construct())
    ]
    return table(("topic", "settings"), rows)


def _kept(spec: TopicSpec) -> str:
    if spec.config["cleanup.policy"] == "compact":
        return "the latest of each key"
    retention = int(spec.config["retention.ms"])
    return "for ever" if retention < 0 else f"{retention // DAY_MS} days"


def _largest(spec: TopicSpec) -> str:
    largest = int(spec.config.get("max.message.bytes", 0))
    return f"{largest >> 20} MiB" if largest else "as the broker has it"
