"""A lane's checkpoint keeps its order, whatever waits: outputs, states, progress, offset, each after the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.flow.stage import Out, Snapshot, Stage
from streams.flow.topics import PARCEL_LOG
from streams.history.pipeline import MemoryRecord
from streams.monitoring.metrics import Metrics
from streams.worker.lane import PIECE, Lane, Lease, LeaseError
from streams.worker.state import TableStore

HERE = TP(PARCEL_LOG, 0)


class Journal:
    """What was done, in order; a send is acknowledged when told to."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.acks: dict[str, asyncio.Future[Any]] = {}
        self.hold = asyncio.Event()
        self.hold.set()

    async def send(self, topic: str, _key: Any, value: bytes, *_: Any) -> asyncio.Future[Any]:
        """As Faust's producer: returns once the record is in line."""
        await self.hold.wait()
        await asyncio.sleep(
            0
        )  # others may run before the record is in line, as when metadata or memory is waited for
        self.did.append(f"send {value.decode()}")
        return self.acks.setdefault(value.decode(), asyncio.get_running_loop().create_future())

    async def write(self, snapshot: Snapshot, may_write: Any) -> None:
        """As a table store."""
        may_write()
        self.did.append(f"write {snapshot.commit}")

    def ack(self, *values: str) -> None:
        """The broker has these."""
        for value in values:
            self.acks[value].set_result(None)


class Ledger(dict[TP, int]):
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __setitem__(self, tp: TP, offset: int) -> None:
        self._journal.did.append(f"offer {offset}")
        super().__setitem__(tp, offset)


def records(*values: bytes) -> list[Any]:
    return [MemoryRecord(offset, 0, None, value) for offset, value in enumerate(values)]


class Echo(Stage):
    """Sends back what it takes."""

    need = 0

    def take(self, records: Iterable[Any]) -> None:
        for record in records:
            self.need += 1
            self.out.append(Out("out", 0, None, record.value))

    def skip_to(self, offset: int) -> None: ...
    def rest(self) -> None: ...
    def written(self, snapshot: Snapshot) -> None: ...

    def snapshot(self) -> Snapshot:
        return Snapshot([(b"k", b"v")], (b"p", b"v"), self.need)


@pytest.fixture
async def journal() -> Journal:
    return Journal()


def make_lane(journal: Journal, lease: Lease | None = None) -> Lane:
    app: Any = SimpleNamespace(producer=SimpleNamespace(send=journal.send), rebalancing=False)
    consumer: Any = SimpleNamespace(ledger=Ledger(journal))
    store: Any = journal
    made = Lane(
        app, consumer, HERE, Echo(0), store, lease or Lease(60), Metrics(CollectorRegistry()), "relate"
    )
    journal.did.clear()
    return made


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_states_wait_for_the_outputs_and_the_offset_for_the_states(journal: Journal) -> None:
    lane = make_lane(journal)
    await lane.take(records(b"a", b"b"))
    checkpoint = asyncio.ensure_future(lane.checkpoint())
    await settle()
    assert journal.did == ["send a", "send b"]
    journal.ack("b")
    await settle()
    assert journal.did == ["send a", "send b"], "one output is not acknowledged yet"
    journal.ack("a")
    await checkpoint
    assert journal.did == ["send a", "send b", "write 2", "offer 2"]


async def test_what_is_taken_during_a_checkpoint_waits_for_the_next(journal: Journal) -> None:
    lane = make_lane(journal)
    await lane.take(records(b"a"))
    checkpoint = asyncio.ensure_future(lane.checkpoint())
    await settle()
    await lane.take(records(b"b"))
    journal.ack("a")
    await checkpoint
    assert journal.did[-2:] == ["write 1", "offer 1"]
    assert lane.dirty


