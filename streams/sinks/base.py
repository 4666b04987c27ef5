"""What every kind of receiver does: take deliveries, and say of each what became of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import msgspec

from streams.receivers import BaseReceiver

#: What became of an attempt. delivered: the receiver has it. retry: not now. refused: not without a human.
#: gone: the receiver wants nothing any more.
Kind = Literal["delivered", "retry", "refused", "gone"]

#: OCSF severity_id by the name it has in the settings.
SEVERITIES = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5, "fatal": 6}


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
        minimum_severity: OCSF severity_id below which messages are not for this receiver.
        batch: deliveries it takes at a time at most.
        refresh: seconds after which the newest message of each open episode is handed over again; None when
            the receiver remembers what it was told.
        newest_only: whether the receiver holds a state of the episode, which an older message that comes late
            would undo; such a message is then not sent.
    """

    name: str
    give_up_after: float
    minimum_severity: int = 0
    batch: int = 1
    refresh: float | None = None
    newest_only: bool = False

    def __init__(self, name: str, receiver: BaseReceiver) -> None:
        self.name = name
        self.give_up_after = receiver.give_up_after
        self.minimum_severity = SEVERITIES[receiver.minimum_severity]

    @abstractmethod
    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Make one attempt at one to `batch` deliveries; with `newest_only`, of different episodes.

        Every failure of the other side is an Outcome, never an exception, and comes within a bounded time.
        May be called several times at once, and may be cancelled at any point.

        Returns:
            What became of each, in their order.
        """
