"""The merge gives one order, a function of the log alone: whatever was fast, idle, sent twice or read again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import Person, Touch
from streams.flow.events import (
    DETECT_SOURCE,
    LAST,
    Block,
    NormsRow,
    Position,
    decode_block,
    encode_block,
    source_id,
)
from streams.flow.merge import Merge, MergeState, position

A, B, C = 1, 2, 3
OWN = source_id(DETECT_SOURCE, 0)
WHO = Person("k1.who", "vnx")


def touch(st_: int, src: int, off: int, idx: int = 0) -> Touch:
    return Touch(st_, src, off, idx, 0, st_, 0, 1, f"k1.p{off}", 0, 0)


def block(
    source: int,
    rows: Sequence[Touch] = (),
    clock: int | None = None,
    *,
    idle: bool = False,
    through: int = -1,
) -> bytes:
    """A block as the log holds it: rows in order; the clock at the last of them unless given."""
    last = rows[-1].off if rows else through
    clock = rows[-1].st if clock is None else clock
    return encode_block(Block(source, (clock, source, last, LAST), clock, idle, [WHO], list(rows)))


def word(source: int, clock: int, *, idle: bool = False, norms: Sequence[NormsRow] = ()) -> bytes:
    """What a stage says of itself without rows to be ordered."""
    return encode_block(Block(source, (clock, -1, -1, -1), clock, idle, norms=list(norms)))


def feed(merge: Merge, log: Iterable[bytes], start: int = 0) -> list[Position]:
    """Ingest blocks one by one; gives the positions released, in order."""
    out: list[Position] = []
    for offset, raw in enumerate(log, start):
        merge.ingest(offset, decode_block(raw))
        out += map(position, merge.release())
    return out


def offsets(released: Iterable[Position]) -> list[int]:
    return [off for _, _, off, _ in released]


def test_nothing_is_released_before_every_expected_upstream_was_heard() -> None:
    merge = Merge([A, B])
    assert feed(merge, [block(A, [touch(5, A, 0), touch(9, A, 1)])]) == []
    assert merge.pending == 2
    assert feed(merge, [block(B, clock=6)], 1) == [(5, A, 0, 0)]


def test_a_row_waits_until_every_upstream_has_passed_its_order_time() -> None:
    """Not just reached it: another row of that order time may stand before it."""
    merge = Merge([A, B])
    assert feed(merge, [block(B, [touch(7, B, 0)]), block(A, clock=7)]) == []
    assert feed(merge, [block(A, [touch(7, A, 3)]), block(A, clock=8)], 2) == []
    assert feed(merge, [block(B, clock=8)], 4) == [(7, A, 3, 0), (7, B, 0, 0)]


def test_rows_leave_by_order_time_then_source_offset_and_index() -> None:
    rows_a = [touch(1, A, 0), touch(4, A, 1), touch(4, A, 1, 1), touch(6, A, 2)]
    rows_b = [touch(1, B, 0), touch(4, B, 1), touch(5, B, 2)]
    merge = Merge([A, B])
    released = feed(merge, [block(B, rows_b), block(A, rows_a), block(A, clock=9), block(B, clock=9)])
    assert released == sorted(map(position, [*rows_a, *rows_b]))


def test_an_idle_upstream_is_not_waited_for_and_when_all_are_idle_all_is_released() -> None:
    merge = Merge([A, B])
    assert feed(merge, [block(A, [touch(5, A, 0)]), block(B, clock=-1, idle=True)]) == []
    assert not merge.idle
    assert feed(merge, [block(A, clock=5, idle=True)], 2) == [(5, A, 0, 0)]
    assert merge.idle
    assert merge.bound == 6


def test_what_resumes_late_is_lifted_to_where_the_others_are() -> None:
    """So order never goes back; and the place it was lifted to is the same when the block is read again."""
    log = [
        block(A, [touch(5, A, 0)]),
        block(B, clock=0, idle=True),
        block(A, clock=9),
        block(B, [touch(3, B, 0), touch(4, B, 1), touch(12, B, 2)]),
        block(A, [touch(20, A, 1)]),
        block(B, clock=20),
    ]
    merge = Merge([A, B])
    assert feed(merge, log) == [(5, A, 0, 0), (9, B, 0, 0), (9, B, 1, 0), (12, B, 2, 0)]
    for stop in range(len(log)):
        first = Merge([A, B])
        done = feed(first, log[:stop])
        again = Merge([A, B], restored(first))
        assert done + feed(again, log[again.start :], again.start) == feed(Merge([A, B]), log)


def test_what_an_upstream_sends_twice_is_dropped_and_counted() -> None:
    merge = Merge([A])
    log = [
        block(A, [touch(1, A, 0), touch(2, A, 1)]),
        block(A, [touch(2, A, 1), touch(3, A, 2)]),
        block(A, [touch(1, A, 0)]),
        block(A, clock=9),
    ]
    assert offsets(feed(merge, log)) == [0, 1, 2]
    assert merge.duplicates == 2
    merge.ingest(1, decode_block(log[1]))
    assert merge.release() == []
    assert merge.duplicates == 2, "a block read again is not a block sent again"


def test_duplicates_stay_dropped_when_their_block_is_held_across_a_restart() -> None:
    log = [
        block(A, [touch(1, A, 0), touch(5, A, 1)]),
        block(A, [touch(5, A, 1), touch(6, A, 2)]),
        block(B, clock=3),
    ]
    first = Merge([A, B])
    assert offsets(feed(first, log)) == [0]
    again = Merge([A, B], restored(first))
    assert again.start == 0
    rest = [*log, block(A, clock=9), block(B, clock=9)]
    assert offsets(feed(again, rest)) == [1, 2]


def test_reading_starts_at_the_first_block_not_wholly_released() -> None:
    merge = Merge([A, B])
    feed(merge, [block(A, [touch(1, A, 0)]), block(A, [touch(5, A, 1)]), block(B, clock=4)])
    assert merge.start == 1
    assert [held.offset for held in merge.state().held] == [1]
    feed(merge, [block(A, clock=9), block(B, clock=9)], 3)
    assert merge.start == 5
    assert merge.state().held == []


def test_lessons_are_put_aside_once_with_the_bound_they_were_heard_at() -> None:
    lesson = NormsRow(5, A, 0, 0, "vnx", "clerk", [("m", 1)])
    later = NormsRow(8, A, 1, 0, "vnx", "clerk", [("m", 2)])
    merge = Merge([A, OWN])
    feed(merge, [word(A, 4), word(OWN, 6, norms=[lesson]), word(OWN, 9, norms=[lesson, later])])
    assert [(offset, bound, [row.off for row in rows]) for offset, bound, rows in merge.aside] == [
        (1, 0, [0]),
        (2, 4, [1]),
    ]


def test_the_stage_itself_holds_the_merge_back_by_its_clock_but_is_never_waited_for_to_be_idle() -> None:
    merge = Merge([A, OWN])
    assert feed(merge, [word(OWN, 3), block(A, [touch(5, A, 0)]), block(A, clock=5, idle=True)]) == []
    assert merge.frontier == 5, "nothing stands before the row that waits"
    assert not merge.idle
    assert offsets(feed(merge, [word(OWN, 6)], 3)) == [0]
    assert merge.idle


def test_a_merge_that_has_rows_to_read_again_is_not_idle() -> None:
    """Else other partitions would cease to wait for what these rows are yet to teach."""
    log = [word(OWN, 3), block(A, [touch(5, A, 0)]), block(A, [touch(6, A, 1)]), block(A, clock=6, idle=True)]
    merge = Merge([A, OWN])
    feed(merge, log)
    again = Merge([A, OWN], restored(merge))
    assert again.start == 1
    assert not again.idle
    assert again.frontier <= 5
    feed(again, log[1:2], 1)
    assert not again.idle


def restored(merge: Merge) -> MergeState:
    """The state as it comes back from a store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(merge.state()), type=MergeState)


