"""Kinds of receivers, one a file. A new kind is one module, its settings in `streams.receivers`, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.receivers import Receiver
from streams.settings import Settings
from streams.sinks.alertmanager import AlertmanagerSink
from streams.sinks.base import Delivery, Outcome, Sink
from streams.sinks.chat import ChatSink
from streams.sinks.elastic import ElasticSink
from streams.sinks.pagerduty import PagerDutySink
from streams.sinks.sentinel import SentinelSink
from streams.sinks.slack import SlackSink
from streams.sinks.splunk import SplunkSink
from streams.sinks.syslog import SyslogSink
from streams.sinks.teams import TeamsSink
from streams.sinks.thehive import TheHiveSink
from streams.sinks.webhook import WebhookSink

__all__ = ["KINDS", "Delivery", "Outcome", "Sink", "open_sink", "open_sinks"]

#: What delivers to each kind: called with the receiver's name and its settings.
KINDS: dict[str, Callable[[str, Any], Sink]] = {
    "webhook": WebhookSink,
    "alertmanager": AlertmanagerSink,
    "splunk": SplunkSink,
    "elastic": ElasticSink,
    "sentinel": SentinelSink,
    "pagerduty": PagerDutySink,
    "slack": SlackSink,
    "teams": TeamsSink,
    "thehive": TheHiveSink,
    "syslog": SyslogSink,
    "apprise": ChatSink,
}


def open_sink(name: str, receiver: Receiver) -> Sink:
    """A receiver, ready to deliver to.

    Raises:
        SettingsError: when it cannot be used; says how to mend it.
    """
    return KINDS[receiver.kind](name, receiver)


def open_sinks(settings: Settings) -> dict[str, Sink]:
    """Every receiver the settings name, by its name, checked and ready to deliver to.

    Raises:
        SettingsError: naming the receiver that cannot be used and how to mend it.
    """
    return {name: open_sink(name, receiver) for name, receiver in settings.receivers.items()}
