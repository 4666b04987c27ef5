"""Settings of the receivers that are systems: webhooks, Alertmanager, Splunk, Elastic, Sentinel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from streams.receivers.base import HeaderSecret, HttpReceiver, HttpUrl, WebhookSecret, listed


class WebhookReceiver(HttpReceiver):
    """A webhook after Standard Webhooks 1.0.0.

    Attributes:
        secret: `whsec_` and the base64 of 24 to 64 random bytes; what is sent is signed with it.
        previous_secrets: secrets that are still signed with too, until the receiver knows the new one.
        payload: `full` sends the OCSF alert; `thin` its id, severity and time, to be looked up by who may.
        link: where a thin payload's reader finds the alert; `{uid}` stands for the episode's uid.
    """

    kind: Literal["webhook"] = "webhook"
    secret: WebhookSecret
    previous_secrets: Annotated[tuple[WebhookSecret, ...], BeforeValidator(listed), NoDecode] = ()
    payload: Literal["full", "thin"] = "full"
    link: str | None = None


class AlertmanagerReceiver(HttpReceiver):
    """Prometheus Alertmanager, API v2.

    Attributes:
        url: of Alertmanager itself, for example https://alertmanager.example.com:9093.
        token: bearer token, where a proxy in front asks for one.
        refresh: seconds after which a firing alert is sent again; unsent for four of them it resolves by itself.
        batch: alerts sent in one request at most.
    """

    kind: Literal["alertmanager"]
    token: HeaderSecret | None = None
    refresh: float = Field(60.0, gt=0, le=3600)
    batch: int = Field(100, ge=1, le=1000)


class SplunkReceiver(HttpReceiver):
    """Splunk HTTP Event Collector.

    Attributes:
        url: of the collector, for example https://splunk.example.com:8088.
        token: of the collector's input.
        index: where events go; when absent, where the token says.
        source, sourcetype: as Splunk files the events.
        batch: alerts sent in one request at most.
    """

    kind: Literal["splunk"]
    token: HeaderSecret
    index: str | None = None
    source: str = "parcelwatch"
    sourcetype: str = "parcelwatch:alert"
    batch: int = Field(100, ge=1, le=1000)


class ElasticReceiver(HttpReceiver):
    """Elasticsearch (or OpenSearch), by `_bulk` into a data stream.

    Attributes:
        url: of the cluster, for example https://elastic.example.com:9200.
        api_key: encoded API key; when absent, user and password of the URL are used.
        data_stream: where alerts go.
        batch: alerts sent in one request at most.
    """

    kind: Literal["elastic"]
    api_key: HeaderSecret | None = None
    data_stream: str = Field("logs-parcelwatch.alerts-default", pattern=r"^[a-z0-9][a-z0-9._-]{0,100}$")
    batch: int = Field(100, ge=1, le=1000)


class SentinelReceiver(HttpReceiver):
    """Microsoft Sentinel, by the Logs Ingestion API of Azure Monitor.

    Attributes:
        url: of the data collection endpoint, for example https://dce-1.southeastasia-1.ingest.monitor.azure.com.
        rule: immutable id of the data collection rule.
        stream: of that rule.
        tenant: Entra directory id.
        client_id, client_secret: of the application that may publish metrics by that rule.
        authority: where tokens are issued.
        scope: what a token is asked for.
        batch: alerts sent in one request at most.
    """

    kind: Literal["sentinel"]
    rule: str = Field(pattern=r"^dcr-[0-9a-zA-Z]{1,64}$")
    stream: str = Field("Custom-Parcelwatch", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,99}$")
    tenant: str = Field(pattern=r"^[0-9a-zA-Z.-]{1,100}$")
    client_id: str = Field(pattern=r"^[0-9a-zA-Z-]{1,64}$")
    client_secret: SecretStr
    authority: HttpUrl = SecretStr("https://login.microsoftonline.com")
    scope: str = "https://monitor.azure.com//.default"
    batch: int = Field(50, ge=1, le=500)
