"""admit reads what carriers send, validates it, turns identities into tokens and packs blocks for the parcel log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import msgspec

from detectors.base import ACTION_CODES, CHANNEL_CODES, Person, Touch
from streams.admit.directory import Directory
from streams.admit.local_time import Zones
from streams.admit.progress import Progress
from streams.admit.recent import RecentIds
from streams.admit.refuse import rejection
from streams.admit.validate import (
    AHEAD,
    MOST_PARCELS,
    MOST_RECORDS,
    OLD,
    Clock,
    RefusalError,
    count_records,
    decode,
    decode_batch,
    event_time,
)
from streams.flow.events import (
    ACCESS_SOURCE,
    CONTEXT_KINDS,
    CONTEXT_SOURCE,
    LAST,
    AccessEvent,
    Block,
    Context,
    ContextEvent,
    Reason,
    StaffRecord,
    encode_block,
    source_id,
)
from streams.flow.stage import RESERVED, Out, Record, Snapshot, Stage, Store, people_index
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, PARCEL_LOG, STAFF_DIRECTORY
from streams.privacy.tokens import Keyring

_KIND_CODES = {name: code for code, name in enumerate(CONTEXT_KINDS)}
_SOURCES = {ACCESS_EVENTS: ACCESS_SOURCE, PARCEL_CONTEXT: CONTEXT_SOURCE}


#: Per destination: its block, the block's people, their indexes by identity, and how a touch is appended.
Parts = Sequence[tuple[Block, list[Person], dict[int, int], Callable[[Touch], None]]]


class AdmitStage(Stage):
    """One partition of one inbound topic.

    Args:
        topic: access-events, parcel-context or staff-directory.
        partition, partitions: which, of how many.
        store: the partition's share of the `admit` table.
        directory: the broadcast staff directory.
        keys: seals what is rejected.
        zones: carriers' local time.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        partitions: int,
        store: Store,
        directory: Directory,
        keys: Keyring,
        zones: Zones,
    ) -> None:
        super().__init__(partition)
        self.topic = topic
        self._partitions = partitions
        self._directory = directory
        self._keys = keys
        self._zones = zones if zones else None
        self._key = f"{RESERVED}progress/{topic}".encode()
        raw = store.get(self._key)
        self.progress = msgspec.msgpack.decode(raw, type=Progress) if raw else Progress()
        self.counts = Counter(self.progress.counts)
        self.source = source_id(_SOURCES.get(topic, 9), partition)
        self._ids = RecentIds(topic, store, self.progress.next)
        self._resting = False
        self._notes: list[str] = []
        self._clock = Clock()
        reads: dict[str, tuple[Any, Callable[[Any, Record, Parts, list[str]], bool]]] = {
            ACCESS_EVENTS: (AccessEvent, self._access),
            PARCEL_CONTEXT: (ContextEvent, self._context),
            STAFF_DIRECTORY: (StaffRecord, self._staff),
        }
        self._reads = reads[topic]

    @property
    def need(self) -> int:
        return self.progress.next

    def skip_to(self, offset: int) -> None:
        self.progress.next = offset

    def take(self, records: Sequence[Record]) -> None:
        records = self.unbroken(records, self.progress.next)
        if not records:
            return
        kind, admit = self._reads
        blocks = [Block(self.source, (0, 0, 0, 0), 0, False) for _ in range(self._partitions)]
        parts: Parts = [(block, block.people, {}, block.touches.append) for block in blocks]
        admitted = duplicate = rejected = 0
        notes, corrected = self._notes, Counter[str]()
        events: Sequence[Any] | None = decode_batch(kind, [record.value for record in records])
        for index, record in enumerate(records):
            try:
                event = events[index] if events else self._decode(kind, record.value)
                if admit(event, record, parts, notes):
                    admitted += 1
                    for note in notes:
                        corrected[note] += 1
                else:
                    duplicate += 1
            except RefusalError as refusal:
                rejected += 1
                self._reject(record, refusal)
            if notes:
                notes.clear()
        self.counts.update(received=len(records), admitted=admitted, duplicate=duplicate, rejected=rejected)
        self.counts.update({f"corrected/{name}": n for name, n in corrected.items()})
        self.progress.next = records[-1].offset + 1
        self._resting = False
        if self.topic != STAFF_DIRECTORY:
            self._send(blocks, idle=False)

    def _send(self, parts: Sequence[Block], *, idle: bool) -> None:
        st = self.progress.st
        through = (st, self.source, self.progress.next - 1, LAST)
        for partition, block in enumerate(parts):
            block.through, block.clock, block.idle = through, st, idle
            self.out.append(Out(PARCEL_LOG, partition, None, encode_block(block)))

    def rest(self) -> None:
        if not self._resting and self.topic != STAFF_DIRECTORY:
            self._resting = True
            blocks = [Block(self.source, (0, 0, 0, 0), 0, True) for _ in range(self._partitions)]
            self._send(blocks, idle=True)

    def _access(self, event: AccessEvent, record: Record, parts: Parts, notes: list[str]) -> bool:
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
        for idx, clear in enumerate(parcels or ("",)):
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
                    st, source, off, idx, who, time, tz, action, parcel, 0 if idx else records, arrived, site, reason,
                    0, 0, False, (), holiday, 0, device, place, channel, failed, serial,
                )
            )  # fmt: skip
        return True

    def _context(self, event: ContextEvent, record: Record, parts: Parts, notes: list[str]) -> bool:
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

    def _staff(self, event: StaffRecord | None, record: Record, parts: Parts, notes: list[str]) -> bool:
        """Validate only: every worker, this one too, reads the directory whole by itself."""
        if event is not None:
            self._directory.cipher(event.carrier)
        return True

    def _decode(self, kind: Any, value: bytes | None) -> Any:
        if value is None and kind is StaffRecord:
            return None  # a tombstone: the person was removed
        return decode(kind, value, self._notes)

    def _reason(self, carrier: str, reason: Reason) -> str:
        """The reason as far as it can explain: people write phone numbers and names into such fields."""
        if reason.kind == "ticket":
            return "ticket:" + (reason.id and self._directory.cipher(carrier).parcel(reason.id))
        return "call:" if reason.kind == "call" else ""

    def _reject(self, record: Record, refusal: RefusalError) -> None:
        self.counts[f"rejected/{refusal.reason}"] += 1
        self.out.append(rejection(self.topic, self.partition, record, refusal, self._keys))

    def snapshot(self) -> Snapshot:
        self.progress.counts = dict(sorted(self.counts.items()))
        return Snapshot(
            self._ids.take_grown(), (self._key, msgspec.msgpack.encode(self.progress)), self.progress.next
        )

    def written(self, snapshot: Snapshot) -> None:
        """Nothing is cached that the store should give back."""
