"""Settings of the receivers that people read: on-call, chat, cases, syslog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from streams.receivers.base import BaseReceiver, HeaderSecret, HttpReceiver, HttpUrl, Language, listed


class PagerDutyReceiver(HttpReceiver):
    """PagerDuty Events API v2.

    Attributes:
        url: of the API.
        routing_key: integration key of the service.
        language: of what people read.
    """

    kind: Literal["pagerduty"]
    url: HttpUrl = SecretStr("https://events.pagerduty.com/v2/enqueue")
    routing_key: HeaderSecret
    language: Language = "en"


class SlackReceiver(HttpReceiver):
    """A Slack incoming webhook.

    Attributes:
        url: of the webhook; a secret.
        language: of what people read.
    """

    kind: Literal["slack"]
    language: Language = "en"


class TeamsReceiver(HttpReceiver):
    """A Microsoft Teams workflow that begins when a webhook request is received.

    Attributes:
        url: of the workflow; a secret.
        language: of what people read.
    """

    kind: Literal["teams"]
    language: Language = "en"


class TheHiveReceiver(HttpReceiver):
    """TheHive 5.

    Attributes:
        url: of TheHive itself, for example https://thehive.example.com.
        api_key: of a user that may create alerts.
        organisation: where alerts go; when absent, the user's own.
        tlp, pap: Traffic Light Protocol and Permissible Actions Protocol: 0 clear to 3 red (TLP: 4 red).
        language: of what people read.
    """

    kind: Literal["thehive"]
    api_key: HeaderSecret
    organisation: str | None = None
    tlp: int = Field(2, ge=0, le=4)
    pap: int = Field(2, ge=0, le=3)
    language: Language = "en"


class SyslogReceiver(BaseReceiver):
    """CEF in RFC 5424 syslog, over TLS.

    Attributes:
        host, port: of the server.
        tls: whether the connection is encrypted and the server's certificate verified.
        ca_file: certificates (PEM) that vouch for the server; when absent, the system's.
        language: of what people read.
    """

    kind: Literal["syslog"]
    host: str = Field(min_length=1)
    port: int = Field(6514, ge=1, le=65_535)
    tls: bool = True
    ca_file: Path | None = None
    language: Language = "en"

    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        return self.host, self.port


class AppriseReceiver(BaseReceiver):
    """Chat services by apprise (the extra `chat`): Zalo, Telegram and others.

    Attributes:
        urls: apprise's URLs of the services; secrets.
        language: of what people read.
    """

    kind: Literal["apprise"]
    urls: Annotated[tuple[SecretStr, ...], Field(min_length=1), BeforeValidator(listed), NoDecode]
    language: Language = "en"
