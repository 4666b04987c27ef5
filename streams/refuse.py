"""A refused record on its way to the `rejected` topic: named, explained, its bytes sealed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from streams.events import Rejection
from streams.stage import Out, Record
from streams.tokens import Keyring
from streams.topics import REJECTED
from streams.validate import RefusalError


def rejection(topic: str, partition: int, record: Record, refusal: RefusalError, keys: Keyring) -> Out:
    """What is sent for one refused record; keyed by where it stood, so that sending it twice is recognised."""
    raw = record.value or b""
    refused = Rejection(
        reason=refusal.reason,
        where=refusal.where,
        detail=refusal.detail,
        remedy=refusal.remedy,
        carrier=refusal.carrier,
        topic=topic,
        partition=partition,
        offset=record.offset,
        rejected_at=datetime.now(UTC).isoformat(),
        size=len(raw),
        sealed=base64.b64encode(keys.seal(raw)).decode(),
    )
    return Out(REJECTED, None, f"{topic}/{partition}/{record.offset}".encode(), refused.encode())
