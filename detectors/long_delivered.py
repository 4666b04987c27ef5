"""Long delivered: a person opens parcels that were closed weeks ago and that nobody has asked about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import HIGH, LOW, MEDIUM, Detector, Finding, Late, Lesson, Norm, Normal, Touch, log_bin
from detectors.grace import Grace, Waiting
from detectors.habits import second
from detectors.words import against_usual

HOUR, DAY = 3_600_000, 86_400_000
MEASURE = "long_delivered.1d"
MOST_SAMPLES = 20
#: Finished days a person's own baseline remembers.
MEMORY = 28


class State(msgspec.Struct, array_like=True):
    """What is known of one person's look into the past.

    Attributes:
        grace: touches whose reason may still come.
        count: old parcels opened today without a reason. since: event time of the first; 0 for none.
        oldest: longest time one of them had been closed, days.
        samples: the latest of them.
        past: counts of the latest finished days, oldest first. usual: the second highest of them.
        cap: the limit that was broken today, 0 for none.
    """

    grace: Grace = msgspec.field(default_factory=Grace)
    count: int = 0
    since: int = 0
    oldest: int = 0
    samples: list[str] = []
    past: list[int] = []
    usual: int = 0
    cap: int = 0


@dataclass(frozen=True)
class LongDelivered(Detector[State]):
    """Counts, in a local day, parcels a person opens for the first time weeks after they were closed, without a reason.

    A parcel is closed once it is delivered, returned or cancelled. Who has to do with it later has a ticket or a call
    with its customer; these may be recorded late, so a touch waits out a grace period of event time before it counts. A
    case exceeds a floor, a multiple of the person's own second-highest day of the last 28 (second, so that one odd day
    hides nothing), and what all but a few person-days of the peers reach. A day with a case teaches the person no more
    than the limit it broke, and others nothing.

    Finds: looking up customers of the past, whose parcels no one misses, for sale or for acquaintances.

    Ignores: claims with a ticket or call, roles that look into the past daily, declared service accounts, a look a day.

    Known gaps: carriers that send no parcel context; fewer than the floor a day (see unrelated_parcel); parcels this
    person handled before they were closed.

    Parameters:
        age: days a parcel must have been closed.
        floor: least old parcels a day that are a case. cold: the same without any baseline.
        own_factor, own_days: multiple of the own usual; finished days it needs.
        quantile, group_factor, group_days: share of the peers' person-days that must lie below, the margin over that,
            wider while they have few days, and the person-days they need.
        grace: hours an unexplained touch waits for its reason.

    >>> from detectors.testing import Watch, at, views
    >>> watch = Watch(LongDelivered())
    >>> _ = watch.see(*views(at(hour=9), parcels=12, minutes=60, context=True, closed=at(-40)))
    >>> [alert.finding.evidence for alert in watch.pass_time(at(hour=18))]
    [10.0]

    References: Fabbri and LeFevre, VLDB 2011, on accesses no relation explains; domain notes.
    """

    name: ClassVar[str] = "long_delivered"
    summary: ClassVar[str] = "Opens parcels closed weeks ago that nobody has asked about"
    state_type: ClassVar[type[State]] = State
    marked_only: ClassVar[bool] = True
    quiet: ClassVar[int] = 3 * 86_400
    hints: ClassVar[tuple[str, ...]] = (MEASURE,)

    age: int = 21
    floor: int = 6
    cold: int = 10
    own_factor: float = 2.0
    own_days: int = 5
    quantile: float = 0.99
    group_factor: float = 1.5
    group_days: int = 40
    grace: int = 6

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if not touch.closed or touch.seen or touch.explanation:
            return 0.0
        old = (touch.time - touch.closed) // DAY
        if old < self.age or touch.who.service:
            return 0.0
        # Who has this many waiting is a case whether or not one of them gets its reason.
        return self._count(state, state.grace.add(touch, old), normal)

    def _count(self, state: State, ripe: list[Waiting], normal: Normal) -> float:
        for one in ripe:
            state.count += 1
            state.since = min(state.since or one.time, one.time)
            state.oldest = max(state.oldest, one.size)
            state.samples = [*state.samples, one.parcel][-MOST_SAMPLES:]
        if not ripe or state.count <= (self.floor - 1) * normal.strictness:
            return 0.0
        limit = self._limit(state, normal)
        if state.count <= limit:
            return 0.0
        state.cap = max(state.cap, int(limit))
        return float(state.count)

    def _limit(self, state: State, normal: Normal) -> float:
        """What a day may have without being a case."""
        known = len(state.past) >= self.own_days
        own = self.own_factor * state.usual if known else 0.0
        group = normal.group(self.group_days)
        if group is None or not self._taught(group):
            return normal.strictness * max(self.cold - 1, own)
        least = self.floor if known or group is normal.peers else self.cold
        reached = group.quantile(MEASURE, self.quantile)
        peers = self.group_factor * reached * (1 + self.group_days / group.days / 2)
        return normal.strictness * max(least - 1, own, peers)

    @staticmethod
    def _taught(group: Norm) -> bool:
        """Whether the group knows the measure: it may have learnt before there was this detector."""
        return bool(group.share(MEASURE, 0) or group.quantile(MEASURE, 1.0))

    def explained(self, state: State, late: Late) -> None:
        state.grace.explained(late)

    def wake(self, state: State) -> int:
        waiting = state.grace.waiting
        return waiting[0].time + self.grace * HOUR if waiting else 0

    def ripen(self, state: State, now: int, normal: Normal) -> float:
        return self._count(state, state.grace.end(now - self.grace * HOUR), normal)

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        count, limit = state.count, self._limit(state, normal)
        group = normal.group(self.group_days) or normal.company
        taught, known = self._taught(group), len(state.past) >= self.own_days
        peers = group.quantile(MEASURE, self.quantile)
        than_en, than_vi = against_usual(state.usual if known else None, peers if taught else None)
        return Finding(
            severity=HIGH if count >= 50 else MEDIUM if count >= 12 else LOW,
            # How often a person-day of the peers reaches this count; without peers, by how much the limit is exceeded.
            score=-log10(group.tail(MEASURE, count)) if taught else 1 + log10(count / max(limit, 1.0)),
            confidence=1 + known + (taught and group.days >= self.group_days),
            evidence=float(count),
            window=86_400,
            since=state.since,
            measures={
                "parcels": count,
                "records": count,
                "oldest_days": state.oldest,
                "limit": round(limit, 1),
            },
            baseline={"own_high": state.usual, "peers_high": round(peers, 1), "peer_days": group.days},
            parcels=tuple(state.samples),
            en=(
                f"Opened {count:,} parcels within one day that had been closed for {self.age} days or more (up to "
                f"{state.oldest:,}) and that no ticket or call brings up again: {than_en}. "
                "Customers of the past may be being looked up for sale."
            ),
            vi=(
                f"Đã mở {count:,} bưu gửi trong một ngày dù chúng đã hoàn tất từ {self.age} ngày trở lên (lâu nhất "
                f"{state.oldest:,} ngày) và không có phiếu hỗ trợ hay cuộc gọi nào nhắc tới: {than_vi}. "
                "Có thể thông tin khách hàng cũ đang bị tra cứu để bán."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        count = min(state.count, state.cap) if state.cap else state.count
        lessons = [] if state.cap else [(MEASURE, log_bin(count))]
        state.past = [*state.past, count][-MEMORY:]
        state.usual = second(state.past)
        state.count = state.since = state.oldest = state.cap = 0
        state.samples = []
        return lessons
