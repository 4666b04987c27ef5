"""The staff directory is validated here and goes nowhere: every worker, this one too, reads it whole by itself."""

from __future__ import annotations

from streams.admit.stage import AdmitStage, Parts
from streams.flow.events import StaffRecord
from streams.flow.stage import Record
from streams.flow.topics import STAFF_DIRECTORY


class StaffStage(AdmitStage):
    """One partition of staff-directory."""

    topic = STAFF_DIRECTORY
    record_type = StaffRecord
    source_kind = 9
    orders = False

    def read(self, value: bytes | None) -> StaffRecord | None:
        return None if value is None else super().read(value)  # a tombstone: the person was removed

    def admit(self, event: StaffRecord | None, record: Record, parts: Parts, notes: list[str]) -> bool:
        if event is not None:
            self._directory.cipher(event.carrier)
        return True