async def test_outputs_leave_in_the_stages_order_though_two_flush_at_once(journal: Journal) -> None:
    """Receivers take what comes later for the news, and what stands before it for a repetition."""
    lane = make_lane(journal)
    journal.hold.clear()
    first = asyncio.ensure_future(lane.take(records(b"a", b"b")))
    await settle()
    second = asyncio.ensure_future(lane.take(records(b"c")))
    await settle()
    journal.hold.set()
    await asyncio.gather(first, second)
    assert journal.did == ["send a", "send b", "send c"]


async def test_an_output_the_broker_refuses_stops_the_checkpoint(journal: Journal) -> None:
    lane = make_lane(journal)
    await lane.take(records(b"a"))
    checkpoint = asyncio.ensure_future(lane.checkpoint())
    await settle()
    journal.acks["a"].set_exception(ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await checkpoint
    assert journal.did == ["send a"]


async def test_giving_up_waits_for_the_running_checkpoint_and_lets_no_other_begin(journal: Journal) -> None:
    lane = make_lane(journal)
    await lane.take(records(b"a"))
    checkpoint = asyncio.ensure_future(lane.checkpoint())
    await settle()
    closing = asyncio.ensure_future(lane.close())
    await settle()
    assert not closing.done()
    journal.ack("a")
    await asyncio.gather(checkpoint, closing)
    await lane.take(records(b"b"))
    await lane.checkpoint()
    assert journal.did == ["send a", "write 1", "offer 1"]


async def test_nothing_is_written_once_the_lease_is_over(journal: Journal) -> None:
    lane = make_lane(journal, Lease(-1))
    with pytest.raises(LeaseError):
        await lane.checkpoint()
    assert journal.did == []


async def test_a_table_is_written_states_first_and_progress_when_the_broker_has_them() -> None:
    did: list[str] = []
    acks: list[asyncio.Future[Any]] = []

    class Batch:
        def __init__(self) -> None:
            self.keys: list[bytes] = []

        def append(self, *, key: bytes, value: bytes, timestamp: None) -> object:
            self.keys.append(key)
            return object()

        def close(self) -> None: ...

        def record_count(self) -> int:
            return len(self.keys)

    async def send_batch(batch: Batch, *_: Any, **__: Any) -> asyncio.Future[Any]:
        did.append("send " + b",".join(batch.keys).decode())
        acks.append(asyncio.get_running_loop().create_future())
        return acks[-1]

    producer = SimpleNamespace(create_batch=Batch, send_batch=send_batch)
    app: Any = SimpleNamespace(producer=SimpleNamespace(_ensure_producer=lambda: producer))
    table = SimpleNamespace(
        data=SimpleNamespace(
            _db_for_partition=lambda _: SimpleNamespace(write=lambda _: did.append("store")),
            set_persisted_offset=lambda _, offset: did.append(f"persisted {offset}"),
        ),
        changelog_topic=SimpleNamespace(get_topic_name=lambda: "t"),
    )
    store = TableStore(app, table, 0)
    snapshot = Snapshot([(b"a", b"1"), (b"b", b"2")], (b"progress", b"3"), 9)
    writing = asyncio.ensure_future(store.write(snapshot, lambda: did.append("may")))
    await settle()
    assert did == ["may", "send a,b"]
    acks[0].set_result(SimpleNamespace(offset=5))
    await settle()
    assert did == ["may", "send a,b", "store", "persisted 6", "may", "send progress"]
    acks[1].set_result(SimpleNamespace(offset=7))
    await writing
    assert did[-2:] == ["store", "persisted 7"]


async def test_a_large_batch_is_taken_in_pieces_between_which_others_have_their_turn(
    journal: Journal,
) -> None:
    lane = make_lane(journal)
    turns = 0

    async def another() -> None:
        nonlocal turns
        while lane.stage.need < 10:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(another())
    await lane.take([MemoryRecord(n, 0, None, b"x" * PIECE) for n in range(9)] + records(b"last"))
    await other
    assert turns >= 9
    assert lane.stage.need == 10
