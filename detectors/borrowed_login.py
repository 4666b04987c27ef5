"""Borrowed login: much read from a device, network or site new to the person, or from two sites at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar
from zlib import crc32

import msgspec

from detectors.base import (
    CRITICAL,
    HIGH,
    MEDIUM,
    Detector,
    Finding,
    Lesson,
    Norm,
    Normal,
    Person,
    Touch,
    log_bin,
)  # fmt: skip
from detectors.habits import Familiar, second, taken

MINUTE = 60_000
SLOT = 10 * MINUTE
#: Two touches closer than this (ms) at different sites: nobody gets there and back so fast.
TRAVEL = 15 * MINUTE
DEVICE, PLACE, SITE = 1, 2, 4
WHAT_EN = {DEVICE: "device", PLACE: "network", SITE: "site"}
WHAT_VI = {DEVICE: "thiết bị", PLACE: "mạng", SITE: "địa điểm"}
NEW, BURST, READS, APART = "login.new", "login.burst", "login.reads", "login.apart"
MEMORY = 14
MOST_SAMPLES = 20


class State(msgspec.Struct, array_like=True):
    """What is known of one person's surroundings.

    Attributes:
        device, place, site: of the latest touch. new: which of them are unfamiliar and seldom so (bits).
        time: of the latest touch, ms.
        grounds: familiar devices, networks and sites; empty until the first is named.
        slot: the ten minutes being counted. count, away_count: records taken in them, in all and from new ground.
        high, reads: today's fullest ten minutes, and all of today.
        away, since, mask: today's records from new ground, time of its first touch, all that was new.
        hops, apart: today's quick moves between old and new ground, and those of them between two sites.
        told: whether today had a case.
        bursts, days: `high` and `reads` of finished days, oldest first.
        samples: latest parcels read from new ground.
    """

    device: int = 0
    place: int = 0
    site: str = ""
    new: int = 0
    time: int = 0
    grounds: list[Familiar] = []
    slot: int = 0
    count: int = 0
    away_count: int = 0
    high: int = 0
    reads: int = 0
    away: int = 0
    since: int = 0
    mask: int = 0
    hops: int = 0
    apart: int = 0
    told: bool = False
    bursts: list[int] = []
    days: list[int] = []
    samples: list[str] = []


@dataclass(frozen=True)
class BorrowedLogin(Detector[State]):
    """Learns each person's devices, networks and sites; weighs what is read from others.

    A new device alone is life: people get new phones. New counts only what is seldom new, for the person and among
    his peers, so roaming on mobile networks or a counter with many terminals means nothing. A case is one of: a new
    device reading at one site while the person is at work at another, back and forth within minutes no one can travel
    in; from new ground, more records in ten minutes or in a day than person and peers take; the same with a lower bar
    when old and new ground are used turn by turn. What a relation explains is not counted. Impossible travel is a fact:
    strictness does not apply to it.

    Finds: a login lent, sold or stolen and used elsewhere; impossible travel.

    Ignores: new phones and laptops at the usual pace, a team that moves, a substitute at another depot, mobile
    networks, shared counter terminals, declared service accounts.

    Known gaps: logs that name neither device, network nor site; the first days of a person; a borrower at the owner's
    own terminal, or who reads less than the owner does.

    Parameters:
        floors: least records from new ground: at two sites at once; in ten minutes and in a day with device and
            network or site both new; the same two with one of them new.
        own_factor: multiple of the person's own second-highest ten minutes or day.
        own_days: finished days before anything counts as new.
        rare: share of days, own and peers', above which something new is ordinary.
        group_days, quantile, group_factor: person-days a group needs; share of them to lie below; margin over it.
        turns: quick moves between old and new ground that halve what is needed.

    >>> from detectors.testing import Watch, at, views, work
    >>> watch = Watch(BorrowedLogin())
    >>> watch.see(*work(range(-7, 0), device=1, place=1, site="HN-03"))
    []
    >>> [told.records for told in watch.see(*views(at(), parcels=60, minutes=30, device=9, place=9, site="SG-01"))][:1]
    [9]

    References: first-seen rules (Elastic new terms), impossible travel (Microsoft Entra ID Protection), domain notes.
    """

    name: ClassVar[str] = "borrowed_login"
    summary: ClassVar[str] = (
        "Reads much from a device, network or site new to this person, or from two sites at once"
    )
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 6 * 3600

    floors: tuple[int, ...] = (5, 8, 20, 10, 30)
    own_factor: float = 1.5
    own_days: int = 5
    rare: float = 0.1
    group_days: int = 40
    quantile: float = 0.99
    group_factor: float = 1.2
    turns: int = 3

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if touch.device != state.device or touch.place != state.place or touch.site != state.site:
            who: Person = touch.who
            if who.service:
                return 0.0
            self._move(state, touch, normal)
        elif not state.grounds:
            return 0.0
        time = state.time = touch.time
        if touch.explanation or not (count := taken(touch)):
            return 0.0
        slot = time // SLOT
        if slot != state.slot:
            state.slot, state.count, state.away_count = slot, 0, 0
        state.reads += count
        now = state.count = state.count + count
        if now > state.high:
            state.high = now
        return self._count_away(state, touch, count, normal) if state.new else 0.0

    def _move(self, state: State, touch: Touch, normal: Normal) -> None:
        """Other surroundings than those of the touch before: find out what is new about them."""
        if not state.grounds:
            state.grounds = [Familiar(), Familiar(), Familiar()]
        new = 0
        for bit, key in ((DEVICE, touch.device), (PLACE, touch.place), (SITE, crc32(touch.site.encode()))):
            ground = state.grounds[bit // 2]
            if (
                key
                and ground.meet(key)
                and ground.days >= self.own_days
                and self._share(state, bit, normal) < self.rare
            ):
                new |= bit
        # A familiar device at a new site is the person himself on his way.
        if touch.site == touch.who.site or (touch.device and new == SITE):
            new &= ~SITE
        if bool(new) != bool(state.new) and abs(touch.time - state.time) <= TRAVEL:
            state.hops += 1
            if touch.site and state.site and touch.site != state.site and (new | state.new) & SITE:
                state.apart += 1
        state.device, state.place, state.site, state.new = touch.device, touch.place, touch.site, new
        state.mask |= new
        state.since = state.since or (touch.time if new else 0)

    def _share(self, state: State, bit: int, normal: Normal) -> float:
        """How often something of the kind is new: the person's own share of days or the peers', whichever is more."""
        group = normal.group(self.group_days)
        peers = sum(group.share(NEW, mask) for mask in range(1, 8) if mask & bit) if group else 0.0
        return max(state.grounds[bit // 2].rate, peers)

    def _count_away(self, state: State, touch: Touch, count: int, normal: Normal) -> float:
        state.away, state.away_count = state.away + count, state.away_count + count
        if touch.parcel:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]
        if not self._is_case(state, normal):
            return 0.0
        state.told = True
        return float(state.away)

    def _is_case(self, state: State, normal: Normal) -> bool:
        if state.apart > 1 and state.mask & DEVICE and state.away >= self.floors[0]:
            return True
        return any(
            now > limit
            for now, limit in zip((state.away_count, state.away), self._limits(state, normal), strict=True)
        )

    def _limits(self, state: State, normal: Normal) -> tuple[float, float]:
        """What may be taken from the present ground within ten minutes and within the day."""
        both = state.mask & DEVICE and state.mask & (PLACE | SITE)
        floors = self.floors[1:3] if both else self.floors[3:5]
        # The person has days of his own by now: a whole company's mixture of work would only blur them.
        group = normal.peers if normal.peers.days >= self.group_days else None
        ease = normal.strictness * (0.5 if both and state.hops >= self.turns else 1.0)
        burst, day = (
            ease * max(
                floor,
                self.own_factor * second(past),
                self.group_factor * group.quantile(measure, self.quantile) if group else 0.0,
            )
            for floor, past, measure in zip(floors, (state.bursts, state.days), (BURST, READS), strict=True)
        )  # fmt: skip
        return burst, day

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        group: Norm = normal.group(self.group_days) or normal.company
        limits = self._limits(state, normal)
        burst, away, limit = state.away_count, state.away, limits[1]
        bits = [bit for bit in (DEVICE, PLACE, SITE) if state.mask & bit]
        # The share of person-days that bring something so new, times the tail of person-days that take so much, times
        # that of so many moves between two sites: independent of each other in ordinary life.
        new = min((self._share(state, bit, normal) for bit in bits), default=1.0)
        known = max(group.days, len(state.days))
        score = -log10(max(new, 1 / (known + 2)))
        if group.days:
            score -= log10(min(group.tail(BURST, burst), group.tail(READS, away)))
            score -= log10(group.tail(APART, state.apart)) if state.apart > 1 else 0.0
        else:
            score += log10(max(1.0, burst / limits[0], away / limit)) + (state.apart > 1)
        apart = state.apart > 1
        severity = CRITICAL if away >= 5_000 else HIGH if away >= 200 or (apart and away >= 50) else MEDIUM
        en, vi = (", ".join(words[bit] for bit in bits) for words in (WHAT_EN, WHAT_VI))
        both_en = (
            f", and moved between two sites {state.apart} times faster than anyone can travel"
            if apart
            else ""
        )
        both_vi = (
            f", và đổi qua lại giữa hai địa điểm {state.apart} lần nhanh hơn mức có thể di chuyển"
            if apart
            else ""
        )
        return Finding(
            severity=severity,
            score=min(score, 49.0),
            confidence=2 + (group.days >= self.group_days),
            evidence=float(away),
            window=max(0, (state.time - state.since) // 1000),
            since=state.since,
            measures={
                "records": away,
                "burst": burst,
                "hops": state.hops,
                "apart": state.apart,
                "limit": limit,
            },
            baseline={
                "own_day": second(state.days),
                "own_burst": second(state.bursts),
                "new_share": round(new, 4),
                "peer_days": group.days,
            },
            parcels=tuple(state.samples),
            en=(
                f"Took {away:,} records that are no work in hand from a {en} never used by this person before"
                f"{both_en}: something so new is seen on {new:.1%} of days, and on busy days this person takes "
                f"{second(state.days):,}. Somebody else may be using this login."
            ),
            vi=(
                f"Đã lấy {away:,} bản ghi ngoài công việc đang làm từ {vi} mà người này chưa từng dùng{both_vi}: "
                f"điều mới như vậy chỉ gặp trong {new:.1%} số ngày, và ngày bận người này lấy {second(state.days):,}. "
                "Có thể người khác đang dùng tài khoản này."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        if not state.grounds:
            return ()
        kinds = zip((DEVICE, PLACE, SITE), state.grounds, strict=True)
        new = sum(bit for bit, ground in kinds if ground.new and ground.days >= self.own_days)
        for ground in state.grounds:
            ground.close_day(state.told)
        lessons = [
            (NEW, new), (BURST, log_bin(state.high)), (READS, log_bin(state.reads)), (APART, log_bin(state.apart)),
        ]  # fmt: skip
        if state.told:
            lessons = []  # a leak must become nobody's baseline
        else:
            state.bursts, state.days = (
                [*state.bursts, state.high][-MEMORY:],
                [*state.days, state.reads][-MEMORY:],
            )
        state.device = state.place = state.new = state.count = state.away_count = state.high = state.reads = 0
        state.away = state.since = state.mask = state.hops = state.apart = 0
        state.site, state.told, state.samples = "", False, []
        return lessons
