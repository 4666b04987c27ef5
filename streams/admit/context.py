"""Parcel context: what happened to a parcel, in tokens."""

from __future__ import annotations

from zlib import crc32

from streams.admit.stage import AdmitStage, Parts
from streams.admit.validate import RefusalError, event_time
from streams.flow.events import CONTEXT_KINDS, CONTEXT_SOURCE, Context, ContextEvent
from streams.flow.stage import Record
from streams.flow.topics import PARCEL_CONTEXT, PARCEL_LOG

_KIND_CODES = {name: code for code, name in enumerate(CONTEXT_KINDS)}


class ContextStage(AdmitStage):
    """One partition of parcel-context."""

    topic = PARCEL_CONTEXT
    record_type = ContextEvent
    source_kind = CONTEXT_SOURCE
    downstream = PARCEL_LOG

    def admit(self, event: ContextEvent, record: Record, parts: Parts, notes: list[str]) -> bool:
        carrier = event.carrier
        token = self._directory.cipher(carrier).parcel
        parcel = token(event.parcel)
        kind = _KIND_CODES.get(event.kind)
        if kind is None:
            raise RefusalError("unknown_kind", "the kind is none of the known", "$.kind", carrier)
        arrived = record.timestamp
        time = event_time(self._clock.read(event.time)[0], arrived, notes)
        if event.id and self._ids.repeats(carrier + "/" + event.id, record.offset):
            return False
        staff = [self._directory.person(carrier, actor) for actor in event.staff]
        st = self.progress.advance(time, arrived)
        row = Context(
            st,
            self.source,
            record.offset,
            0,
            time,
            kind,
            carrier,
            parcel,
            event.site,
            event.route,
            staff,
            event.ticket and token(event.ticket),
            event.feed,
        )
        parts[crc32(parcel.encode()) % self._partitions][0].contexts.append(row)
        return True
