"""What the settings of every kind of receiver share, and how secrets and addresses are checked."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode
from yarl import URL

Severity = Literal["informational", "low", "medium", "high", "critical", "fatal"]
Language = Literal["en", "vi"]

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
HOW_TO_MAKE = (
    'make one with: python -c "import base64, secrets; '
    "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
)


def signing_key(secret: str) -> bytes:
    """The bytes that a `whsec_...` secret of Standard Webhooks 1.0.0 stands for.

    Raises:
        ValueError: when it is none, or not of 24 to 64 bytes; never shows it.
    """
    if not secret.startswith("whsec_"):
        raise ValueError(f"must begin with whsec_; {HOW_TO_MAKE}")
    encoded = secret.removeprefix("whsec_").rstrip("=")
    try:
        # Strictly: the library's own decoding leaves out what is not base64 and signs with the rest.
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows whsec_ is not base64; {HOW_TO_MAKE}") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"holds {len(key)} bytes, Standard Webhooks asks for 24 to 64; {HOW_TO_MAKE}")
    return key


def _signing(secret: SecretStr) -> SecretStr:
    signing_key(secret.get_secret_value())
    return secret


def _http(text: SecretStr) -> SecretStr:
    example = "write for example https://soc.example.com/alerts"
    try:
        url = URL(text.get_secret_value())
        port = url.port
    except ValueError:
        raise ValueError(f"not a URL; {example}") from None
    if url.scheme not in ("http", "https") or not url.host or not port:
        raise ValueError(f"must be http or https with a host; {example}")
    return text


def _header(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII and not empty; see that the whole of it was copied")
    return secret


def listed(value: object) -> object:
    """A list as the environment writes it: parts between commas, or JSON."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("begins like a JSON list and is none; put commas between the parts") from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _allowed(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            if not _HOST.fullmatch(entry) or entry.rpartition(".")[2].isdigit():
                raise ValueError(
                    f"{entry!r} is no address, network or host; write for example 10.1.0.0/16 or soc.example"
                ) from None
    return entries


#: A URL is kept like a secret: it may hold a password, and with some receivers it is all a stranger needs.
HttpUrl = Annotated[SecretStr, AfterValidator(_http)]
#: A secret that travels in a header.
HeaderSecret = Annotated[SecretStr, AfterValidator(_header)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_signing)]
Allow = Annotated[tuple[str, ...], AfterValidator(_allowed), BeforeValidator(listed), NoDecode]


def is_secret(info: FieldInfo) -> bool:
    """Whether a field, or each entry of it, is never shown."""
    return "SecretStr" in repr(info.annotation)


class BaseReceiver(BaseModel, extra="forbid"):
    """What every kind of receiver has.

    Every secret may also be read from a file: with `_file` after its name the setting is the file's path.

    Attributes:
        timeout: seconds one attempt may take.
        give_up_after: seconds after which an undelivered alert is kept but no longer tried (default: one day).
        minimum_severity: alerts below it are not sent to this receiver.
        allow: addresses, networks and hosts of your own that alerts may be sent to though they are private, or
            over plain HTTP.
    """

    timeout: float = Field(15.0, gt=0, le=60)
    give_up_after: float = Field(86_400.0, gt=0)
    minimum_severity: Severity = "informational"
    allow: Allow = ()

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = dict(data)
        for name, info in cls.model_fields.items():
            path = given.pop(f"{name}_file", None) if is_secret(info) else None
            if path is None:
                continue
            if name in given:
                raise ValueError(f"both {name} and {name}_file are given; keep one of them")
            try:
                text = Path(path).read_text("utf-8")
            except (OSError, UnicodeDecodeError, TypeError):
                raise ValueError(
                    f"{name}_file = {str(path)!r} cannot be read; correct the path or the file's rights"
                ) from None
            lines = text.split()
            given[name] = lines if "tuple" in repr(info.annotation) else text.strip()
        return given

    def address(self) -> tuple[str, int] | None:
        """Host and port that are connected to; None when only the receiver's own library knows."""
        return None


class HttpReceiver(BaseReceiver):
    """What every kind has that is spoken to over HTTP.

    Attributes:
        url: where to POST; https, or http to an address that `allow` names.
    """

    url: HttpUrl

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        login = getattr(self, "token", None) or getattr(self, "api_key", None)
        if login is not None and URL(self.url.get_secret_value()).user is not None:
            raise ValueError("logs in twice, by the url and by token or api_key; keep one of them")
        return self

    def address(self) -> tuple[str, int]:
        """Host and port of the URL."""
        url = URL(self.url.get_secret_value())
        return url.host or "", url.port or 0
