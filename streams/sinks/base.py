"""What every kind of receiver does: take one delivery, and say what became of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import msgspec

#: What became of an attempt. delivered: the receiver has it. retry: not now. refused: not without a human.
#: gone: the receiver wants nothing any more.
Kind = Literal["delivered", "retry", "refused", "gone"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message for a receiver.

    Attributes:
        id: unique per message and the same at every attempt; receivers drop what they have seen.
        uid: the episode this message belongs to.
        type: `parcelwatch.alert.created`, `.updated` or `.closed`, or `parcelwatch.test`.
        occurred: event time of the message, ms since 1970.
        recorded: when the message entered the alerts topic, seconds since 1970.
        body: the OCSF alert, a JSON object in UTF-8, byte for byte as it stood in the topic.
    """

    id: str
    uid: str
    type: str
    occurred: int
    recorded: float
    body: bytes


class Outcome(msgspec.Struct, frozen=True):
    """What became of one attempt.

    Attributes:
        kind: delivered, retry, refused or gone.
        detail: one phrase for the operator; holds no address, secret or payload.
        status: HTTP status, where there was one.
        after: seconds the receiver asked to be left alone; only for retry.
    """

    kind: Kind
    detail: str
    status: int | None = None
    after: float | None = None


class Sink(ABC):
    """One receiver.

    Attributes:
        name: as in the settings; the only label its metrics carry.
        give_up_after: seconds after which a message is kept but no longer tried.
    """

    name: str
    give_up_after: float

    @abstractmethod
    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make one attempt.

        Every failure of the other side is an Outcome, never an exception, and comes within a bounded time.
        May be called several times at once, and may be cancelled at any point.
        """
