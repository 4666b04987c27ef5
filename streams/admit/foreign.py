"""Access events that come in a carrier's own format: each record is translated, then admitted like a native one.

A record may hold any number of events. Each counts as received, and is admitted, rejected or a duplicate. What is of no
concern here (an operation that reads nothing) is not received: it is ignored, and counted beside the sum by its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from detectors.base import EVENT_ROWS
from streams.admit.access import AccessStage
from streams.admit.refuse import rejection
from streams.admit.stage import Parts
from streams.admit.translation import Entry, IgnoredError, Translator
from streams.admit.validate import LARGEST_RECORD, RefusalError, as_access_event
from streams.flow.stage import Record


class _Refused(NamedTuple):
    """What is left of a record: the entries that could not be admitted."""

    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class ForeignAccessStage(AccessStage):
    """One partition of access-events in a foreign format.

    Args:
        translator: of that format; the others as `AdmitStage` has them.
    """

    def __init__(self, *args: Any, translator: Translator) -> None:
        super().__init__(*args)
        self._translator = translator

    def admit_batch(self, records: Sequence[Record], parts: Parts) -> None:
        tally = Counter[str]()
        for record in records:
            self._admit_record(record, parts, tally)
        self.counts.update(tally)

    def _admit_record(self, record: Record, parts: Parts, tally: Counter[str]) -> None:
        refused: list[tuple[bytes, RefusalError]] = []
        entries = self._entries(record)
        # A record without entries is a record all the same, and is counted.
        for number, entry in enumerate(entries or [Entry(b"", IgnoredError("not_selected"))]):
            self.first_row = number * EVENT_ROWS
            try:
                outcome = self._admit_entry(entry.outcome, record, parts)
            except RefusalError as refusal:
                tally["received"] += 1
                tally["rejected"] += 1
                tally[f"rejected/{refusal.reason}"] += 1
                refused.append((entry.raw, refusal))
            except IgnoredError as ignored:
                tally["ignored"] += 1
                tally[f"ignored/{ignored.reason}"] += 1
            else:
                tally["received"] += 1
                tally[outcome] += 1
                for note in self._notes if outcome == "admitted" else ():
                    tally[f"corrected/{note}"] += 1
            self._notes.clear()
        if refused:
            self._reject_entries(record, refused, len(entries))

    def _entries(self, record: Record) -> list[Entry]:
        value = record.value
        if value is None:
            return [Entry(b"", RefusalError("null_value", "the value is null"))]
        if len(value) > LARGEST_RECORD:
            return [Entry(value, RefusalError("too_large", f"the value has {len(value)} bytes"))]
        return self._translator.entries(value, record.headers)

    def _admit_entry(self, outcome: dict[str, Any] | Exception, record: Record, parts: Parts) -> str:
        if isinstance(outcome, Exception):
            raise outcome
        event = self.latest = as_access_event(outcome)
        return "admitted" if self.admit(event, record, parts, self._notes) else "duplicate"

    def _reject_entries(
        self, record: Record, refused: list[tuple[bytes, RefusalError]], entries: int
    ) -> None:
        """One rejection a record, which seals only what was refused: readmitting it repeats nothing else."""
        first = refused[0][1]
        raw: bytes | None
        if entries > 1:
            raw = self._translator.pack([entry for entry, _ in refused])
            first = RefusalError(
                first.reason,
                f"{len(refused)} of {entries} entries were refused, the first: {first.detail}",
                first.where,
                first.carrier,
            )
        else:
            raw = refused[0][0]
        left = _Refused(record.offset, record.timestamp, raw)
        self.out.append(rejection(self.topic, self.partition, left, first, self._keys))
