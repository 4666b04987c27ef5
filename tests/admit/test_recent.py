"""An id counts as seen for a fixed window of the log, however often the process was started anew."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from streams.admit.recent import RecentIds

SEGMENT, SEGMENTS = 4, 3
small = patch.multiple(RecentIds, SEGMENT=SEGMENT, SEGMENTS=SEGMENTS, SLOTS=2 * SEGMENTS)

ids = st.lists(st.sampled_from([f"id{n}" for n in range(20)]), min_size=40, max_size=120)
#: How many ids a run takes, and how it ends: checkpointed, all or some segments written but no progress, or nothing.
lives = st.lists(
    st.tuples(st.integers(0, SEGMENT * SEGMENTS), st.sampled_from(["whole", "states", "part", "none"])),
    min_size=4,
)


def verdicts(stream: list[str]) -> list[bool]:
    """What one process that never ends says of each id."""
    recent = RecentIds("t", {}, 0)
    return [recent.repeats(one, offset) for offset, one in enumerate(stream)]


@given(ids, lives)
def test_restarts_change_no_verdict(stream: list[str], runs: list[tuple[int, str]]) -> None:
    with small:
        wanted = verdicts(stream)
        store: dict[bytes, bytes] = {}
        done = 0
        for many, end in [*runs, (len(stream), "whole")]:
            recent = RecentIds("t", store, done)
            reached = min(done + many, len(stream))
            for offset in range(done, reached):
                assert recent.repeats(stream[offset], offset) == wanted[offset]
                if offset - done == SEGMENT * SEGMENTS:
                    store.update(recent.take_grown())
                    done = offset + 1
            grown = recent.take_grown()
            store.update(
                grown[: {"whole": len(grown), "states": len(grown), "part": len(grown) // 2, "none": 0}[end]]
            )
            if end == "whole":
                done = reached


def test_an_id_is_forgotten_only_when_the_window_is_full() -> None:
    with small:
        recent = RecentIds("t", {}, 0)
        for n in range(SEGMENT * SEGMENTS):
            assert not recent.repeats(f"a{n}", n)
        assert recent.repeats("a0", 90)
        assert len(recent) == SEGMENT * SEGMENTS
        assert not recent.repeats("b", 91)
        assert not recent.repeats("a0", 92)


def test_the_store_holds_no_id_in_clear() -> None:
    recent = RecentIds("t", {}, 0)
    recent.repeats("call Mrs Tran 0912345678", 0)
    assert not any(b"Tran" in value or b"0912" in value for _, value in recent.take_grown())
