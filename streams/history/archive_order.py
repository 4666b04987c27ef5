"""How far the merge of the detect stage had come at each block of the actor log.

Decisions carry no order time of their own: one takes effect where it stands in its partition, at the order time the
merge had reached there. Likewise a row that came too late is moved to there. So the history follows the merge itself,
block by block, and keeps rows where detect took them. Only where it stands is remembered, not the rows that wait in it.
"""

from __future__ import annotations

import msgspec

from streams.flow.events import DETECT_SOURCE, RELATE_SOURCE, Block, Position, source_id
from streams.flow.merge import Merge, MergeState, SourceState


class Progress(msgspec.Struct):
    """How far one partition of the actor log is archived, and how far the detect stage had come there.

    Attributes:
        next: first offset that is not archived.
        bound: order time (ms) up to which everything had been decided; 0 when nothing had.
        top: order time of the latest row, -1 before the first.
        sources: by upstream, how far it had come; what it sends twice stands before its `through`.
    """

    next: int = 0
    bound: int = 0
    top: int = -1
    sources: dict[int, SourceState] = {}

    def through(self, source: int) -> Position:
        """Position up to which the rows of an upstream are archived."""
        return self.sources.get(source, _UNHEARD).through

    def follow(self, offset: int, block: Block) -> None:
        """Go past the block at `offset`, which is not archived yet.

        Its fresh rows are given their order time as detect has it, its touches and late reasons their `Person`.
        """
        # Rows that wait in the merge move nothing but themselves: a merge that has none comes just as far.
        merge = Merge((), MergeState(self.next, self.bound, self.top, self.sources))
        merge.ingest(offset, block)
        state = merge.state()
        self.next, self.bound, self.top, self.sources = state.next, state.bound, state.top, state.sources

    @property
    def end(self) -> int:
        """Order time (ms) up to which the partition has come; 0 when nowhere."""
        heard = (s.through[0] for source, s in self.sources.items() if source >> 16 == RELATE_SOURCE)
        return max(self.bound - 1, 0, *heard)


_UNHEARD = SourceState()


def at_beginning(partitions: int) -> Progress:
    """Progress at offset 0 of a partition, one of so many: as the detect stage begins, all upstreams unheard."""
    return Progress(sources={
        source_id(kind, p): SourceState() for kind in (RELATE_SOURCE, DETECT_SOURCE) for p in range(partitions)
    })  # fmt: skip


def midway(partitions: int, offset: int) -> Progress:
    """Progress at a later offset when nothing is known of what came before.

    Where the merge stands is known once every relate stage has been heard, which is soon. Detect stages may not speak
    for hours, and hold the merge up only when one is a day behind: they are not waited for.
    """
    return Progress(offset, sources={source_id(RELATE_SOURCE, p): SourceState() for p in range(partitions)})


def of_layout_1(following: int, through: dict[int, Position], partitions: int) -> Progress:
    """Progress as layout 1 of the manifest had it, which knew upstreams' positions and no more.

    Relate says with each block that it has come as far as its clock, so the merge has come to the least of them.
    """
    progress = midway(partitions, following)
    for source, place in through.items():
        clock = place[0]
        progress.sources[source] = SourceState(place, clock, idle=source >> 16 != RELATE_SOURCE)
    progress.bound = max(0, min(s.clock for s in progress.sources.values() if not s.idle))
    return progress
