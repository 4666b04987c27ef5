"""Bulk read: far more parcels or records in minutes, an hour or a day than person, peers and company read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import (
    CRITICAL,
    HIGH,
    MEDIUM,
    PERSONAL,
    Detector,
    Finding,
    Lesson,
    Norm,
    Normal,
    Person,
    Touch,
    log_bin,
)  # fmt: skip
from detectors.calendar import at_month_turn
from detectors.windows import Ring
from detectors.words import against_usual

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
#: (name, slot width in ms, slots): what a window is made of.
WINDOWS = (("5min", MINUTE, 5), ("1h", 5 * MINUTE, 12), ("1d", 60 * MINUTE, 24))
SPANS = (300, 3_600, 86_400)
SPANS_EN, SPANS_VI = ("5 minutes", "1 hour", "1 day"), ("5 phút", "1 giờ", "1 ngày")
WHAT = (
    ("parcels new to this person", "bưu gửi mà trước đó người này chưa xử lý"),
    ("shipment records in bulk", "bản ghi bưu gửi theo lô"),
)
MEASURES = tuple(f"bulk.{what}.{name}" for what in ("parcels", "records") for name, _, _ in WINDOWS)
#: Parcels told of, and finished days that a person's own baseline remembers.
MOST_SAMPLES, MEMORY = 20, 28
#: A parcel the person handled within so many days is work in hand and not counted again.
IN_HAND = 14 * DAY


def _rings() -> list[Ring]:
    return [Ring.of(slots, width) for _ in ("parcels", "records") for _, width, slots in WINDOWS]


class State(msgspec.Struct, array_like=True):
    """What is known of one person. Measures are ordered as in MEASURES.

    Attributes:
        minute: event-time minute being counted. parcels, records: its counts, not yet in the rings. parcel_at,
            record_at: event time of its first of each.
        room_parcels, room_records: what this minute may reach before a window needs a look: by the floors first, by
            the real limits once those were reached.
        limits: by measure, as last worked out in event-time hour `hour`: they hold to its end, whatever strictness is
            by then: an hour late is early enough for what is calibrated on weeks. rings: one per measure.
        high: today's highest count by measure. caps: by measure, the limit that was broken today.
        past: by measure, the highest counts of the latest finished days, oldest first. usual: the second highest.
        samples: latest parcels of a growing window.
        told: event time of the latest touch that was part of a case, 0 for none today.
    """

    minute: int = 0
    parcels: int = 0
    records: int = 0
    parcel_at: int = 0
    record_at: int = 0
    room_parcels: float = 0.0
    room_records: float = 0.0
    hour: int = 0
    limits: list[float] = []
    rings: list[Ring] = msgspec.field(default_factory=_rings)
    high: list[int] = msgspec.field(default_factory=lambda: [0] * len(MEASURES))
    caps: dict[int, int] = {}
    past: list[list[int]] = msgspec.field(default_factory=lambda: [[] for _ in MEASURES])
    usual: list[int] = msgspec.field(default_factory=lambda: [0] * len(MEASURES))
    samples: list[str] = []
    told: int = 0


@dataclass(frozen=True)
class BulkRead(Detector[State]):
    """Counts parcels new to the person, and records taken in bulk, in sliding windows of 5 minutes, 1 hour and 1 day.

    A parcel counts when the person did not handle it in the last 14 days and no scan, assignment, ticket or call ties
    him to it: work in hand is no leak. Records count when one call returned several or named no parcel, so exports
    count by their size. A window is a case when it exceeds all of: an absolute floor; a multiple of the person's own
    second-highest day of the last 28 (second, so that one odd day hides nothing); and what all but a few person-days
    of the peers reach. Peers without enough days are replaced by the company, newcomers among them by fixed limits
    no ordinary job reaches. A day with a case teaches the person no more than the limit it broke, and others nothing:
    a leak never becomes the baseline.

    Finds: bulk reads in a UI, exports of one or several calls, enumeration that hits, from the first day on.

    Ignores: peak days, a sick colleague's route, claims campaigns with tickets, roles that read in bulk daily, declared
    service accounts, month-end exports by those who export on most days.

    Known gaps: low and slow; service accounts in human hands; routine exporters at the turn of a month.

    Parameters:
        floors: by measure, below which nothing is a case (parcels 5 min, 1 h, 1 d; records likewise).
        cold: by measure, the limit when neither person nor peers have a history.
        own_factor: multiple of the person's own high. own_days, group_days: finished days a person, and
            person-days a group, need for a baseline.
        quantile, group_factor: share of person-days that must lie below, and the margin over that; wider while the
            group has few days, doubled at `group_days`.
        month: what a routine exporter may take at the turn of a month, in high days: some runs of a month's data.

    >>> from detectors.testing import day_of_views
    >>> day_of_views(BulkRead(), parcels=400, minutes=30)
    'MEDIUM after 21 of 400 parcels'

    References: Guardium counts affected records, Imperva keeps three baselines; domain notes on first touches.
    """

    name: ClassVar[str] = "bulk_read"
    summary: ClassVar[str] = "Far more parcels or records read in a short time than person or peers do"
    state_type: ClassVar[type[State]] = State
    hints: ClassVar[tuple[str, ...]] = MEASURES[1:3] + MEASURES[4:]

    floors: tuple[int, ...] = (20, 45, 120, 250, 350, 400)
    cold: tuple[int, ...] = (40, 90, 300, 1_500, 2_000, 3_000)
    own_factor: float = 2.0
    own_days: int = 5
    group_days: int = 40
    quantile: float = 0.99
    group_factor: float = 1.8
    month: float = 186.0

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        who: Person = touch.who
        if who.service:
            return 0.0
        time = touch.time
        if time // MINUTE != state.minute:
            self._turn(state, time, normal)
        records = touch.records
        if touch.parcel:
            if records == 1:
                records = 0
            if touch.explanation not in PERSONAL and not (touch.seen and time - touch.seen < IN_HAND):
                self._count_parcel(state, touch, normal)
        if records:
            if not state.records:
                state.record_at = time
            state.records += records
        if state.parcels <= state.room_parcels and state.records <= state.room_records:
            return 0.0
        return self._look(state, touch, normal)

    @staticmethod
    def _start_over(state: State) -> None:
        """What was told is not told again: the windows of a kind that was in a case begin anew."""
        broken = {measure // 3 for measure in state.caps}
        state.rings = [
            fresh if measure // 3 in broken else ring
            for measure, (ring, fresh) in enumerate(zip(state.rings, _rings(), strict=True))
        ]
        state.told = 0

    def _count_parcel(self, state: State, touch: Touch, normal: Normal) -> None:
        if not state.parcels:
            state.parcel_at = touch.time
        state.parcels += 1
        # Only when a window fills up, so that the state of quiet people stays small.
        if state.parcels > state.room_parcels - normal.strictness * self.floors[0] / 2:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]

    def _look(self, state: State, touch: Touch, normal: Normal) -> float:
        for ring in state.rings:
            ring.move_to(touch.time)
        if state.told and touch.time - state.told > self.quiet * 1000:
            self._start_over(state)
        worst = self._worst(state, touch, normal)
        if worst:
            measure, count, limit = worst
            state.told = max(state.told, touch.time)
            state.caps[measure] = max(state.caps.get(measure, 0), int(limit))
            return count
        state.limits = [self._limit(state, measure, touch, normal) for measure in range(len(MEASURES))]
        state.hour = touch.time // HOUR
        self._measure_room(state, state.limits)
        return 0.0

    @staticmethod
    def _flush(state: State) -> None:
        high = state.high
        for first, at, count in ((0, state.parcel_at, state.parcels), (3, state.record_at, state.records)):
            if count:
                for measure, ring in enumerate(state.rings[first : first + 3], first):
                    ring.add(at, count)
                    if ring.total > high[measure]:
                        high[measure] = ring.total
        state.parcels = state.records = 0

    def _turn(self, state: State, time: int, normal: Normal) -> None:
        """A new minute: the old one goes into the rings; those nothing is added to move on only when somebody looks."""
        stale = state.hour != 0 and state.hour != time // HOUR
        if stale:
            state.hour = 0
        if state.parcels or state.records or stale or not state.minute:
            self._flush(state)
            limits, factor = (state.limits, 1.0) if state.hour else (self.floors, normal.strictness)
            self._measure_room(state, limits, factor)
        state.minute = time // MINUTE
        if state.samples and state.room_parcels > normal.strictness * self.floors[0] / 2:
            state.samples = []

    @staticmethod
    def _measure_room(state: State, limits: Sequence[float], factor: float = 1.0) -> None:
        a, b, c, d, e, f = state.rings
        g, h, i, j, k, m = limits
        # A float in memory as after decoding: equal states must give equal bytes.
        state.room_parcels = float(min(factor * g - a.total, factor * h - b.total, factor * i - c.total))
        state.room_records = float(min(factor * j - d.total, factor * k - e.total, factor * m - f.total))

    def _limit(self, state: State, measure: int, touch: Touch | None, normal: Normal) -> float:
        past = state.past[measure]
        own = self.own_factor * state.usual[measure] if len(past) >= self.own_days else 0.0
        group = normal.group(self.group_days)
        if group is None:
            return float(normal.strictness * max(self.cold[measure], own))
        if group is not normal.peers and len(past) < self.own_days:
            own = self.cold[measure]
        high = group.quantile(MEASURES[measure], self.quantile)
        limit = max(self.floors[measure], own, self.group_factor * high * (1 + self.group_days / group.days))
        if measure >= 3 and touch is not None and at_month_turn(touch.time, touch.tz):
            days = state.past[-1]
            if 2 * sum(map(bool, days)) > len(days):
                usual = max(state.usual[-1], group.quantile(MEASURES[-1], self.quantile))
                limit = max(limit, self.month * usual)
        return float(normal.strictness * limit)

    def _worst(self, state: State, touch: Touch | None, normal: Normal) -> tuple[int, float, float] | None:
        """(measure, count, limit) of the window that exceeds its limit the most, if one does."""
        worst: tuple[int, float, float] | None = None
        for measure, ring in enumerate(state.rings):
            count = ring.total + (state.parcels if measure < 3 else state.records)
            if count <= normal.strictness * self.floors[measure]:
                continue
            limit = self._limit(state, measure, touch, normal)
            if count > limit and (worst is None or count / limit > worst[1] / worst[2]):
                worst = (measure, float(count), limit)
        return worst

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        measure, count, limit = self._worst(state, touch, normal) or (0, float(state.parcels), 1.0)
        window = measure % 3
        since, parcels, records = self._burst(state, measure, limit)
        what_en, what_vi = WHAT[measure // 3]
        group: Norm = normal.group(self.group_days) or normal.company
        known = len(state.past[measure]) >= self.own_days
        usual = state.usual[measure]
        peers = group.quantile(MEASURES[measure], self.quantile)
        taken = max(parcels, records)
        than_en, than_vi = against_usual(usual if known else None, peers if group.days else None)
        return Finding(
            severity=CRITICAL if taken >= 5_000 else HIGH if taken >= 200 else MEDIUM,
            score=-log10(group.tail(MEASURES[measure], count)) if group.days else 1 + log10(count / limit),
            confidence=1 + known + (group.days >= self.group_days),
            evidence=count,
            window=SPANS[window],
            since=since,
            measures={"count": count, "records": float(taken), "limit": round(limit, 1)},
            baseline={"own_high": usual, "peers_high": round(peers, 1), "peer_days": group.days},
            parcels=tuple(state.samples),
            en=(
                f"Read {count:,.0f} {what_en} within {SPANS_EN[window]}, more than the limit of {limit:,.0f}: "
                f"{than_en}. Names, phone numbers and addresses of as many customers may be leaving."
            ),
            vi=(
                f"Đã đọc {count:,.0f} {what_vi} trong vòng {SPANS_VI[window]}, vượt ngưỡng {limit:,.0f}: "
                f"{than_vi}. Tên, số điện thoại và địa chỉ của chừng ấy khách hàng có thể đang bị lộ."
            ),
        )

    def _burst(self, state: State, measure: int, limit: float) -> tuple[int, int, int]:
        """(event time of its first touch, parcels, records) of the latest run of slots busy enough for a case."""
        ring = state.rings[measure]
        parcels = measure < 3
        now, at = (state.parcels, state.parcel_at) if parcels else (state.records, state.record_at)
        since, count = ring.with_added(at, now).burst(limit / len(ring.counts))
        return since, count if parcels else 0, 0 if parcels else count

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        self._flush(state)
        counts = [min(count, state.caps.get(measure, count)) for measure, count in enumerate(state.high)]
        state.past = [[*past, count][-MEMORY:] for past, count in zip(state.past, counts, strict=True)]
        state.usual = [sorted(past)[-2] if len(past) > 1 else past[0] for past in state.past]
        broken = {measure // 3 for measure in state.caps}
        self._start_over(state)
        state.high, state.caps = [0] * len(MEASURES), {}
        return [
            (MEASURES[measure], log_bin(count))
            for measure, count in enumerate(counts)
            if measure // 3 not in broken
        ]
