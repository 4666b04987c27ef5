"""Control records go straight to the actor log, to every partition they concern.

They carry no order time: the merge lets each take effect where it stands in the log, at the order time reached there.
So a decision of today neither waits for an old log to catch up nor pushes it ahead.
"""

from __future__ import annotations

from zlib import crc32

from streams.admit.stage import AdmitStage, Parts
from streams.admit.validate import RefusalError, event_time
from streams.flow.control import CONTROL_KINDS, ControlRecord, fault
from streams.flow.events import CONTROL_SOURCE, Control
from streams.flow.stage import Record
from streams.flow.topics import ACTOR_LOG, CONTROL
from streams.privacy.keyfile import KeyringError

_KIND_CODES = {name: code for code, name in enumerate(CONTROL_KINDS)}


class ControlStage(AdmitStage):
    """One partition of control."""

    topic = CONTROL
    record_type = ControlRecord
    source_kind = CONTROL_SOURCE
    downstream = ACTOR_LOG
    orders = False

    def admit(self, event: ControlRecord, record: Record, parts: Parts, notes: list[str]) -> bool:
        carrier = event.carrier
        self._directory.cipher(carrier)
        # Held to its arrival, as an event is: a time years ahead would put its end years ahead too.
        time = event_time(self._clock.read(event.time)[0], record.timestamp, notes)
        until = self._until(event) if event.until else 0
        if wrong := fault(event, time, until):
            raise RefusalError("invalid_control", wrong[1], f"$.{wrong[0]}", carrier)
        try:
            actor = self._keys.staff(carrier, event.actor) if event.actor else ""
        except KeyringError:
            raise RefusalError(
                "invalid_control", "the token is none of this carrier's people", "$.actor", carrier
            ) from None
        if event.id and self._ids.repeats(carrier + "/" + event.id, record.offset):
            return False
        row = Control(
            0, self.source, record.offset, 0, time, _KIND_CODES[event.kind], carrier, actor, event.detector,
            event.alert, event.value, until, event.rules,
        )  # fmt: skip
        concerned = [parts[crc32(actor.encode()) % self._partitions]] if actor else parts
        for block, *_ in concerned:
            block.controls.append(row)
        return True

    def _until(self, event: ControlRecord) -> int:
        try:
            return self._clock.read(event.until)[0]
        except RefusalError as refusal:
            raise RefusalError(refusal.reason, refusal.detail, "$.until", event.carrier) from None
