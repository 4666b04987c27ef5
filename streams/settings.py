"""All settings in one object: environment (PARCELWATCH_...) first, then the TOML file PARCELWATCH_CONFIG names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from streams.broker_security import OPEN as OPEN_SECURITY
from streams.broker_security import BrokerSecurity
from streams.receivers import OPEN_FIELDS, Receiver


class SettingsError(Exception):
    """Settings that cannot be used; the text names the field, the value (never a secret) and the remedy."""


class CarrierSettings(BaseModel, extra="forbid"):
    """What parcelwatch cannot learn from a carrier's log.

    Attributes:
        time_zone: IANA name; when absent, the offset each event carries is its local time.
        country: ISO 3166 code whose public holidays count as days off; when absent, none do.
    """

    time_zone: str | None = None
    country: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError("not an IANA time zone; write for example Asia/Ho_Chi_Minh") from None
        return value


class Settings(BaseSettings):
    """Settings of every parcelwatch process.

    Attributes:
        broker: Kafka bootstrap servers, host:port, comma-separated.
        broker_security: TLS and the login towards them.
        app_id: consumer group and prefix of the changelog topics.
        worker_id: static group membership of this worker: one a worker, so that a restart rejoins at once.
        data_dir: where stores, keys and deliveries live; one a process.
        partitions: partitions of every topic; fixed for the life of a deployment.
        replication: replication factor of topics that parcelwatch creates.
        keys_file: key ring; when absent, `keys.toml` in `data_dir`.
        carriers: settings by carrier code.
        checkpoint_interval: longest time between checkpoints, s: what a crash makes the next worker do again; a
            partition that falls quiet has one at once.
        idle_after: seconds without data after which a source partition no longer holds the others up.
        session_timeout: seconds after which the broker gives a silent worker's partitions away.
        http_host: address on which metrics and health are served.
        http_port: port of the worker there; 0 takes a free one, -1 serves nothing.
        tell_http_port: port of `parcelwatch tell`, likewise.
        history_http_port: port of `parcelwatch history write`, likewise.
        history_dir: where the history is (see docs/history.md); when absent, `history` in `data_dir`.
        models_dir: where trained models are (see docs/models.md); when absent, `models` in `data_dir`; the same files
            for every worker.
        history_days: days a touch is kept in the history, counted from the newest day there; Decree 53/2022 asks for 12
            months of logs at least.
        alerts_per_1000_user_days: the alert budget `parcelwatch calibrate` makes the detectors keep to (see
            docs/calibration.md): alerts per 1,000 days on which a person was active.
        receivers: who is told of alerts, by name (see docs/receivers.md).
        input_format: what access events come in, see docs/formats.md.
        input_mapping: TOML file of what is particular to that format here.
        input_carrier: code of the carrier whose log it is, where the log does not say.
        log_level: least severity that is logged.
    """

    model_config = SettingsConfigDict(
        env_prefix="PARCELWATCH_", env_nested_delimiter="__", extra="forbid", validate_default=True
    )

    broker: str = "127.0.0.1:9092"
    broker_security: BrokerSecurity = Field(default_factory=BrokerSecurity)
    app_id: str = Field("parcelwatch", pattern=r"^[a-z][a-z0-9-]*$")
    worker_id: str | None = None
    data_dir: Path = Path(".parcelwatch")
    partitions: int = Field(4, ge=1, le=1024)
    replication: int = Field(1, ge=1)
    keys_file: Path | None = None
    carriers: dict[str, CarrierSettings] = Field(default_factory=dict)
    checkpoint_interval: float = Field(5.0, gt=0, le=60)
    idle_after: float = Field(0.1, gt=0, le=10)
    session_timeout: float = Field(10.0, ge=1, le=300)
    http_host: str = "127.0.0.1"
    http_port: int = Field(9464, ge=-1, le=65_535)
    tell_http_port: int = Field(9465, ge=-1, le=65_535)
    history_http_port: int = Field(9466, ge=-1, le=65_535)
    history_dir: Path | None = None
    models_dir: Path | None = None
    history_days: int = Field(400, ge=1)
    alerts_per_1000_user_days: float = Field(1.0, gt=0, le=1_000)
    receivers: dict[str, Receiver] = Field(default_factory=dict)
    input_format: Literal[
        "native", "cloudevents", "ocsf", "ecs", "cloudtrail", "weblog", "pgaudit", "mapping"
    ] = "native"
    input_mapping: Path | None = None
    input_carrier: str = Field("", max_length=64)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("broker")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
                raise ValueError(
                    f"{server.strip()!r} is not host:port; write for example kafka-1:9092,kafka-2:9092"
                )
        return value

    @property
    def kafka_client(self) -> dict[str, Any]:
        """Keyword arguments of every Kafka client, aiokafka's and kafka-python's: where to, and how protected."""
        servers = [server.strip() for server in self.broker.split(",")]
        return {"bootstrap_servers": servers, **self.broker_security.arguments()}

    @property
    def keys_path(self) -> Path:
        """Where the key ring is."""
        return self.keys_file or self.data_dir / "keys.toml"

    @property
    def history_path(self) -> Path:
        """Where the history is."""
        return self.history_dir or self.data_dir / "history"

    @property
    def models_path(self) -> Path:
        """Where trained models are."""
        return self.models_dir or self.data_dir / "models"

    @property
    def outbox_path(self) -> Path:
        """Where the alerts yet to be delivered are."""
        return self.data_dir / "deliveries.sqlite"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = os.environ.get("PARCELWATCH_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *toml)


def load_settings(**overrides: object) -> Settings:
    """Settings from overrides, environment and file.

    Raises:
        SettingsError: naming each bad field, what is wrong with it and how to mend it.
    """
    path = os.environ.get("PARCELWATCH_CONFIG")
    if path and not Path(path).is_file():
        raise SettingsError(
            f"PARCELWATCH_CONFIG names {path}, which is no file; correct the path or unset it"
        )
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = []
        for error in exc.errors(include_url=False):
            path_in = [str(part) for part in error["loc"]]
            receiver = path_in[0] == "receivers"
            if receiver:
                del path_in[2:3]  # the kind, which pydantic puts between the name and the field
            hidden = (
                isinstance(error["input"], dict)
                or (receiver and not OPEN_FIELDS.issuperset(path_in[2:3]))
                or (path_in[0] == "broker_security" and not OPEN_SECURITY.issuperset(path_in[1:2]))
            )
            value = "(not shown)" if hidden else repr(error["input"])
            said = error["msg"].removeprefix("Value error, ")
            lines.append(f"setting {'.'.join(path_in)} = {value}: {said}")
        raise SettingsError("; ".join(lines) + ". Settings are described in docs/settings.md") from None
    except SourceError as exc:  # says which setting, never the text
        raise SettingsError(
            f"a variable of the environment is not JSON: {exc}; mend it, or write one variable a field, such as "
            "PARCELWATCH_BROKER_SECURITY__USERNAME. Settings are described in docs/settings.md"
        ) from None
