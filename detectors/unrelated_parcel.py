"""Unrelated parcel: a person keeps opening parcels that nothing ties him to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import HIGH, LOW, MEDIUM, Detector, Finding, Late, Lesson, Normal, Person, Touch, log_bin

HOUR = 3_600_000
MEASURE = "unrelated"
MOST_WAITING = 128
MOST_SAMPLES = 20
MOST_COWORKERS = 64
MEMORY = 28


class Waiting(msgspec.Struct, array_like=True):
    """An unexplained touch in its grace period."""

    touch: tuple[int, int, int]
    time: int
    parcel: str


class State(msgspec.Struct, array_like=True):
    """What is known of one person's relations.

    Attributes:
        waiting: unexplained touches whose reason may still come, oldest first.
        days: unrelated parcels of the latest local days, the present one last.
        past: the same for finished days beyond those, the oldest first, as sums over `span` days.
        usual: the second highest of `past`.
        coworkers: hash of a person → parcels both have handled; where context is lacking, these are one's relations.
        since: event time of the first touch of the present case. samples: its latest parcels.
    """

    waiting: list[Waiting] = []
    days: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0])
    past: list[int] = []
    usual: int = 0
    coworkers: dict[int, int] = {}
    since: int = 0
    samples: list[str] = []


@dataclass(frozen=True)
class UnrelatedParcel(Detector[State]):
    """Counts, over three days, distinct parcels that neither scan, assignment, ticket, call, site, team nor job explains.

    Context may come late, so an unexplained touch waits out a grace period of event time before it counts. Where the
    carrier sends no context, a parcel counts as unrelated when others have handled it before and none of them is someone
    this person shares parcels with. A case exceeds a floor, a multiple of the person's own usual three days, and what nearly
    all three-day stretches of the peers reach.

    Finds: snooping for acquaintances or for sale, a few parcels a day. Ignores: late context, cover for a colleague, people who
    roam by duty (their usual is high). Known gap: roaming companies without context, where everybody is related to all.

    Parameters:
        floor: unrelated parcels in three days below which nothing is a case. cold: the floor without any baseline.
        own_factor, own_days: multiple of the own usual; finished days it needs.
        quantile, group_factor, group_days: likewise for peers.
        grace: hours an unexplained touch waits for its reason.
        shared: parcels two people must share to be related.
        settle: distinct co-workers a person needs before strangers mean anything.

    >>> from detectors.testing import snooping
    >>> snooping(UnrelatedParcel(), parcels=20)
    'MEDIUM 20 unrelated parcels'

    References: Chen, Malin et al., SNAD 2012; Fabbri and LeFevre, VLDB 2011.
    """

    name: ClassVar[str] = "unrelated_parcel"
    summary: ClassVar[str] = "Keeps opening parcels that nothing ties this person to"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3 * 86_400

    floor: float = 8.0
    cold: float = 15.0
    own_factor: float = 2.5
    own_days: int = 5
    quantile: float = 0.995
    group_factor: float = 1.25
    group_days: int = 40
    grace: int = 24
    shared: int = 2
    settle: int = 8

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if not touch.parcel or touch.seen:
            return 0.0
        who: Person = touch.who
        if who.service:
            return 0.0
        if touch.context:
            if touch.explanation:
                return 0.0
            state.waiting = [
                *state.waiting, Waiting((touch.src, touch.off, touch.idx), touch.time, touch.parcel)
            ][-MOST_WAITING:]  # fmt: skip
            return 0.0
        if touch.others and self._stranger(state, touch.others):
            return self._count(state, touch.time, touch.parcel, normal)
        return 0.0

    def _stranger(self, state: State, others: tuple[int, ...]) -> bool:
        """Whether none of those who handled the parcel is a co-worker; each is known a little better afterwards."""
        coworkers = state.coworkers
        settled = len(coworkers) >= self.settle
        stranger = settled and all(coworkers.get(other, 0) < self.shared for other in others)
        for other in others:
            coworkers[other] = coworkers.get(other, 0) + 1
        if len(coworkers) > MOST_COWORKERS:
            state.coworkers = {k: v // 2 for k, v in coworkers.items() if v > 1} if settled else coworkers
        return stranger

    def _count(self, state: State, time: int, parcel: str, normal: Normal) -> float:
        if not state.since or not any(state.days):
            state.since, state.samples = time, []
        state.days[-1] += 1
        state.samples = [*state.samples, parcel][-MOST_SAMPLES:]
        total = sum(state.days)
        return float(total) if total > self._limit(state, normal) else 0.0

    def _limit(self, state: State, normal: Normal) -> float:
        own = self.own_factor * state.usual if len(state.past) >= self.own_days else 0.0
        group = normal.group(self.group_days)
        if group is None:
            return max(self.cold, own)
        return max(self.floor, own, self.group_factor * group.quantile(MEASURE, self.quantile))

    def explained(self, state: State, late: Late) -> None:
        state.waiting = [wait for wait in state.waiting if wait.touch != late.touch]

    def wake(self, state: State) -> int:
        return state.waiting[0].time + self.grace * HOUR if state.waiting else 0

    def ripen(self, state: State, now: int, normal: Normal) -> float:
        case = 0.0
        ripe = [wait for wait in state.waiting if wait.time + self.grace * HOUR <= now]
        if ripe:
            state.waiting = [wait for wait in state.waiting if wait.time + self.grace * HOUR > now]
            for wait in ripe:
                case = max(case, self._count(state, wait.time, wait.parcel, normal))
        return case

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        total = sum(state.days)
        group = normal.group(1) or normal.company
        peers = group.quantile(MEASURE, self.quantile)
        return Finding(
            severity=HIGH if total >= 50 else MEDIUM if total >= 12 else LOW,
            score=-log10(group.tail(MEASURE, total)),
            confidence=min(3, 1 + (len(state.past) >= self.own_days) + (group.days >= self.group_days)),
            evidence=float(total),
            window=3 * 86_400,
            since=state.since,
            measures={"unrelated": float(total), "limit": round(self._limit(state, normal), 1)},
            baseline={"own_high": float(state.usual), "peers_high": round(peers, 1), "peer_days": float(group.days)},
            parcels=tuple(state.samples),
            en=(
                f"Opened {total} parcels in three days without any scan, assignment, ticket, call, route or colleague "
                f"that explains it; this person's high is {state.usual}, the peers' {peers:.0f}. Someone may be looking people up."
            ),
            vi=(
                f"Đã mở {total} bưu gửi trong ba ngày mà không có lượt quét, phân công, phiếu hỗ trợ, cuộc gọi, tuyến hay đồng nghiệp "
                f"nào giải thích; mức cao của người này là {state.usual}, của đồng nghiệp là {peers:.0f}. Có thể đang tra cứu khách hàng."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        total = sum(state.days)
        state.past = [*state.past, total][-MEMORY:]
        state.usual = sorted(state.past)[-2] if len(state.past) > 1 else total
        state.days = [*state.days[1:], 0]
        return [(MEASURE, log_bin(total))]
