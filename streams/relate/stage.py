"""relate knows parcels: it labels every touch with its explanation, or none, and sends it on to the person's
partition.
"""

from __future__ import annotations

import msgspec

from detectors.base import Person, Touch
from streams.flow.events import (
    ACCESS_SOURCE,
    CONTEXT_SOURCE,
    RELATE_SOURCE,
    START,
    Block,
    Context,
    Explained,
    Position,
    encode_block,
    source_id,
)
from streams.flow.merge import Row
from streams.flow.stage import RESERVED, KeyedStage, Out, StateCache, Store, people_index
from streams.flow.topics import ACTOR_LOG
from streams.relate.parcels import HONEYTOKEN, Parcel, apply_context, apply_touch, explain_late, person_hash

MOST_HASHES = 200_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Parcel).decode


class RelateStage(KeyedStage[Parcel]):
    """One partition of the parcel log.

    Args:
        partition: which.
        partitions: of every topic.
        store: the partition's share of the `relate` table.
    """

    def __init__(self, partition: int, partitions: int, store: Store) -> None:
        sources = (source_id(kind, p) for kind in (ACCESS_SOURCE, CONTEXT_SOURCE) for p in range(partitions))
        super().__init__(partition, store, sources, StateCache(store, _decode, _encode, Parcel))
        self._partitions = partitions
        self._source = source_id(RELATE_SOURCE, partition)
        self._touches: list[list[Touch]] = [[] for _ in range(partitions)]
        self._explained: list[list[Explained]] = [[] for _ in range(partitions)]
        self._said = (-1, False)
        self._since: dict[str, Position] = {}
        self._hashes: dict[str, int] = {}

    def apply(self, rows: list[Row]) -> None:
        cache, get, mark = self.states.cache, self.states.get, self.states.dirty.add
        hashes, partitions, since_of = self._hashes, self._partitions, self._since
        outlets = [part.append for part in self._touches]
        for row in rows:
            if type(row) is Touch:
                who = row.who
                me = hashes.get(who.token) or self._hash(who.token)
                key = row.parcel
                if key:
                    parcel = cache.get(key) or get(key)
                    here = (row.st, row.src, row.off, row.idx)
                    if here <= parcel.pos:
                        continue
                    parcel.pos = here
                    mark(key)
                    since = since_of.get(who.carrier) or self._context_since(who.carrier)
                    apply_touch(parcel, row, me, context=since < here)
                outlets[me % partitions](row)
            elif type(row) is Context:
                self._apply_context(row)

    def _apply_context(self, row: Context) -> None:
        here = (row.st, row.src, row.off, row.idx)
        carrier = f"{RESERVED}context/{row.carrier}"
        first = self.states.get(carrier)
        # A honeytoken is planted by parcelwatch itself: it says nothing of whether the carrier sends context.
        if first.pos == START and row.kind != HONEYTOKEN:
            first.pos = here
            self.states.dirty.add(carrier)
            self._since.pop(row.carrier, None)
        parcel = self.states.get(row.parcel)
        if here <= parcel.pos:
            return
        parcel.pos = here
        self.states.dirty.add(row.parcel)
        apply_context(parcel, row)
        if parcel.waits:
            for index, (wait, code) in enumerate(explain_late(parcel, row.time)):
                partition = self._hash(wait.who.token) % self._partitions
                late = Explained(row.st, row.src, row.off, index, wait.who, wait.touch, wait.time, code)
                self._explained[partition].append(late)

    def _hash(self, token: str) -> int:
        """A person's hash, which also says his actor-log partition; remembered, since people come again and again."""
        if len(self._hashes) >= MOST_HASHES:
            self._hashes.clear()
        number = self._hashes[token] = person_hash(token)
        return number

    def _context_since(self, carrier: str) -> Position:
        """Position of the carrier's first context record here; after every position when there was none."""
        since = self._since.get(carrier)
        if since is None:
            pos = self.states.get(f"{RESERVED}context/{carrier}").pos
            since = self._since[carrier] = pos if pos != START else (1 << 62, 0, 0, 0)
        return since

    def emit(self) -> None:
        bound, idle = self.merge.bound, self.merge.idle
        said, self._said = self._said, (bound, idle)
        through = (bound, -1, -1, -1)
        for partition in range(self._partitions):
            touches, explained = self._touches[partition], self._explained[partition]
            if not touches and not explained and said == (bound, idle):
                continue
            index: dict[int, int] = {}
            people: list[Person] = []
            for row in touches:
                who = row.who
                number = index.get(id(who))
                row.who = people_index(index, people, who) if number is None else number
            for late in explained:
                late.who = people_index(index, people, late.who)
            block = Block(self._source, through, bound, idle, people, touches, [], explained)
            self.out.append(Out(ACTOR_LOG, partition, None, encode_block(block)))
            self._touches[partition] = []
            self._explained[partition] = []

    def rest(self) -> None:
        """Nothing to say: idleness passes through with the blocks that bring it."""
