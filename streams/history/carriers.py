"""Labelled touches of one carrier or of some days, kept, with what alerts are counted against: user-days."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from detectors.base import Touch
from streams.flow.events import Block, Explained, decode_block
from streams.history.touches import Spool, block, ending

DAY, MINUTE = 86_400_000, 60_000

_place = attrgetter("st", "src", "off", "idx")
_Row = Touch | Explained


@dataclass
class Touches:
    """The labelled touches of one carrier, kept, and how many people were active on each local day.

    Attributes:
        carrier: code.
        spool: the touches in blocks.
        user_days: people with a touch, by local day counted from 1970-01-01. A late event of a day before the person's
            latest one is not counted.
        rows: touches and late reasons.
    """

    carrier: str
    spool: Spool
    user_days: Counter[int] = field(default_factory=Counter)
    rows: int = 0
    _latest: dict[str, int] = field(default_factory=dict)

    def add(self, rows: list[_Row]) -> None:
        """Keep more rows, in order; their `who` is a `Person` and becomes an index."""
        for row in rows:
            if type(row) is Touch:
                day, token = _day(row), row.who.token
                if day > self._latest.get(token, -1):
                    self._latest[token] = day
                    self.user_days[day] += 1
        self.rows += len(rows)
        self.spool.add(block(rows))

    def days(self) -> tuple[int, int]:
        """First and last local day."""
        return min(self.user_days), max(self.user_days)

    def measured_from(self, warm_up: float) -> int:
        """First local day that counts when that share of the calendar days, from the first, only teaches."""
        first, last = self.days()
        return first + max(1, round((last - first + 1) * warm_up))


def by_carrier(blocks: Iterable[bytes]) -> Iterator[Touches]:
    """Part labelled touches by carrier: people, baselines and limits of one have nothing to do with another's.

    Each one's `spool` is closed when the next is asked for.
    """
    found: dict[str, Touches] = {}
    clock = 0
    try:
        for value in blocks:
            one: Block = decode_block(value)
            clock = max(clock, one.clock)
            rows: defaultdict[str, list[_Row]] = defaultdict(list)
            for row in _rows(one):
                rows[row.who.carrier].append(row)
            for carrier, theirs in rows.items():
                if carrier not in found:
                    found[carrier] = Touches(carrier, Spool())
                found[carrier].add(theirs)
        for _, touches in sorted(found.items()):
            touches.spool.add(ending(clock))
            yield touches
            touches.spool.close()
    finally:
        for touches in found.values():
            touches.spool.close()


def before(blocks: Iterable[bytes], day: int, spool: Spool) -> Touches:
    """The touches of local days before `day` (counted from 1970-01-01), of all carriers together, kept in `spool`.

    The late reasons that come before the first touch of that day or a later one are among them.
    """
    touches = Touches("", spool)
    clock = 0
    for value in blocks:
        rows = _rows(decode_block(value))
        early = [row for row in rows if type(row) is not Touch or _day(row) < day]
        if early:
            clock = early[-1].st
            touches.add(early)
        if len(early) < len(rows):
            break
    spool.add(ending(clock))
    return touches


def _rows(one: Block) -> list[_Row]:
    both: list[_Row] = [*one.touches, *one.explained]
    both.sort(key=_place)
    for row in both:
        row.who = one.people[row.who]
    return both


def _day(row: Touch) -> int:
    return (row.time + row.tz * MINUTE) // DAY
