"""What the detect stage owes to order: timers, and the lessons of finished days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detectors.base import Person, Touch
from streams.detect.stage import DetectStage
from streams.flow.events import (
    DETECT_SOURCE,
    RELATE_SOURCE,
    Block,
    Explained,
    NormsRow,
    decode_block,
    encode_block,
    source_id,
)
from streams.flow.merge import Merge
from streams.flow.stage import Out
from streams.history.pipeline import MemoryRecord, MemoryStore
from tests.law_harness import WATCHFUL

HOUR = 3_600_000
#: Midnight of some day, in hours from 1970.
DAY = 20_000 * 24
DETECT = [source_id(DETECT_SOURCE, p) for p in range(2)]
RELATE = [source_id(RELATE_SOURCE, p) for p in range(2)]
WHO = Person("k1.who", "vnx")


def touch(hour: float, off: int, *, order: float | None = None, parcel: str = "") -> Touch:
    """A touch at an hour of the day, in order at another if it came late."""
    st = int((DAY + (hour if order is None else order)) * HOUR)
    return Touch(st, 0, off, 0, 0, int((DAY + hour) * HOUR), 0, 1, parcel, 0, 0, context=True)


def block(
    source: int,
    clock: float,
    touches: Sequence[Touch] = (),
    explained: Sequence[Explained] = (),
    *,
    idle: bool = False,
) -> Block:
    """A block whose source has come to that hour."""
    at = int((DAY + clock) * HOUR)
    return Block(source, (at, -1, -1, -1), at, idle, [WHO], list(touches), [], list(explained))


def take(stage: DetectStage, log: Iterable[Block], size: int = 1) -> None:
    """Let a stage take a log from its beginning, so many blocks at once."""
    records = [MemoryRecord(offset, 0, None, encode_block(one)) for offset, one in enumerate(log)]
    for start in range(0, len(records), size):
        stage.take(records[start : start + size])


def lessons(out: Iterable[Out]) -> list[NormsRow]:
    """What was said to the second partition of finished days."""
    return [row for sent in out if sent.partition == 1 for row in decode_block(sent.value).norms]


def test_what_a_late_resumption_teaches_reaches_the_others() -> None:
    """A partition may have said it had come further than it was let; what comes late is not taken for said already."""
    stage = DetectStage(0, 2, {})
    log = [
        block(DETECT[0], 500),
        block(DETECT[1], 10),
        block(RELATE[1], 0, idle=True),
        block(RELATE[0], 30, [touch(1, 0)]),
        block(RELATE[1], 26, [touch(25, 1)]),
        block(RELATE[1], 40),
        block(DETECT[1], 60),
    ]
    take(stage, log)
    stage.snapshot()
    heard = Merge([*RELATE, *DETECT])
    for offset, out in enumerate(out for out in stage.out if out.partition == 1):
        heard.ingest(offset, decode_block(out.value))
    assert [len(rows) for _, _, rows in heard.aside] == [1]


def test_what_a_day_taught_is_on_its_way_before_the_person_is_written() -> None:
    """Else a crash after the write would leave nobody who remembers to teach it."""
    stage = DetectStage(0, 2, {})
    take(stage, [block(DETECT[0], 500), block(DETECT[1], 500), block(RELATE[1], 0, idle=True)])
    stage.take([MemoryRecord(3, 0, None, encode_block(block(RELATE[0], 23.9, [touch(23.5, 0)])))])
    stage.take([MemoryRecord(4, 0, None, encode_block(block(RELATE[0], 24.2, [touch(24.1, 1)])))])
    assert lessons(stage.out) == [], "a snapshot that finds nothing unsaid would prove nothing"
    snapshot = stage.snapshot()
    assert [key for key, _ in snapshot.states] == [b"k1.who"]
    assert [(row.off, row.carrier) for row in lessons(stage.out)] == [(1, "vnx")]


def test_a_late_reason_that_brings_a_grace_forward_does_so_in_any_batches() -> None:
    """The reason leaves an earlier touch, which had come late, as the one next to be looked at: before the next row."""
    log = [
        block(DETECT[0], 500),
        block(RELATE[0], 10, [touch(10, 0, parcel="k1.a"), touch(1, 1, order=10, parcel="k1.b")]),
        block(RELATE[0], 11, [], [Explained((DAY + 11) * HOUR, 1, 0, 0, 0, (0, 0, 0), (DAY + 10) * HOUR, 1)]),
        block(RELATE[0], 11.5, [touch(11.5, 2)]),
        block(RELATE[0], 11.6, idle=True),
    ]
    states = []
    for size in (1, len(log)):
        store = MemoryStore()
        stage = DetectStage(0, 1, store, WATCHFUL)
        take(stage, log, size)
        store.write(stage.snapshot())
        states.append(store[b"k1.who"])
    assert states[0] == states[1]
