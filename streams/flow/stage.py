"""What every stage is made of: a partition's worth of state and progress, fed with records, giving sends and snapshots.

A stage never awaits and never touches Kafka or a clock: the worker feeds it from Faust, `backtest` from files, tests
from lists. Exactly-once rests on three marks that travel with the state (design: law 2): the merge's progress, the
upstreams' progress inside it, and on each key's state the position of the last row applied to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from detectors.base import Person
from streams.flow.events import Position, decode_block
from streams.flow.merge import Merge, MergeState, Row

#: Keys that are not a person's or a parcel's begin so; no token does.
RESERVED = "\x00"


class Record(Protocol):
    """A Kafka record, as aiokafka gives it."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Out(NamedTuple):
    """Something to send: to a partition, or by key when `partition` is None.

    `alert` says of an alert, for the metrics: detector, severity, activity, and when the triggering record reached
    the broker (ms; 0 when time alone triggered it).
    """

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]] = []  # noqa: RUF012  # never mutated
    alert: tuple[str, int, int, int] | None = None


class Snapshot(NamedTuple):
    """A checkpoint's content, encoded at one moment: states first, then progress, then the offset to commit."""

    states: list[tuple[bytes, bytes]]
    progress: tuple[bytes, bytes]
    commit: int


class Store(Protocol):
    """A partition's share of a durable table."""

    def get(self, key: bytes) -> bytes | None: ...
    def items(self) -> Iterable[tuple[bytes, bytes]]: ...


class HoleError(Exception):
    """Records are missing before this batch: the stage needs `need`, the batch begins at `got`."""

    def __init__(self, need: int, got: int) -> None:
        super().__init__(f"needs offset {need}, was given {got}")
        self.need = need
        self.got = got


class Keyed(Protocol):
    """A state kept by key: `pos` is the position of the last row applied to it."""

    pos: Position


S = TypeVar("S", bound=Keyed)


class StateCache(Generic[S]):
    """Decoded states of one partition over its store; what changed is written at the next checkpoint.

    Args:
        store: where states not in the cache are looked for.
        decode, encode: bytes ↔ state.
        initial: the state of a key never seen.
        keep: clean states kept decoded; more are forgotten after a checkpoint.
    """

    def __init__(
        self,
        store: Store,
        decode: Callable[[bytes], S],
        encode: Callable[[S], bytes],
        initial: Callable[[], S],
        keep: int = 200_000,
    ) -> None:
        self._store = store
        self._decode = decode
        self._encode = encode
        self._initial = initial
        self._keep = keep
        self.cache: dict[str, S] = {}
        self.dirty: set[str] = set()

    def get(self, key: str) -> S:
        """The state of `key`, fresh if there is none. Call `touch` when it is changed."""
        state = self.cache.get(key)
        if state is None:
            raw = self._store.get(key.encode())
            state = self._initial() if raw is None else self._decode(raw)
            self.cache[key] = state
        return state

    def stored(self) -> Iterator[tuple[str, S]]:
        """Every state in the store, reserved keys left out."""
        for key, raw in self._store.items():
            name = key.decode()
            if not name.startswith(RESERVED):
                yield name, self._decode(raw)

    def take_dirty(self) -> list[tuple[bytes, bytes]]:
        """Encoded states changed since the last call; they count as clean from now on."""
        encode, cache = self._encode, self.cache
        states = [(key.encode(), encode(cache[key])) for key in sorted(self.dirty)]
        self.dirty.clear()
        return states

    def forget(self, unwritten: Iterable[bytes]) -> None:
        """Drop decoded states beyond `keep`, except those whose write is still under way."""
        if len(self.cache) > self._keep:
            busy = {key.decode() for key in unwritten} | self.dirty
            self.cache = {key: self.cache[key] for key in busy}


class Stage(ABC):
    """One partition of one stage."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.out: list[Out] = []

    @property
    @abstractmethod
    def need(self) -> int:
        """The source offset this stage needs next."""

    @abstractmethod
    def take(self, records: Sequence[Record]) -> None:
        """Apply an unbroken run of records; what is to be sent is appended to `out`.

        Raises:
            HoleError: when the run begins after `need`.
        """

    @abstractmethod
    def skip_to(self, offset: int) -> None:
        """Go on at `offset`: the source itself no longer has what lies between."""

    @abstractmethod
    def rest(self) -> None:
        """Say downstream that nothing more is at hand, when that is so and was not said."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """All that changed since the last snapshot, encoded now. It may leave sends in `out`: they go before it."""

    @abstractmethod
    def written(self, snapshot: Snapshot) -> None:
        """The snapshot is durable."""

    def unbroken(self, records: Sequence[Record], need: int) -> Sequence[Record]:
        """`records` from `need` on."""
        if not records or records[-1].offset < need:
            return ()
        first = records[0].offset
        if first > need:
            raise HoleError(need, first)
        if first < need:
            return [record for record in records if record.offset >= need]
        return records


class KeyedStage(Stage, Generic[S]):
    """A stage over a keyed log: merges its blocks into one order and applies row by row."""

    PROGRESS = RESERVED + "progress"

    def __init__(self, partition: int, store: Store, expected: Iterable[int], states: StateCache[S]) -> None:
        super().__init__(partition)
        raw = store.get(self.PROGRESS.encode())
        self.merge = Merge(expected, msgspec.msgpack.decode(raw, type=MergeState) if raw else None)
        self.states = states
        self._read = self.merge.start

    @property
    def need(self) -> int:
        return self._read

    def take(self, records: Sequence[Record]) -> None:
        ingest = self.merge.ingest
        for record in self.unbroken(records, self._read):
            assert record.value is not None, "a block without a value in one of parcelwatch's own logs"
            ingest(record.offset, decode_block(record.value))
            self._read = record.offset + 1
        self.apply(self.merge.release())
        self.emit()

    def skip_to(self, offset: int) -> None:
        self._read = offset

    @abstractmethod
    def apply(self, rows: list[Row]) -> None:
        """Apply rows, in order."""

    @abstractmethod
    def emit(self) -> None:
        """Turn what applying produced into blocks in `out`."""

    def snapshot(self) -> Snapshot:
        states = self.states.take_dirty()
        state = self.merge.state()
        progress = (self.PROGRESS.encode(), msgspec.msgpack.encode(state))
        return Snapshot(states, progress, self.merge.start)

    def written(self, snapshot: Snapshot) -> None:
        self.states.forget(key for key, _ in snapshot.states)


def people_index(people: dict[int, int], order: list[Person], person: Person) -> int:
    """The index of `person` in a block's people, added when new.

    By identity, not by token: a person whose directory entry changed within the block is two people there, so that
    what a row says of its person does not depend on what else shares its block.
    """
    index = people.get(id(person))
    if index is None:
        index = people[id(person)] = len(order)
        order.append(person)
    return index
