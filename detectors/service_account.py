"""Service account: a machine's account used by hand, through a user interface or by acts no machine of its kind did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import (
    ACTION_CODES,
    CHANNEL_CODES,
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    Detector,
    Finding,
    Lesson,
    Normal,
    Touch,
)  # fmt: skip
from detectors.habits import Familiar

#: Channels with a person in front of them, and those that only programs use.
BY_HAND = frozenset((CHANNEL_CODES["ui"], CHANNEL_CODES["app"]))
BY_PROGRAM = frozenset((CHANNEL_CODES["api"], CHANNEL_CODES["batch"]))
LOGIN = ACTION_CODES["login"]
CHANNEL, GROUND, ACTION = 1, 2, 4
WHAT_EN = {CHANNEL: "a user interface", GROUND: "a device or network", ACTION: "a kind of access"}
WHAT_VI = {CHANNEL: "giao diện người dùng", GROUND: "thiết bị hoặc mạng", ACTION: "kiểu truy cập"}
#: Pauses (ms) a person makes between two looks: shorter is a program, longer is another sitting.
SHORTEST, LONGEST = 1_000, 15 * 60_000
MOST_SAMPLES = 20
MEMORY = 28


class State(msgspec.Struct, array_like=True):
    """What is known of one service account.

    Attributes:
        device, place, channel, action: of the latest touch; -1 as action when it is to be looked at anew.
        marks: what was unusual about it (bits), 0 when it is the machine's.
        grounds: the devices and networks it is used from; empty for people.
        days: finished days. by_hand: on how many of them people's channels were used. programs: whether programs' were.
        actions: what it has done, by bit. today, hand_today: actions of today; whether a person's channel was used.
        last, pause: event time of the latest touch by hand, and the pause before it (ms).
        calls: touches by hand today. records: what they returned. bulk: of that, what came several at once.
        since: event time of the first. why: their marks.
        told: whether today had a case.
        samples: latest parcels read by hand.
    """

    device: int = 0
    place: int = 0
    channel: int = 0
    action: int = -1
    marks: int = 0
    grounds: list[Familiar] = []
    days: int = 0
    by_hand: int = 0
    programs: bool = False
    actions: int = 0
    today: int = 0
    hand_today: bool = False
    last: int = 0
    pause: int = 0
    calls: int = 0
    records: int = 0
    bulk: int = 0
    since: int = 0
    why: int = 0
    told: bool = False
    samples: list[str] = []


@dataclass(frozen=True)
class ServiceAccount(Detector[State]):
    """Learns what each service account is used from and for; counts single looks with a person's pauses.

    A touch is by hand when it comes through a user interface though programs' channels are the account's own, or
    when the account never did such a thing before and does it from a device or network it never used. Of these,
    records read one at a time count when the pause before them is a person's: seconds to minutes, never twice the same.
    An export or a long list through a user interface is a case by itself.

    Finds: staff who know a service account's password and use it to look parcels up or to take them away.

    Ignores: batch and migration jobs however large and new, a service moved to another server, robots that work
    through a user interface every day or at a steady beat, an administrator's one or two looks.

    Known gaps: accounts the directory does not declare as service; logs that name neither channel nor device nor
    network; hands that send requests through the API from a new device but do only what the machine does.

    Parameters:
        enough: looks by hand that are a case. cold: the same while the account is hardly known.
        own_days: finished days after which an account is known.
        rare: share of its days below which people's channels, or new devices and networks, are not its own.
        export: records taken at once through a user interface that are a case.

    >>> from detectors.testing import Watch, views, work, at
    >>> from detectors.base import Person
    >>> robot = Person("k1.staff.svc", "vnx", role="service", service=True)
    >>> watch = Watch(ServiceAccount())
    >>> watch.see(*work(range(-7, 0), parcels=200, who=robot, channel=3, device=1))
    []
    >>> rows = [row for n in (0, 41, 95, 180, 222) for row in views(at() + n * 1000, parcels=1, minutes=1,
    ...     who=robot, channel=1, device=9)]
    >>> [told.finding.evidence for told in watch.see(*rows)]
    [4.0]

    References: service-account interactive logon (MITRE ATT&CK T1078, Microsoft Entra guidance); domain notes.
    """

    name: ClassVar[str] = "service_account"
    summary: ClassVar[str] = "A service account is used by hand"
    state_type: ClassVar[type[State]] = State
    marked_only: ClassVar[bool] = True
    quiet: ClassVar[int] = 86_400

    enough: int = 3
    cold: int = 10
    own_days: int = 5
    rare: float = 0.1
    export: int = 20

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if not touch.who.service:
            return 0.0
        if (
            touch.action != state.action
            or touch.device != state.device
            or touch.channel != state.channel
            or touch.place != state.place
        ):
            self._look(state, touch)
        return self._count(state, touch, normal) if state.marks else 0.0

    def _look(self, state: State, touch: Touch) -> None:
        """Something about the access changed: find out whether a machine does so."""
        device, place, channel, action = touch.device, touch.place, touch.channel, touch.action
        state.device, state.place, state.channel, state.action = device, place, channel, action
        if not state.grounds:
            state.grounds = [Familiar(), Familiar()]
        known = state.days >= self.own_days
        strange = [
            key and ground.meet(key) and ground.days >= self.own_days and ground.rate < self.rare
            for key, ground in zip((device, place), state.grounds, strict=True)
        ]
        ground = GROUND if any(strange) else 0
        act = ACTION if known and not state.actions >> action & 1 else 0
        state.today |= 1 << action
        if channel in BY_PROGRAM:
            state.programs = True
        hand = channel in BY_HAND
        state.hand_today |= hand
        own = not state.programs or state.by_hand > self.rare * state.days
        if hand and not own:
            state.marks = CHANNEL | ground | act
        else:
            state.marks = ground | act if ground and act and channel not in BY_PROGRAM else 0

    def _count(self, state: State, touch: Touch, normal: Normal) -> float:
        records = touch.records
        if touch.action == LOGIN or not (touch.parcel or records or touch.failed):
            return 0.0
        pause = touch.time - state.last
        human = SHORTEST <= pause <= LONGEST
        first = not human and not state.calls
        if state.marks & CHANNEL and records > 1:
            state.calls += 1
            state.bulk += records
        elif records > 1 or not (first or human):
            return self._size(state, normal)
        else:
            beat, state.pause = state.pause, pause
            state.last = touch.time
            # The same pause twice is a machine's.
            if human and abs(pause - beat) * 50 <= pause:
                return self._size(state, normal)
            state.calls += human
        if not state.since or first:
            state.since = touch.time
        state.last = max(touch.time, state.last)
        state.records += records
        state.why |= state.marks
        if touch.parcel:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]
        return self._size(state, normal)

    def _size(self, state: State, normal: Normal) -> float:
        """Looks by hand, or records when they were taken away in bulk; 0 while they are no case."""
        need = self.enough if state.days >= self.own_days else self.cold
        strictness = normal.strictness
        if state.calls < strictness * need and state.bulk < strictness * self.export:
            return 0.0
        state.told = True
        return float(max(state.calls, state.records))

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        taken = max(state.records, state.calls)
        severity = CRITICAL if taken >= 5_000 else HIGH if taken >= 50 else MEDIUM if taken >= 10 else LOW
        bits = [bit for bit in (CHANNEL, GROUND, ACTION) if state.why & bit]
        en, vi = (" and ".join(WHAT_EN[bit] for bit in bits), " và ".join(WHAT_VI[bit] for bit in bits))
        # Rule of succession: what so many days never brought comes on the next with one in days + 2; channel, ground
        # and kind of access are taken as independent for a machine. Each further look is as likely again as not.
        score = len(bits) * log10(min(state.days, 365) + 2) + log10(1 + taken)
        return Finding(
            severity=severity,
            score=score,
            confidence=1 + (state.days >= self.own_days) + (state.days >= MEMORY),
            evidence=float(taken),
            window=max(0, (state.last - state.since) // 1000),
            since=state.since,
            measures={"looks": state.calls, "records": taken},
            baseline={"own_days": state.days, "days_by_hand": state.by_hand},
            parcels=tuple(state.samples),
            en=(
                f"This service account was used by hand: {state.calls:,} looks with a person's pauses, {taken:,} "
                f"records, through {en} that is not its own, while {state.by_hand} of its {state.days} days saw "
                "people's channels. Whoever knows its password reads parcels without a name of his own."
            ),
            vi=(
                f"Tài khoản dịch vụ này bị dùng bằng tay: {state.calls:,} lần xem với nhịp nghỉ của con người, "
                f"{taken:,} bản ghi, qua {vi} không phải của nó, trong khi chỉ {state.by_hand} trên {state.days} ngày "
                "có người dùng. Ai biết mật khẩu của nó có thể đọc dữ liệu bưu gửi mà không lộ danh tính."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        if not state.today:
            return ()
        for ground in state.grounds:
            ground.close_day(state.told)
        state.days += 1
        if not state.told:
            # What was done by hand must not become the machine's own.
            state.by_hand += state.hand_today
            state.actions |= state.today
        state.action, state.today, state.hand_today, state.told = -1, 0, False, False
        state.calls = state.records = state.bulk = state.since = state.why = state.marks = 0
        state.samples = []
        return ()
