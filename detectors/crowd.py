"""Crowd: a person opens a parcel that far more people than usual have had open within a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import (
    ACTION_CODES,
    LOW,
    MEDIUM,
    PERSONAL,
    Detector,
    Finding,
    Late,
    Lesson,
    Normal,
    Touch,
    log_bin,
)
from detectors.grace import Grace, Waiting

HOUR = 3_600_000
#: A person-day's highest crowd around a parcel opened without a reason of one's own.
MEASURE = "crowd.1d"
MOST_SAMPLES = 20
#: No larger crowd is counted.
LARGEST = 16.0
#: Actions by which somebody opens one parcel; lists, exports and scans go over parcels nobody chose.
OPENING = frozenset(ACTION_CODES[name] for name in ("search", "view", "print", "download", "reveal"))


class State(msgspec.Struct, array_like=True):
    """What is known of one person among crowds.

    Attributes:
        grace: touches whose reason may still come.
        high: today's highest crowd that is no case. A case teaches no more than was usual before it: had each of a
            crowd's many people taught the limit, three crowds would have put the next out of reach.
        since, last: event time of the case's first and latest touch; 0 when there is none.
        parcels: crowded parcels of the case. most: the largest crowd among them.
        samples: the latest of them.
    """

    grace: Grace = msgspec.field(default_factory=Grace)
    high: int = 0
    since: int = 0
    last: int = 0
    parcels: int = 0
    most: int = 0
    samples: list[str] = []


@dataclass(frozen=True)
class Crowd(Detector[State]):
    """Tells who joins the crowd around a parcel: many people opened it within a day, he without a reason.

    A famous recipient or a curious case draws looks that each seem harmless. Whoever has scanned the parcel,
    is assigned to it, has its ticket or spoke with its customer belongs there and is not counted; site or
    team alone is no reason. Reasons may be recorded late, so where the carrier sends context a touch waits
    out a grace period of event time. How large a crowd is usual is learnt from nearly all person-days of
    peers and company; until then the detector is silent. A case teaches no more than was usual before it.

    Finds: curiosity about the famous and about cases in the news; an id that was passed round.

    Ignores: scans, lists and exports, claims campaigns with tickets, parcels that pass through many hands as usual,
    declared service accounts.

    Known gaps: the first to look, before there is a crowd; companies where eleven people a day look at one parcel
    without a reason; the first weeks.

    Parameters:
        floor: others without a reason of their own within a day that are no crowd yet. lean_floor: where no context is
            sent, and nobody's reason is known.
        quantile, factor: share of person-days whose highest crowd lies below, and the margin over it.
        shared: person-days that must have met a crowd, however few there are, for it to be usual.
        group_days: person-days a group needs.
        grace: hours a touch waits for its reason.

    >>> from detectors.testing import SEVERITIES, Watch, at, office, touch
    >>> watch = Watch(Crowd(), office(Crowd(), people=15))
    >>> told = watch.see(touch(at(), parcel="k1.parcel.famous", crowd=14))
    >>> SEVERITIES[told[0].finding.severity], told[0].finding.measures["crowd"]
    ('LOW', 14.0)

    References: Chen, Malin et al., SNAD 2012: who is alien to the group around a record; domain notes.
    """

    name: ClassVar[str] = "crowd"
    summary: ClassVar[str] = "Opened a parcel that far more people than usual had opened within a day"
    state_type: ClassVar[type[State]] = State
    marked_only: ClassVar[bool] = True
    quiet: ClassVar[int] = 7 * 86_400

    floor: int = 5
    lean_floor: int = 10
    quantile: float = 0.999
    shared: int = 10
    factor: float = 1.5
    group_days: int = 100
    grace: int = 6

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if not touch.crowd or touch.seen or touch.explanation in PERSONAL:
            return 0.0
        if touch.action not in OPENING or touch.who.service:
            return 0.0
        if touch.context:
            return self._judge(state, state.grace.add(touch, touch.crowd), self._limit(normal, self.floor))
        one = Waiting((touch.src, touch.off, touch.idx), touch.time, touch.parcel, touch.crowd)
        return self._judge(state, [one], self._limit(normal, self.lean_floor))

    def _judge(self, state: State, ripe: list[Waiting], limit: float) -> float:
        """Add those that joined too large a crowd to the case; gives its size if any did."""
        joined = False
        for one in ripe:
            within = one.size <= limit
            state.high = max(state.high, one.size if within else int(limit / self.factor))
            if within:
                continue
            if not state.since or one.time - state.last > self.quiet * 1000:
                state.since, state.last, state.parcels, state.most, state.samples = one.time, 0, 0, 0, []
            joined = True
            state.last = max(state.last, one.time)
            state.parcels += 1
            state.most = max(state.most, one.size)
            state.samples = [*state.samples, one.parcel][-MOST_SAMPLES:]
        return float(state.parcels) if joined else 0.0

    def _limit(self, normal: Normal, floor: int) -> float:
        """The largest crowd that is no case."""
        group = normal.group(self.group_days)
        if group is None or not (group.share(MEASURE, 0) or group.quantile(MEASURE, 1.0)):
            # Nobody has learnt yet what is usual.
            return LARGEST
        return max(floor, self.factor * self._usual(normal)) * normal.strictness

    def _usual(self, normal: Normal) -> int:
        """What nearly all person-days stay within; people are counted whole, so the bin's top is rounded down.

        In a group too small to tell a rare day from its highest, the few people of one crowd would make it usual.
        """
        return int(
            max(
                one.quantile(MEASURE, min(self.quantile, 1 - self.shared / one.days))
                for one in (normal.peers, normal.company)
                if one.days > self.shared
            )
        )

    def explained(self, state: State, late: Late) -> None:
        if late.explanation in PERSONAL:
            state.grace.explained(late)

    def wake(self, state: State) -> int:
        waiting = state.grace.waiting
        return waiting[0].time + self.grace * HOUR if waiting else 0

    def ripen(self, state: State, now: int, normal: Normal) -> float:
        ripe = state.grace.end(now - self.grace * HOUR)
        return self._judge(state, ripe, self._limit(normal, self.floor))

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        group = normal.group(self.group_days) or normal.company
        usual = self._usual(normal)
        parcels, most = state.parcels, state.most
        context = touch is None or touch.context
        return Finding(
            severity=MEDIUM if parcels >= 3 else LOW,
            # How often a person-day of the peers sees a crowd as large.
            score=-log10(group.tail(MEASURE, most)) if group.days else 1.0,
            confidence=2 + (group.days >= 10 * self.group_days),
            evidence=float(parcels),
            window=(state.last - state.since) // 1000,
            since=state.since,
            measures={
                "crowd": most,
                "parcels": parcels,
                "records": parcels,
                "limit": round(self._limit(normal, self.floor if context else self.lean_floor), 1),
            },
            baseline={"peers_high": usual, "peer_days": group.days},
            parcels=tuple(state.samples),
            en=(
                f"Opened {parcels:,} parcels that up to {most} other people had opened within one day, all without any "
                f"scan, assignment, ticket or call of their own: ordinarily it is at most {usual} people. "
                "A customer may be the object of curiosity, and his data passed round."
            ),
            vi=(
                f"Đã mở {parcels:,} bưu gửi mà trong một ngày có tới {most} người khác mở xem, tất cả đều không quét, "
                f"không được phân công, không có phiếu hỗ trợ hay cuộc gọi: bình thường nhiều nhất {usual} người. "
                "Có thể một khách hàng đang bị tò mò và thông tin bị truyền tay."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        high, state.high = state.high, 0
        return [(MEASURE, log_bin(high))]
