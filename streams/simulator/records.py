"""Builds wire records, numbers them, sorts them into days, and keeps the truth about what was planted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.simulator.clock import Clock
from streams.simulator.staff import Person

Record = dict[str, Any]

PERSONAL = ("name", "phone", "address")
LABEL = ("name", "address")


class Planted:
    """One planted leak or benign look-alike, and the access events that belong to it."""

    def __init__(self, label: str, shape: str, carrier: str, actor: str) -> None:
        self.label, self.shape, self.carrier, self.actor = label, shape, carrier, actor
        self._span: tuple[int, int] | None = None
        self._parcels: set[str] = set()
        self._records = 0
        self._ids: list[str] = []

    def widen(self, start_ms: int, end_ms: int) -> None:
        """Let the time span cover start to end as well."""
        first, last = self._span or (start_ms, end_ms)
        self._span = min(first, start_ms), max(last, end_ms)

    def add(self, ms: int, event: Record) -> None:
        """Count an access event in."""
        self.widen(ms, ms)
        if event["outcome"] == "success":
            self._parcels.update(event["parcels"])
            self._records += event["records"]
        self._ids.append(event["id"])

    def truth(self, clock: Clock) -> Record | None:
        """The line of the truth file, or None when nothing of it fell into the run."""
        if self._span is None:
            return None
        return {
            "label": self.label,
            "shape": self.shape,
            "carrier": self.carrier,
            "actor": self.actor,
            "start": clock.stamp(self._span[0]),
            "end": clock.stamp(self._span[1]),
            "parcels": len(self._parcels),
            "records": self._records,
            "event_ids": self._ids,
        }


class Recorder:
    """Takes records in any order and gives them back a day at a time, in time order.

    Records outside the run are dropped: parcels were under way before it began and will be after it ends.
    """

    def __init__(self, clock: Clock, carrier: str) -> None:
        self._clock = clock
        self._carrier = carrier
        self._days: defaultdict[int, list[tuple[int, str, Record]]] = defaultdict(list)
        self._day = 0
        self._count = 0
        self._followed: defaultdict[str, list[tuple[Planted, int, int]]] = defaultdict(list)

    def follow(self, planted: Planted, actor: str, start_ms: int, end_ms: int) -> None:
        """Count whatever the person does between start and end into the planted entry."""
        self._followed[actor].append((planted, start_ms, end_ms))

    def open_day(self, day: int) -> None:
        """Number the events that follow as generated on this day."""
        self._day, self._count = day, 0

    def close_day(self, day: int) -> Iterator[tuple[str, Record]]:
        """The day's records as (topic, record), in time order."""
        for _, topic, record in sorted(self._days.pop(day, ()), key=_ms):
            yield topic, record

    def of_actor(self, day: int, actor: str) -> list[tuple[int, Record]]:
        """Access events of a person on the open day so far."""
        return [
            (ms, event)
            for ms, topic, event in self._days[day]
            if topic == ACCESS_EVENTS and event["actor"] == actor
        ]

    def access(
        self,
        ms: int,
        person: Person,
        action: str,
        parcels: Sequence[str] = (),
        *,
        system: str,
        channel: str = "ui",
        records: int | None = None,
        fields: Sequence[str] = (),
        reason: tuple[str, str] | None = None,
        outcome: str = "success",
        site: str | None = None,
        ip: str | None = None,
        device: str | None = None,
        planted: Planted | None = None,
    ) -> None:
        """Write one access event; what is not given is the person's usual."""
        if not self._clock.start_ms <= ms < self._clock.end_ms:
            return
        day = self._clock.day_of(ms)
        self._count += 1
        device = person.device if device is None else device
        event: Record = {
            "id": f"e{self._day + 10}-{self._count}",
            "time": self._clock.stamp(ms),
            "carrier": self._carrier,
            "actor": person.actor,
            "action": action,
            "parcels": list(parcels),
            "records": len(parcels) if records is None else records,
            "fields": list(fields),
            "system": system,
            "channel": channel,
            "site": person.site if site is None else site,
            "ip": person.ip if ip is None else ip,
            "device": device,
            "session": f"s{crc32(f'{person.badge}/{day}/{device}'.encode()):08x}",
            "outcome": outcome,
        }
        if reason is not None:
            event["reason"] = {"kind": reason[0], "id": reason[1]}
        self._days[day].append((ms, ACCESS_EVENTS, event))
        if planted is not None:
            planted.add(ms, event)
        elif person.actor in self._followed:
            for entry, start, end in self._followed[person.actor]:
                if start <= ms < end:
                    entry.add(ms, event)

    def context(
        self,
        ms: int,
        parcel: str,
        kind: str,
        *,
        site: str | None = None,
        route: str | None = None,
        staff: Sequence[str] = (),
        ticket: str | None = None,
    ) -> None:
        """Write one parcel context record."""
        if not self._clock.start_ms <= ms < self._clock.end_ms:
            return
        record: Record = {
            "time": self._clock.stamp(ms),
            "carrier": self._carrier,
            "parcel": parcel,
            "kind": kind,
        }
        if site is not None:
            record["site"] = site
        if route is not None:
            record["route"] = route
        if staff:
            record["staff"] = list(staff)
        if ticket is not None:
            record["ticket"] = ticket
        self._days[self._clock.day_of(ms)].append((ms, PARCEL_CONTEXT, record))


def _ms(entry: tuple[int, str, Record]) -> int:
    return entry[0]
