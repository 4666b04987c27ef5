"""Access events become touches: who read which parcels, in tokens, one row a parcel."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from detectors.base import ACTION_CODES, CHANNEL_CODES, Touch
from streams.admit.stage import AdmitStage, Parts
from streams.admit.validate import (
    AHEAD,
    MOST_PARCELS,
    MOST_RECORDS,
    OLD,
    RefusalError,
    count_records,
    event_time,
)
from streams.flow.events import ACCESS_SOURCE, AccessEvent, Reason
from streams.flow.stage import Record, people_index
from streams.flow.topics import ACCESS_EVENTS, PARCEL_LOG


class AccessStage(AdmitStage):
    """One partition of access-events."""

    topic = ACCESS_EVENTS
    record_type = AccessEvent
    source_kind = ACCESS_SOURCE
    downstream = PARCEL_LOG
    #: Index of the event's first row; only records that hold several events begin beyond 0.
    first_row = 0

    def admit(self, event: AccessEvent, record: Record, parts: Parts, notes: list[str]) -> bool:
        # Called for every event: what is common is done in place, what is rare by a call.
        carrier = event.carrier
        person = self._directory.people.get((carrier, event.actor)) or self._directory.person(
            carrier, event.actor
        )
        action = ACTION_CODES.get(event.action)
        if action is None:
            raise RefusalError("unknown_action", "the action is none of the known", "$.action", carrier)
        arrived, off = record.timestamp, record.offset
        time, tz = self._clock.read(event.time)
        if not -OLD <= time - arrived <= AHEAD:
            time = event_time(time, arrived, notes)
        parcels: Sequence[str] = event.parcels
        records = event.records
        if records is None:
            records = len(parcels)
        elif not len(parcels) <= records <= MOST_RECORDS:
            records = count_records(event, notes)
        if event.id and self._ids.repeats(carrier + "/" + event.id, off):
            return False
        if not person.status:
            notes.append("actor_unknown")
        if len(parcels) > 1:
            parcels = list(dict.fromkeys(parcels))
            if len(parcels) > MOST_PARCELS:
                notes.append("parcels_truncated")
                parcels = parcels[:MOST_PARCELS]
        cipher = self._directory.cipher(carrier)
        failed, serial = bool(event.outcome) and event.outcome != "success", -1
        if failed:
            # Nothing was shown; the attempt counts, the parcels (which may not exist) were not read.
            serial = cipher.mark(parcels[0]).serial if parcels else -1
            parcels, records = (), 0
        st = self.progress.advance(time, arrived)
        holiday = False
        if self._zones is not None:
            tz = self._zones.offset(carrier, tz, time)
            holiday = self._zones.holiday(carrier, time, tz)
        reason = self._reason(carrier, event.reason) if event.reason else ""
        device = cipher.device(event.device) if event.device else 0
        place = cipher.place(event.ip) if event.ip else 0
        channel = CHANNEL_CODES.get(event.channel, 0)
        site, source, n, mark = event.site, self.source, self._partitions, cipher.mark
        first = self.first_row
        for idx, clear in enumerate(parcels or ("",), first):
            if clear:
                parcel, target, serial = mark(clear)
                target %= n
            else:
                parcel, target = "", crc32(person.token.encode()) % n
            _, people, index, append = parts[target]
            who = index.get(id(person))
            if who is None:
                who = people_index(index, people, person)
            append(
                Touch(
                    st, source, off, idx, who, time, tz, action, parcel, records if idx == first else 0, arrived, site,
                    reason, 0, 0, False, (), holiday, 0, device, place, channel, failed, serial,
                )
            )  # fmt: skip
        return True

    def _reason(self, carrier: str, reason: Reason) -> str:
        """The reason as far as it can explain: people write phone numbers and names into such fields."""
        if reason.kind == "ticket":
            return "ticket:" + (reason.id and self._directory.cipher(carrier).parcel(reason.id))
        return "call:" if reason.kind == "call" else ""