# --- any log ---

_moves = st.lists(
    st.tuples(
        st.sampled_from([A, B, C]),
        st.sampled_from("rrrrcip"),  # rows, a clock, idle, a part sent again
        st.lists(st.integers(0, 6), min_size=1, max_size=4),
    ),
    min_size=3,
    max_size=40,
)


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """A keyed log of three upstreams that fall idle, resume and send again what they had sent."""
    sent: dict[int, list[Touch]] = {A: [], B: [], C: []}
    clocks = {A: 0, B: 0, C: 0}
    log: list[bytes] = []
    for source, kind, steps in draw(_moves):
        rows = sent[source]
        if kind == "r":
            fresh = []
            for step in steps:
                clocks[source] += step
                fresh.append(touch(clocks[source], source, len(rows) + len(fresh)))
            rows += fresh
            log.append(block(source, fresh))
        elif kind == "p" and rows:
            again = rows[-steps[0] - 1 :][: steps[-1] + 1]
            log.append(block(source, again))
        else:
            clocks[source] += steps[0] * (kind == "c")
            log.append(block(source, clock=clocks[source], idle=kind == "i", through=len(rows) - 1))
    top = max(clocks.values()) + 1
    return log + [block(source, clock=top, idle=True, through=len(sent[source]) - 1) for source in sent]


@given(logs())
def test_every_row_leaves_exactly_once_and_order_never_goes_back(log: list[bytes]) -> None:
    merge = Merge([A, B, C])
    released = feed(merge, log)
    wanted = {(row.src, row.off) for raw in log for row in decode_block(raw).touches}
    assert sorted((src, off) for _, src, off, _ in released) == sorted(wanted)
    assert released == sorted(released)
    assert merge.idle
    assert merge.pending == 0
    assert merge.state().held == []


@given(logs(), st.integers(0, 2**32))
def test_any_batching_and_any_restarts_give_the_same_order(log: list[bytes], seed: int) -> None:
    """Ingested in runs, stopped at any block, read again from where the state says: the same rows, the same state."""
    rng = random.Random(seed)
    plain = Merge([A, B, C])
    wanted = feed(plain, log)
    merge = Merge([A, B, C])
    at = 0
    released: list[Position] = []
    while at < len(log):
        for offset in range(at, end := min(len(log), at + rng.randint(1, 5))):
            merge.ingest(offset, decode_block(log[offset]))
        released += map(position, merge.release())
        at = end
        if rng.random() < 0.5:
            merge = Merge([A, B, C], restored(merge))
            at = merge.start
    assert released == wanted
    assert merge.state() == plain.state()
