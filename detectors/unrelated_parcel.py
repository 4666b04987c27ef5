"""Unrelated parcel: a person keeps opening parcels that nothing ties him to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10, sqrt
from typing import ClassVar

import msgspec

from detectors.base import (
    HIGH,
    LOW,
    MEDIUM,
    Detector,
    Finding,
    Late,
    Lesson,
    Norm,
    Normal,
    Person,
    Touch,
    log_bin,
)
from detectors.circle import Circle
from detectors.grace import Grace, Waiting
from detectors.words import against_usual

HOUR = 3_600_000
WINDOWS = (1, 3, 7)  # worked days
SPANS = (
    ("one day", "một ngày"),
    ("3 working days", "3 ngày làm việc"),
    ("7 working days", "7 ngày làm việc"),
)
MEASURES = tuple(f"unrelated.{days}d" for days in WINDOWS)
MOST_WAITING, MOST_COUNTED, MOST_SAMPLES, MEMORY = 64, 32, 12, 35


class State(msgspec.Struct, array_like=True):
    """What is known of one person's relations.

    Attributes:
        grace: unexplained touches whose reason may still come.
        days: unrelated parcels of the latest worked days, the present one last.
        begins: event time of the first of each of those days; 0 for none.
        past: unrelated parcels of finished days, oldest first. usual: by window, what is usual of them, see `_usual`.
        cap: the one-day limit broken today, 0 for none.
        look: how many parcels today must have before the limits are worth another look.
        counted: latest touches that waited in vain and were counted. samples: latest unrelated parcels.
        circle: whom and what this person works with, where context is lacking. lean: whether it is.
        clear: worked days without a case before today; a window that holds one teaches nobody.
    """

    grace: Grace = msgspec.field(default_factory=Grace)
    days: list[int] = msgspec.field(default_factory=lambda: [0] * WINDOWS[-1])
    begins: list[int] = msgspec.field(default_factory=lambda: [0] * WINDOWS[-1])
    past: list[int] = []
    usual: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(WINDOWS))
    cap: int = 0
    look: int = 0
    counted: list[tuple[int, int, int]] = []
    samples: list[str] = []
    circle: Circle = msgspec.field(default_factory=Circle)
    lean: bool = False
    clear: int = WINDOWS[-1]


def _usual(past: list[int], days: int) -> float:
    """The highest sum of so many days on end that no single odd day can have made: each is in as many sums.

    Days the present window may share are left out: a leak must not become its own baseline.
    """
    earlier = past[:-days]
    sums = sorted(sum(earlier[end - days : end]) for end in range(days, len(earlier) + 1))
    if sums:
        return float(sums[max(0, len(sums) - days - 1)])
    return days * sum(earlier) / len(earlier) if earlier else 0.0


@dataclass(frozen=True)
class UnrelatedParcel(Detector[State]):
    """Counts, over one, three and seven worked days, parcels new to the person that no relation explains.

    With parcel context, a relation is a scan, assignment, ticket, call, site, team, supervisor or job. As it may come
    late, a touch waits out a grace period before it counts, and is taken back should its reason come later still.
    Without context, a parcel counts when those who handled it before share no other parcels with this person; when it
    had rested far longer than parcels with as many handlers do before somebody new takes them up; or when nobody had
    touched it where somebody always does first. A case exceeds a floor, a multiple of the person's own usual, and what
    nearly all such windows of the peers reach.

    Finds: looking people up, for acquaintances or for sale, a few parcels a day.

    Ignores: late context, cover for a colleague, an honest slip a day, people who roam by duty (their usual is high).

    Known gaps: without context, parcels colleagues have in hand at present; fewer than the floor.

    Parameters:
        floors: by window, the least unrelated parcels that are a case; lean_floors: where no context is sent, and what
            counts is rare. cold: the same without any baseline.
        own_factor, own_days: multiple of the own usual; finished days it needs.
        quantile, group_factor, group_days: likewise for peers; lean_quantile: without context.
        grace: hours an unexplained touch waits for its reason: papers of a shift are entered by its end.
        shared, settle: parcels two people must share to be related; co-workers a person needs before strangers count.
        rested: times as long as 95 % of parcels with as many handlers rest, from which a parcel counts.
        pioneers: share of person-days below which touching what nobody has touched before is unusual.

    >>> from detectors.testing import snooping
    >>> snooping(UnrelatedParcel(), parcels=20)
    'LOW after 7 of 20 parcels'

    References: Chen, Malin et al., SNAD 2012; Fabbri and LeFevre, VLDB 2011.
    """

    name: ClassVar[str] = "unrelated_parcel"
    summary: ClassVar[str] = "Keeps opening parcels that nothing ties this person to"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3 * 86_400
    hints: ClassVar[tuple[str, ...]] = MEASURES

    floors: tuple[int, ...] = (7, 8, 9)
    lean_floors: tuple[int, ...] = (4, 4, 4)
    cold: tuple[int, ...] = (9, 14, 20)
    own_factor: float = 2.0
    own_days: int = 5
    quantile: float = 0.99
    lean_quantile: float = 0.95
    group_factor: float = 1.3
    group_days: int = 40
    grace: int = 6
    shared: int = 3
    settle: int = 8
    rested: float = 3.0
    pioneers: float = 0.1

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if touch.seen or not touch.parcel:
            return 0.0
        who: Person = touch.who
        if who.service:
            return 0.0
        state.lean = not touch.context
        if touch.context:
            return 0.0 if touch.explanation else self._wait(state, touch, normal)
        far = state.circle.is_far(
            touch, normal, group_days=self.group_days, shared=self.shared, settle=self.settle, rested=self.rested,
            pioneers=self.pioneers,
        )  # fmt: skip
        return self._count(state, touch.time, touch.parcel, normal) if far else 0.0

    def _wait(self, state: State, touch: Touch, normal: Normal) -> float:
        # Who has this many waiting is a case whether or not one of them gets its reason.
        over = state.grace.add(touch, most=MOST_WAITING)
        return max((self._give_up(state, wait, normal) for wait in over), default=0.0)

    def _give_up(self, state: State, wait: Waiting, normal: Normal) -> float:
        state.counted = [*state.counted, wait.touch][-MOST_COUNTED:]
        return self._count(state, wait.time, wait.parcel, normal)

    def _count(self, state: State, time: int, parcel: str, normal: Normal) -> float:
        state.days[-1] += 1
        if not state.begins[-1]:
            state.begins[-1] = time
        state.samples = [*state.samples, parcel][-MOST_SAMPLES:]
        if state.days[-1] < state.look:
            return 0.0
        worst = self._worst(state, normal)
        if worst is None:
            room = min(
                self._limit(state, index, normal) - count for index, count in enumerate(self._sums(state))
            )
            state.look = state.days[-1] + max(1, int(room))
            return 0.0
        state.clear = 0
        if worst[0] == 0:
            state.cap = int(worst[2])
        return float(worst[1])

    def _worst(self, state: State, normal: Normal) -> tuple[int, int, float] | None:
        """(window, count, limit) of the window that exceeds its limit the most, if one does."""
        worst: tuple[int, int, float] | None = None
        for index, count in enumerate(self._sums(state)):
            if count < self._floors(state)[index]:
                continue
            limit = self._limit(state, index, normal)
            if count > limit and (worst is None or count * worst[2] > worst[1] * limit):
                worst = (index, count, limit)
        return worst

    def _floors(self, state: State) -> tuple[int, ...]:
        return self.lean_floors if state.lean else self.floors

    @staticmethod
    def _sums(state: State) -> list[int]:
        return [sum(state.days[-days:]) for days in WINDOWS]

    def _limit(self, state: State, index: int, normal: Normal) -> float:
        """What a window may have without being a case."""
        group, days = normal.group(self.group_days), WINDOWS[index]
        known = len(state.past) >= self.own_days + days
        newcomer = (state.lean or group is not normal.peers) and not known
        cold = newcomer or group is None or not self._taught(group, index)
        limit = float(self.cold[index] if cold else self._floors(state)[index]) - 1
        if known:
            limit = max(limit, self.own_factor * state.usual[index])
        if group:
            share = self.lean_quantile if state.lean else self.quantile
            # A young log knows single days only: sums it has not seen yet spread with the root of their number.
            single, reached = (group.quantile(measure, share) for measure in (MEASURES[0], MEASURES[index]))
            reached = max(reached, sqrt(days) * single)
            limit = max(limit, self.group_factor * reached * (1 + self.group_days / group.days / 2))
        return limit * normal.strictness

    @staticmethod
    def _taught(group: Norm, index: int) -> bool:
        """Whether the group knows the window yet: no sum of seven days is taught before seven days are over."""
        return bool(group.share(MEASURES[index], 0) or group.quantile(MEASURES[index], 1.0))

    def explained(self, state: State, late: Late) -> None:
        state.grace.explained(late)
        if late.touch in state.counted:
            state.counted = [touch for touch in state.counted if touch != late.touch]
            # The latest day with any is the likeliest it counted on.
            latest = max((index for index, count in enumerate(state.days) if count), default=0)
            state.days[latest] = max(0, state.days[latest] - 1)

    def wake(self, state: State) -> int:
        return waiting[0].time + self.grace * HOUR if (waiting := state.grace.waiting) else 0

    def ripen(self, state: State, now: int, normal: Normal) -> float:
        ripe = state.grace.end(now - self.grace * HOUR)
        return max((self._give_up(state, wait, normal) for wait in ripe), default=0.0)

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        index, total, limit = self._worst(state, normal) or (0, state.days[-1], 1.0)
        days = WINDOWS[index]
        group = normal.group(self.group_days) or normal.company
        peers = group.quantile(MEASURES[index], self.quantile)
        usual, known = state.usual[index], len(state.past) >= self.own_days + days
        context = touch is None or touch.context
        span_en, span_vi = SPANS[index]
        why_en = (
            "without any scan, assignment, ticket, call, route or colleague that explains it"
            if context
            else "that only strangers had handled or that had long lain untouched"
        )
        why_vi = (
            "mà không có lượt quét, phân công, phiếu hỗ trợ, cuộc gọi, tuyến hay đồng nghiệp nào giải thích"
            if context
            else "mà chỉ người ngoài nhóm từng xử lý hoặc đã lâu không ai đụng tới"
        )
        than_en, than_vi = against_usual(
            usual if known else None, peers if self._taught(group, index) else None
        )
        return Finding(
            severity=HIGH if total >= 50 else MEDIUM if total >= 12 else LOW,
            score=-log10(group.tail(MEASURES[index], total)) if group.days else 1 + log10(total / limit),
            confidence=1 + known + (group.days >= self.group_days),
            evidence=float(total),
            window=days * 86_400,
            since=self._since(state, days),
            measures={"unrelated": float(total), "records": float(total), "limit": round(limit, 1)},
            baseline={"own_high": usual, "peers_high": round(peers, 1), "peer_days": group.days},
            parcels=tuple(state.samples[-total:]),
            en=(
                f"Opened {total} parcels within {span_en} {why_en}: {than_en}. "
                "Somebody may be looking customers up, for himself or for sale."
            ),
            vi=(
                f"Đã mở {total} bưu gửi trong {span_vi} {why_vi}: {than_vi}. "
                "Có thể người này đang tra cứu thông tin khách hàng cho mình hoặc để bán."
            ),
        )

    @staticmethod
    def _since(state: State, days: int) -> int:
        """Event time of the first touch of the first day in the window that had more than a slip or two."""
        slip = max(2, state.usual[0])
        recent = list(zip(state.begins[-days:], state.days[-days:], strict=True))
        busy = [begin for begin, count in recent if begin and count > slip]
        return busy[0] if busy else min((begin for begin, _ in recent if begin), default=0)

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        if state.cap:
            # A day that was a case by itself is told; neither sums of days nor others' baselines grow by it.
            state.days[-1] = min(state.days[-1], state.cap)
        sums = self._sums(state)
        state.past = [*state.past, state.days[-1]][-MEMORY:]
        state.usual = [_usual(state.past, days) for days in WINDOWS]
        state.days, state.begins = [*state.days[1:], 0], [*state.begins[1:], 0]
        lessons = [
            (measure, log_bin(total))
            for days, measure, total in zip(WINDOWS, MEASURES, sums, strict=True)
            if days <= min(len(state.past), state.clear)
        ]
        lessons += state.circle.close_day(teach=state.clear > 0)
        state.clear = min(state.clear + 1, WINDOWS[-1])
        state.cap = state.look = 0
        return lessons
