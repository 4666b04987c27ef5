"""A refused record on its way to the `rejected` topic: named, explained, its bytes sealed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from streams.admit.validate import RefusalError
from streams.flow.events import Rejection
from streams.flow.stage import Out, Record
from streams.flow.topics import REJECTED
from streams.privacy.tokens import Keyring


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
