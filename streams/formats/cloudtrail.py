"""AWS CloudTrail: objects that were read from S3, as data events tell.

Source: AWS CloudTrail user guide, record contents and the userIdentity element.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from streams.admit.translation import Headers, IgnoredError
from streams.admit.validate import RefusalError, refusal_of
from streams.formats.base import Format, address, json_elements, json_object, required
from streams.formats.paths import lookup, text

#: What hands out an object's content, and the action it is. A copy to another bucket reads it, too.
OPERATIONS = {"GetObject": "download", "SelectObjectContent": "export", "CopyObject": "export"}


class _File(msgspec.Struct):
    Records: list[msgspec.Raw] | None = None


_file = msgspec.json.Decoder(_File)


class CloudTrail(Format):
    """One record, an array, or a file's `Records`; a parcel is an object key, or what patterns find in it."""

    name = "cloudtrail"
    summary = "AWS CloudTrail: S3 objects read (GetObject, SelectObjectContent, CopyObject)"

    def documents(self, value: bytes, headers: Headers) -> Iterator[tuple[bytes, Any]]:
        raws = json_elements(value) if value.lstrip()[:1] == b"[" else _records(value)
        if raws is None:
            yield value, json_object(value)
            return
        for raw in raws:
            yield raw, json_object(raw)

    def translate(self, document: Any) -> dict[str, Any]:
        # EventBridge hands a record on as the detail of its own.
        if "eventName" not in document and isinstance(document.get("detail"), dict):
            document = document["detail"]
        name = text(document, "eventName")
        if not name:
            raise RefusalError("not_this_format", "no CloudTrail record: it has no eventName", "$.eventName")
        if text(document, "eventSource") != "s3.amazonaws.com" or name not in OPERATIONS:
            raise IgnoredError("other_operation")
        bucket, key = _object(document, name)
        return {
            "time": required(text(document, "eventTime"), "$.eventTime"),
            "id": text(document, "eventID"),
            "actor": "" if "actor" in self.mapping.fields else required(_actor(document), "$.userIdentity"),
            "action": OPERATIONS[name],
            "parcels": [key] if key and not self.mapping.patterns else [],
            "system": f"s3:{bucket}" if bucket else "s3",
            "channel": "api",
            "ip": address(text(document, "sourceIPAddress")),
            "outcome": text(document, "errorCode")[:256],
        }

    def text(self, document: Any) -> str:
        detail = document.get("detail")
        record = detail if "eventName" not in document and isinstance(detail, dict) else document
        return _object(record, text(record, "eventName"))[1]


def _records(value: bytes) -> list[bytes] | None:
    try:
        records = _file.decode(value).Records
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as exc:
        raise refusal_of(exc) from None
    return None if records is None else [bytes(raw) for raw in records]


def _object(record: dict[str, Any], operation: str) -> tuple[str, str]:
    """Bucket and key of what was read."""
    source = text(record, "requestParameters.x-amz-copy-source")
    if operation == "CopyObject" and source:
        bucket, _, key = unquote(source).partition("?")[0].lstrip("/").partition("/")
        return bucket, key
    return text(record, "requestParameters.bucketName"), text(record, "requestParameters.key")


def _actor(record: dict[str, Any]) -> str:
    """Who it was: a user's name, of an assumed role its session's name, else the principal."""
    identity = lookup(record, "userIdentity")
    principal = text(identity, "principalId")
    kind = text(identity, "type")
    if kind == "IdentityCenterUser":
        return text(identity, "onBehalfOf.userId") or principal
    if kind in ("AssumedRole", "FederatedUser") and ":" in principal:
        return principal.rpartition(":")[2]
    return text(identity, "userName") or principal or text(identity, "arn", "invokedBy", "accountId")
