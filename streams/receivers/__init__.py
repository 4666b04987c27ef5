"""Settings of receivers: one small model a kind, told apart by `kind`; a webhook when it is absent."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from streams.receivers.base import BaseReceiver, HttpReceiver, Severity, is_secret
from streams.receivers.people import (
    AppriseReceiver,
    PagerDutyReceiver,
    SlackReceiver,
    SyslogReceiver,
    TeamsReceiver,
    TheHiveReceiver,
)
from streams.receivers.systems import (
    AlertmanagerReceiver,
    ElasticReceiver,
    SentinelReceiver,
    SplunkReceiver,
    WebhookReceiver,
)

__all__ = [
    "OPEN_FIELDS",
    "AlertmanagerReceiver",
    "AppriseReceiver",
    "BaseReceiver",
    "ElasticReceiver",
    "HttpReceiver",
    "PagerDutyReceiver",
    "Receiver",
    "SentinelReceiver",
    "Severity",
    "SlackReceiver",
    "SplunkReceiver",
    "SyslogReceiver",
    "TeamsReceiver",
    "TheHiveReceiver",
    "WebhookReceiver",
]


def _webhook_unless_said(data: Any) -> Any:
    return {"kind": "webhook", **data} if isinstance(data, dict) else data


_Kinds = (
    WebhookReceiver
    | AlertmanagerReceiver
    | SplunkReceiver
    | ElasticReceiver
    | SentinelReceiver
    | PagerDutyReceiver
    | SlackReceiver
    | TeamsReceiver
    | TheHiveReceiver
    | SyslogReceiver
    | AppriseReceiver
)

#: The settings of one receiver, of any kind.
Receiver = Annotated[_Kinds, Field(discriminator="kind"), BeforeValidator(_webhook_unless_said)]

#: Fields whose value an error may show; a name that is not known may be a misspelt secret.
OPEN_FIELDS = frozenset(
    name for kind in get_args(_Kinds) for name, info in kind.model_fields.items() if not is_secret(info)
)
