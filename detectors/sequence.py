"""Sequence: search, reveal, take away, a device never seen before: each step weak, together strong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import ACTIONS, HIGH, LOW, MEDIUM, Detector, Finding, Lesson, Norm, Normal, Touch

HOUR = 3_600_000
#: The steps. Those of one stage stand for each other: the rarest that was met counts.
SEARCH, VIEW, REVEAL, EXPORT, PRINT, DEVICE = range(6)
STAGES = ((SEARCH,), (VIEW, REVEAL), (EXPORT, PRINT), (DEVICE,))
TAKE, NEW_DEVICE = 2, 3
STEP_OF = {
    "search": SEARCH,
    "view": VIEW,
    "reveal": REVEAL,
    "export": EXPORT,
    "download": EXPORT,
    "print": PRINT,
}
#: Step by the code of an action; -1 for none.
STEPS = tuple(STEP_OF.get(action, -1) for action in ACTIONS)
NAMES = ("search", "view", "reveal", "export", "print", "new_device")
WORDS_EN = (
    "searched",
    "opened",
    "revealed",
    "exported",
    "printed",
    "used a device never seen of this person",
)
WORDS_VI = (
    "tìm kiếm",
    "mở xem",
    "xem dữ liệu ẩn",
    "xuất dữ liệu",
    "in",
    "dùng thiết bị chưa từng thấy ở người này",
)
#: Lessons: a day had the step; a stretch of a day had these stages (as bits).
STEP, STRETCH = "sequence.step", "sequence.stretch"
MOST_DEVICES = 8
MOST_SAMPLES = 5
#: A day's weight after one more day worked.
KEEP = 0.98


class State(msgspec.Struct, array_like=True):
    """What is known of one person's steps.

    Attributes:
        first, last: by step, event time of the first of the present stretch and of the latest; 0 never.
        size: parcels looked at and records taken in the stretch.
        devices: pseudonyms of those used, the latest last.
        today: bits of the steps of today. stretch: bits of the stages of today's fullest stretch. case: whether today
            has a case, and so is nobody's baseline.
        days: finished days, faded. own: by step, on how many of them it was. stretches: likewise by bits of stages.
        samples: latest parcels of the stretch.
    """

    first: list[int] = msgspec.field(default_factory=lambda: [0] * 6)
    last: list[int] = msgspec.field(default_factory=lambda: [0] * 6)
    size: int = 0
    devices: list[int] = []
    today: int = 0
    stretch: int = 0
    case: bool = False
    days: float = 0.0
    own: list[float] = msgspec.field(default_factory=lambda: [0.0] * 6)
    stretches: dict[int, float] = {}
    samples: list[str] = []


@dataclass(frozen=True)
class SequenceOfSteps(Detector[State]):
    """Adds up how rare each step is that follows on the one before within two hours, for the person and his peers.

    The stages are: search; view or reveal; export, print or download; and, anywhere among them, a device never seen
    of this person. What a scan, assignment, ticket, call or any other relation explains is no step. The chance of a
    step is the share of the person's days that have it, drawn towards his peers' share while he has few days. A case
    has three stages in order, taking or a new device among them, and a sum of surprises no ordinary day reaches. Where
    the same stages within two hours are part of the person's or the peers' life, however rare each step is, it is none.

    Finds: a few parcels searched, revealed and taken by somebody whose work that is not, or from a strange device.

    Ignores: explained work, agents who search and open all day, those who export daily, a new device by itself, shared
    terminals, declared service accounts.

    Known gaps: carriers that log one action only; steps spread over days; people and companies without history: two
    steps never seen before suffice from about a hundred person-days on.

    Parameters:
        window: hours from the first step to the last.
        enough: sum of surprises, −log10, that is a case.
        usual: share of days with the same stages above which they are ordinary.
        prior: days that the peers' share weighs as much as.
        own_days: finished days before a device can be new.
        group_days: person-days a group needs.

    >>> from detectors.testing import Watch, at, office, touch, work
    >>> watch = Watch(SequenceOfSteps(), office(SequenceOfSteps()))
    >>> watch.see(*work(range(-14, 0), parcels=4, device=1))
    []
    >>> steps = ("search", "reveal", "print")
    >>> told = watch.see(*(touch(at(0, 10 + n / 9), step, "k1.p") for n, step in enumerate(steps)))
    >>> [alert.activity for alert in told]
    [1]

    References: rarity of events for a user and his peers, Exabeam and Sentinel UEBA; risk from many weak findings,
    Splunk RBA; shrinking of rates, Gamma–Poisson (DuMouchel 1999).
    """

    name: ClassVar[str] = "sequence"
    summary: ClassVar[str] = "Search, reveal, export or print, and a new device: steps that are rare together"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 2 * 3600

    window: int = 2
    enough: float = 4.0
    usual: float = 0.01
    prior: float = 10.0
    own_days: int = 3
    group_days: int = 40

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        step = -1 if touch.explanation or touch.failed else STEPS[touch.action]
        device, devices, new = touch.device, state.devices, False
        if device and (not devices or device != devices[-1]):
            new = self._meet(state, device)
        elif step < 0:
            return 0.0
        if touch.who.service:
            return 0.0
        time, last, span = touch.time, state.last, self.window * HOUR
        if new:
            self._note(state, DEVICE, time, span)
        if step >= 0:
            if (
                not 0 <= time - last[step] <= span
                or time - state.first[step] > span
                or not state.today >> step & 1
            ):
                self._note(state, step, time, span)
            else:
                last[step] = time
            if step != SEARCH:
                state.size += touch.records
        # What follows on the taking adds nothing to its order, but for a new device's case or one that is told.
        if step < EXPORT and time - last[DEVICE] > span and not state.case:
            return 0.0
        return self._look(state, touch, normal)

    def _meet(self, state: State, device: int) -> bool:
        """Put a device last; whether it is new of a person whose devices are known."""
        new = device not in state.devices and bool(state.devices) and state.days > self.own_days - 0.5
        state.devices = [*(known for known in state.devices if known != device), device][-MOST_DEVICES:]
        return new

    @staticmethod
    def _note(state: State, step: int, time: int, span: int) -> None:
        """A step that begins or renews its stretch, or whose time goes back."""
        last = state.last
        state.today |= 1 << step
        if time - last[step] > span and time - max(last) > span:
            state.size, state.samples = 0, []
        if time - state.first[step] > span:
            state.first[step] = time
        if time > last[step]:
            last[step] = time

    def _look(self, state: State, touch: Touch, normal: Normal) -> float:
        met = self._met(state, touch.time)
        if sum(map(bool, met)) < 3:
            return 0.0
        stages = sum(1 << stage for stage, steps in enumerate(met) if steps)
        if stages.bit_count() > state.stretch.bit_count():
            state.stretch = stages
        enough = normal.strictness * self.enough
        if self._surprise(state, met, normal) < enough or self._ordinary(state, stages, normal):
            return 0.0
        if touch.parcel and touch.parcel not in state.samples:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]
        state.case = True
        return float(max(1, state.size))

    def _met(self, state: State, now: int) -> list[list[int]]:
        """By stage, its steps of the window that follow on a step of the stage before."""
        begin, found = now - self.window * HOUR, []
        reached = 0
        for steps in STAGES:
            here = [step for step in steps if state.last[step] >= max(begin, 1)]
            if steps != STAGES[NEW_DEVICE]:
                here = [step for step in here if state.last[step] >= reached]
                reached = min((max(state.first[step], begin) for step in here), default=reached)
            found.append(here)
        return found if found[TAKE] or found[NEW_DEVICE] else []

    def _surprise(self, state: State, met: Sequence[Sequence[int]], normal: Normal) -> float:
        """Sum over the stages of −log10 of the chance that a day has the rarest step met."""
        group = normal.group(self.group_days)
        return sum(-log10(min(self._chance(state, step, group) for step in steps)) for steps in met if steps)

    def _chance(self, state: State, step: int, group: Norm | None) -> float:
        peers, days = (group.share(STEP, step), group.days) if group else (0.5, 0)
        chance = (state.own[step] + self.prior * peers) / (state.days + self.prior)
        return min(1.0, max(chance, 1 / (state.days + days + 2)))

    def _ordinary(self, state: State, stages: int, normal: Normal) -> bool:
        """Whether days with all these stages within the window are part of the person's or the peers' life."""
        group = normal.group(self.group_days)
        fuller = [bits for bits in range(16) if bits & stages == stages]
        # One such day among a few is no life.
        own = sum(state.stretches.get(bits, 0.0) for bits in fuller)
        return (own > 1 and own >= self.usual * state.days) or (
            group is not None and sum(group.share(STRETCH, bits) for bits in fuller) >= self.usual
        )

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        now = touch.time if touch else max(state.last)
        met = self._met(state, now)
        group = normal.group(self.group_days)
        rarest = [min(steps, key=lambda step: self._chance(state, step, group)) for steps in met if steps]
        chances = [self._chance(state, step, group) for step in rarest]
        since = min((max(state.first[step], now - self.window * HOUR) for step in rarest), default=now)
        shares = " · ".join(f"{chance:.1%}" for chance in chances)
        records = state.size
        return Finding(
            severity=HIGH if records >= 200 else MEDIUM if records >= 20 or DEVICE in rarest else LOW,
            # The steps' shares of days multiplied, as if independent; `usual` guards against where they are not.
            score=self._surprise(state, met, normal),
            confidence=1 + (state.days > self.prior) + (group is not None),
            evidence=float(max(1, records)),
            window=self.window * 3600,
            since=since,
            measures={"steps": len(rarest), "records": records, "new_device": DEVICE in rarest},
            baseline={
                f"days_with_{NAMES[step]}": round(chance, 4)
                for step, chance in zip(rarest, chances, strict=True)
            },
            parcels=tuple(state.samples),
            en=(
                f"Within {self.window} hours this person {', then '.join(WORDS_EN[step] for step in rarest)}, with "
                f"{records:,} records in all; of such a person's days {shares} have these steps. "
                "Each is weak, together they look like data being looked up and carried away."
            ),
            vi=(
                f"Trong vòng {self.window} giờ, người này đã {', rồi '.join(WORDS_VI[step] for step in rarest)}, "
                f"tổng cộng {records:,} bản ghi; chỉ {shares} số ngày của người như vậy có các bước này. "
                "Từng bước thì yếu, gộp lại thì giống việc tra cứu rồi mang dữ liệu ra ngoài."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        lessons: list[Lesson] = []
        state.days = state.days * KEEP + 1
        today = 0 if state.case else state.today
        state.own = [count * KEEP + (today >> step & 1) for step, count in enumerate(state.own)]
        state.stretches = {bits: count * KEEP for bits, count in state.stretches.items() if count > 0.1}
        if not state.case:
            lessons = [(STEP, step) for step in range(6) if today >> step & 1]
            if state.stretch:
                state.stretches[state.stretch] = state.stretches.get(state.stretch, 0.0) + 1
                lessons.append((STRETCH, state.stretch))
        state.today = state.stretch = 0
        state.case = False
        return lessons
