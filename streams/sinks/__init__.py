"""Kinds of receivers, one a file. A new kind is one module and one line in `open_sinks`."""

from __future__ import annotations

from streams.settings import Settings
from streams.sinks.base import Delivery, Outcome, Sink
from streams.sinks.webhook import WebhookSink

__all__ = ["Delivery", "Outcome", "Sink", "open_sinks"]


def open_sinks(settings: Settings) -> dict[str, Sink]:
    """Every receiver the settings name, by its name, checked and ready to deliver to.

    Raises:
        SettingsError: naming the receiver that cannot be used and how to mend it.
    """
    return {name: WebhookSink(name, receiver) for name, receiver in settings.receivers.items()}
