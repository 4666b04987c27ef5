"""Shared account: one login on several devices and at several sites turn by turn, or round the clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar
from zlib import crc32

import msgspec

from detectors.base import LOW, MEDIUM, Detector, Finding, Lesson, Norm, Normal, Touch, log_bin
from detectors.habits import second

HOUR = 3_600_000
#: What was used within so many ms of each other is used at one time.
TOGETHER = 10 * 60_000
CIRCLES, APART, HOURS = "shared.circles", "shared.apart", "shared.hours"
MEASURES = (CIRCLES, APART, HOURS)
#: Hours in a day, as bits of a mask whose lowest is the present hour.
DAY_BITS = (1 << 24) - 1
MOST_USED = 8
MEMORY = 14


class Used(msgspec.Struct, array_like=True):
    """When one device was used.

    Attributes:
        last: event time of its latest touch before another device's, ms.
        hour: event-time hour of that. hours: hours of the day before in which it was used, bit 0 being `hour`.
        site: where, as a hash; 0 not said.
    """

    last: int = 0
    hour: int = 0
    hours: int = 0
    site: int = 0

    def use(self, hour: int) -> None:
        """It is used in this hour; one that lies back already is not counted."""
        ahead = hour - self.hour
        if ahead >= 0:
            self.hours = (self.hours << min(ahead, 24) | 1) & DAY_BITS
            self.hour = hour

    def until(self, hour: int) -> int:
        """Its hours as bits, bit 0 being the hour given."""
        return self.hours << min(max(0, hour - self.hour), 24) & DAY_BITS


class State(msgspec.Struct, array_like=True):
    """How one account is used.

    Attributes:
        key: device (network, where none is said) in use. hour: event-time hour of its latest touch. time: of that, ms.
        site: the site last named, as a hash.
        used: by key, when it was used; the latest used last.
        circles: today's returns to a device within ten minutes with two others used between.
        apart: today's returns of that kind from one site to another.
        hours: most hours of the day before that were worked today, spread over devices as no single person's are.
        since: event time of today's first turn that counts.
        told: whether today had a case.
        past: by measure, counts of finished days, oldest first.
    """

    key: int = 0
    hour: int = 0
    time: int = 0
    site: int = 0
    used: dict[int, Used] = {}
    circles: int = 0
    apart: int = 0
    hours: int = 0
    since: int = 0
    told: bool = False
    past: list[list[int]] = msgspec.field(default_factory=lambda: [[] for _ in MEASURES])


@dataclass(frozen=True)
class SharedAccount(Detector[State]):
    """Finds accounts that several people use: what they do overlaps in time as one person's work cannot.

    Three things are counted over a local day. Circles: coming back to a device within ten minutes while two others
    were used between. Apart: coming back within ten minutes from another site. Hours: more hours out of 24 than one
    person works, on three devices or more, none having most of them. Each must exceed a limit, a multiple of the
    account's own second-highest day, and what nearly all days of the peers reach; so it is told once and then is its
    usual, until it doubles. Without peers nothing is told: whole companies work with three devices at a time.

    Finds: logins passed round in a depot, one login for a team at several sites, a login for all three shifts.

    Ignores: a person with computer and phone, a counter terminal that many people share under their own names, an
    open page that refreshes all night, declared service accounts, roles in which everybody works with many devices.

    Known gaps: two people with one device each at one site; logs without device and network; an
    account shared since before the log began once its own usual is learnt.

    Parameters:
        limits: least circles, moves between sites, and hours that are a case.
        own_factor: multiple of the account's own second-highest day.
        share: the part of the hours that a single device may have at most; below a half takes three devices.
        group_days, quantile, group_factor: person-days a group needs; share of them to lie below; margin over it.

    >>> from detectors.testing import Watch, at, office, touch
    >>> watch = Watch(SharedAccount(), office(SharedAccount(), device=1))
    >>> turns = [touch(at() + n * 60_000, parcel=f"k1.p{n}", device=1 + n % 3) for n in range(60)]
    >>> [told.finding.evidence for told in watch.see(*turns)]
    [20.0, 40.0]

    References: concurrent-session analytics (Exabeam, Microsoft Sentinel UEBA); NIST SP 800-53 AC-10.
    """

    name: ClassVar[str] = "shared_account"
    summary: ClassVar[str] = "Several people use one account at a time"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3 * 86_400

    limits: tuple[int, ...] = (20, 4, 18)
    own_factor: float = 2.0
    share: float = 0.45
    group_days: int = 40
    quantile: float = 0.99
    group_factor: float = 1.5

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        key = touch.device or touch.place
        if not key or touch.who.service:
            return 0.0
        time = touch.time
        if key == state.key and time // HOUR == state.hour:
            state.time = time
            return 0.0
        return self._turn(state, touch, key, normal)

    def _turn(self, state: State, touch: Touch, key: int, normal: Normal) -> float:
        """Another device than before, or another hour."""
        time, hour = touch.time, touch.time // HOUR
        site = crc32(touch.site.encode()) if touch.site else 0
        used, before = state.used, state.used.get(state.key)
        if before is not None and key != state.key:
            before.last, before.site = state.time, state.site
        counts = 0
        now = used.pop(key, None) or Used()
        if key != state.key and now.last and abs(time - now.last) <= TOGETHER:
            between = sum(other.last > now.last and time - other.last <= TOGETHER for other in used.values())
            state.circles += between > 1
            away = site and state.site and site != state.site and now.site == site
            state.apart += bool(away)
            counts = between > 1 or bool(away)
        now.use(hour)
        used[key] = now
        if len(used) > MOST_USED:
            del used[next(iter(used))]
        state.key, state.hour, state.time, state.site = key, hour, time, site or state.site
        if len(used) > 1 and hour == now.hour:
            counts = self._count_hours(state, hour, normal) or counts
        if not counts:
            return 0.0
        state.since = state.since or time
        return self._size(state, normal)

    def _count_hours(self, state: State, hour: int, normal: Normal) -> bool:
        masks = [one.until(hour) for one in state.used.values()]
        together = 0
        for mask in masks:
            together |= mask
        hours = together.bit_count()
        if hours <= state.hours or max(mask.bit_count() for mask in masks) > self.share * hours:
            return False
        state.hours = hours
        return hours > min(normal.strictness * (self.limits[2] - 1), 23)

    @staticmethod
    def _counts(state: State) -> tuple[int, int, int]:
        return state.circles, state.apart, state.hours

    def _limit(self, state: State, index: int, normal: Normal) -> float:
        """What a day may reach without being a case."""
        group = normal.group(self.group_days)
        peers = self.group_factor * group.quantile(MEASURES[index], self.quantile) if group else 0.0
        own = self.own_factor * second(state.past[index])
        limit = normal.strictness * max(self.limits[index] - 1, own, peers)
        # A day has no more hours than 24, however far a multiple goes.
        return min(limit, 23.0) if index == 2 and second(state.past[2]) < self.limits[2] else limit

    def _size(self, state: State, normal: Normal) -> float:
        if normal.group(self.group_days) is None:
            return 0.0
        over = [
            count if count > self._limit(state, index, normal) else 0
            for index, count in enumerate(self._counts(state))
        ]
        if not any(over):
            return 0.0
        state.told = True
        return float(max(over))

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        group: Norm = normal.group(self.group_days) or normal.company
        counts = self._counts(state)
        limits = [self._limit(state, index, normal) for index in range(len(MEASURES))]
        # The rarest of the three under the peers' days; without peers, ten to the excess over the limits.
        score = (
            max(-log10(group.tail(measure, count)) for measure, count in zip(MEASURES, counts, strict=True))
            if group.days
            else 1
            + max(log10(max(1.0, count / (limit + 1))) for count, limit in zip(counts, limits, strict=True))
        )
        over = [count for count, limit in zip(counts, limits, strict=True) if count > limit]
        own = [second(past) for past in state.past]
        return Finding(
            severity=MEDIUM if state.apart > limits[1] else LOW,
            score=min(score, 49.0),
            confidence=2 + (group.days >= self.group_days),
            evidence=float(max(over, default=max(counts))),
            window=86_400,
            since=state.since,
            measures={
                "circles": state.circles,
                "apart": state.apart,
                "hours": state.hours,
                "devices": len(state.used),
            },
            baseline={
                "own_circles": own[0],
                "own_apart": own[1],
                "own_hours": own[2],
                "peer_days": group.days,
            },
            en=(
                f"Within a day this account went {state.circles} times round three or more devices within minutes, "
                f"{state.apart} times to and fro between sites, and worked up to {state.hours} hours in 24 on "
                f"different devices, where it usually has {own[0]}, {own[1]} and {own[2]}. Several people "
                "seem to share it, so that nobody can be held to what was read."
            ),
            vi=(
                f"Trong một ngày tài khoản này {state.circles} lần xoay vòng ba thiết bị trở lên trong vài phút, "
                f"{state.apart} lần qua lại giữa các địa điểm, và làm việc đến {state.hours} giờ trong 24 giờ trên "
                f"nhiều thiết bị, thường ngày là {own[0]}, {own[1]} và {own[2]}. Có vẻ nhiều người "
                "dùng chung, nên không thể quy trách nhiệm cho ai về dữ liệu đã xem."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        if not state.used:
            return ()
        counts = self._counts(state)
        lessons = [(measure, log_bin(count)) for measure, count in zip(MEASURES, counts, strict=True)]
        state.past = [[*past, count][-MEMORY:] for past, count in zip(state.past, counts, strict=True)]
        # Devices of two days ago say nothing any more; the latest is known by its key.
        state.used = {key: used for key, used in state.used.items() if used.until(state.hour)}
        told, state.told = state.told, False
        state.circles = state.apart = state.hours = state.since = 0
        return () if told else lessons
