"""What the outbox tells of deliveries and receivers."""

from __future__ import annotations

from typing import Literal

import msgspec

from streams.sinks.base import Delivery

State = Literal["pending", "undelivered", "delivered"]


class Due(msgspec.Struct, frozen=True):
    """One delivery whose time has come.

    Attributes:
        seq: number of the message in the outbox.
        attempts: how often it was tried before.
        since: when trying began, seconds since 1970.
        delivery: what to deliver.
    """

    seq: int
    attempts: int
    since: float
    delivery: Delivery


class Entry(msgspec.Struct, frozen=True):
    """One delivery as `parcelwatch deliveries list` shows it.

    Times are seconds since 1970; `answer` is what the last attempt got.
    """

    receiver: str
    id: str
    type: str
    state: State
    attempts: int
    since: float
    next_at: float
    changed: float
    answer: str


class Standing(msgspec.Struct):
    """How one receiver stands.

    Attributes:
        pending, undelivered, delivered: number of deliveries.
        oldest_pending: since when the oldest pending one waits, seconds since 1970; 0 when none is pending.
        disabled: why the receiver is sent nothing; empty when it is.
    """

    pending: int = 0
    undelivered: int = 0
    delivered: int = 0
    oldest_pending: float = 0.0
    disabled: str = ""
