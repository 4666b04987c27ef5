"""Bulk read: far more parcels or records in minutes, an hour or a day than the person, his peers or the company read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import CRITICAL, HIGH, MEDIUM, Detector, Finding, Lesson, Norm, Normal, Touch, log_bin
from detectors.windows import Ring

MINUTE = 60_000
DAY = 86_400_000
#: (name, slot width in ms, slots): what a window is made of.
WINDOWS = (("5min", MINUTE, 5), ("1h", 5 * MINUTE, 12), ("1d", 60 * MINUTE, 24))
SPANS = (300, 3_600, 86_400)
MEASURES = tuple(f"bulk.{what}.{name}" for what in ("parcels", "records") for name, _, _ in WINDOWS)
MOST_SAMPLES = 20
#: How many finished days a person's own baseline remembers.
MEMORY = 28


class State(msgspec.Struct, array_like=True):
    """What is known of one person.

    Attributes:
        minute: event-time minute being counted; `parcels` and `records` are its counts, not yet in the rings.
        room_parcels, room_records: what this minute may reach before a window needs a look: by the floors first, by the
            real limits once those were reached.
        rings: one per window.
        high: today's highest count by measure.
        past: by measure, the highest counts of the latest finished days, oldest first.
        usual: by measure, the second highest of `past`.
        samples: latest parcels of a growing window.
    """

    minute: int = 0
    parcels: int = 0
    records: int = 0
    room_parcels: float = 0.0
    room_records: float = 0.0
    rings: list[Ring] = msgspec.field(default_factory=lambda: [Ring.of(slots) for _, _, slots in WINDOWS])
    high: list[int] = msgspec.field(default_factory=lambda: [0] * len(MEASURES))
    past: list[list[int]] = msgspec.field(default_factory=lambda: [[] for _ in MEASURES])
    usual: list[int] = msgspec.field(default_factory=lambda: [0] * len(MEASURES))
    samples: list[str] = []


@dataclass(frozen=True)
class BulkRead(Detector[State]):
    """Counts distinct parcels and records returned in sliding windows of 5 minutes, 1 hour and 1 day.

    A parcel counts once a day: reading one's own work again is no leak. A window is a case when it exceeds all of: an
    absolute floor, a multiple of the person's own second-highest day of the last 28 (second, so that one leak or one
    odd day in the past hides nothing), and what all but a few person-days of the peers reach. Without enough own days the
    peers' limit alone decides; without peers the company's; without either, fixed limits that no ordinary job reaches.

    Finds: bulk reads in a UI, bulk exports, enumeration that hits. Ignores: peak days that all peers share, roles that read
    in bulk every day. Known gap: who reads a little more than usual every day (see low and slow).

    Parameters:
        floors: by measure, below which nothing is a case (parcels 5 min, 1 h, 1 d; records likewise).
        cold: by measure, the limit when neither person nor group has a history.
        own_factor: multiple of the person's own high.
        own_days: finished days a person needs for a baseline of his own.
        group_days: person-days a group needs for a baseline.
        quantile, group_factor: the share of person-days that must lie below, and the margin over that.

    >>> from detectors.testing import day_of_views
    >>> day_of_views(BulkRead(), parcels=400, minutes=30)
    'HIGH 300 distinct parcels in 1 hour'

    References: Guardium counts affected records, Imperva keeps three baselines; domain notes "What separates a leak".
    """

    name: ClassVar[str] = "bulk_read"
    summary: ClassVar[str] = "Far more parcels or records read in a short time than this person, peers or company do"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3600

    floors: tuple[int, ...] = (40, 80, 200, 200, 400, 1_000)
    cold: tuple[int, ...] = (150, 300, 1_000, 1_000, 2_000, 5_000)
    own_factor: float = 3.0
    own_days: int = 5
    group_days: int = 40
    quantile: float = 0.995
    group_factor: float = 1.5

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        time = touch.time
        minute = time // MINUTE
        if minute != state.minute:
            self._turn(state, minute, normal)
        if touch.parcel and not (touch.seen and touch.seen // DAY == time // DAY):
            state.parcels += 1
            # Sampled only when a window fills up, so that the state of quiet people stays small.
            if state.parcels > state.room_parcels - self.floors[0] / 2:
                state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]
        state.records += touch.records
        if state.parcels <= state.room_parcels and state.records <= state.room_records:
            return 0.0
        worst = self._worst(state, normal)
        if worst:
            return worst[1]
        self._measure_room(state, [self._limit(state, measure, normal) for measure in range(len(MEASURES))])
        return 0.0

    def _turn(self, state: State, minute: int, normal: Normal) -> None:
        """A new minute: put the old one into the rings and work out how much room the new one has."""
        parcels, records = state.parcels, state.records
        if parcels or records:
            for index, (_, width, _) in enumerate(WINDOWS):
                state.rings[index].add(state.minute * MINUTE // width, parcels, records)
            self._raise_highs(state, 0, 0)
        state.minute, state.parcels, state.records = minute, 0, 0
        for index, (_, width, _) in enumerate(WINDOWS):
            state.rings[index].move_to(minute * MINUTE // width)
        self._measure_room(state, self.floors)
        if state.samples and state.room_parcels > self.floors[0] / 2:
            state.samples = []

    def _measure_room(self, state: State, limits: Sequence[float]) -> None:
        five, hour, day = state.rings
        state.room_parcels = min(
            limits[0] - five.total_parcels, limits[1] - hour.total_parcels, limits[2] - day.total_parcels
        )
        state.room_records = min(
            limits[3] - five.total_records, limits[4] - hour.total_records, limits[5] - day.total_records
        )

    def _raise_highs(self, state: State, parcels: int, records: int) -> None:
        high = state.high
        for index, ring in enumerate(state.rings):
            high[index] = max(high[index], ring.total_parcels + parcels)
            high[index + 3] = max(high[index + 3], ring.total_records + records)

    def _limit(self, state: State, measure: int, normal: Normal) -> float:
        own = self.own_factor * state.usual[measure] if len(state.past[measure]) >= self.own_days else 0.0
        group = normal.group(self.group_days)
        if group is None:
            return max(self.cold[measure], own)
        reached = self.group_factor * group.quantile(MEASURES[measure], self.quantile)
        return max(self.floors[measure], own, reached)

    def _worst(self, state: State, normal: Normal) -> tuple[int, float, float] | None:
        """(measure, count, limit) of the window that exceeds its limit the most, if one does."""
        worst: tuple[int, float, float] | None = None
        for index, ring in enumerate(state.rings):
            counts = ((index, ring.total_parcels + state.parcels), (index + 3, ring.total_records + state.records))
            for measure, count in counts:
                limit = self._limit(state, measure, normal)
                if count > limit and (worst is None or count / limit > worst[1] / worst[2]):
                    worst = (measure, float(count), limit)
        return worst

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        measure, count, limit = self._worst(state, normal) or (0, float(state.parcels), 1.0)
        window = measure % 3
        what_en, what_vi = ("distinct parcels", "bưu gửi khác nhau") if measure < 3 else ("records", "bản ghi bưu gửi")
        span_en, span_vi = (("5 minutes", "5 phút"), ("1 hour", "1 giờ"), ("1 day", "1 ngày"))[window]
        group: Norm = normal.group(1) or normal.company
        usual = state.usual[measure]
        peers = group.quantile(MEASURES[measure], self.quantile)
        records = max(ring.total_records for ring in state.rings) + state.records
        severity = CRITICAL if records >= 5_000 else HIGH if records >= 200 else MEDIUM
        return Finding(
            severity=severity,
            score=-log10(group.tail(MEASURES[measure], count)),
            confidence=min(3, 1 + (len(state.past[measure]) >= self.own_days) + (group.days >= self.group_days)),
            evidence=count,
            window=SPANS[window],
            since=state.rings[window].since() * WINDOWS[window][1],
            measures={"count": count, "records": float(records), "limit": round(limit, 1)},
            baseline={"own_high": float(usual), "peers_high": round(peers, 1), "peer_days": float(group.days)},
            parcels=tuple(state.samples),
            en=(
                f"Read {count:.0f} {what_en} within {span_en}; this person's high is {usual}, the peers' "
                f"{peers:.0f}. Names, phones and addresses of that many customers may be leaving."
            ),
            vi=(
                f"Đã đọc {count:.0f} {what_vi} trong {span_vi}; mức cao của người này là {usual}, của đồng nghiệp "
                f"là {peers:.0f}. Tên, số điện thoại, địa chỉ của chừng ấy khách hàng có thể đang bị lộ."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        self._raise_highs(state, state.parcels, state.records)
        lessons = [(measure, log_bin(count)) for measure, count in zip(MEASURES, state.high, strict=True)]
        for past, count in zip(state.past, state.high, strict=True):
            past.append(count)
            del past[:-MEMORY]
        state.usual = [sorted(past)[-2] if len(past) > 1 else past[0] for past in state.past]
        state.high = [0] * len(MEASURES)
        return lessons
