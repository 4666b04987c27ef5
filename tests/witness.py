"""Detectors for the laws' tests: they decide by everything they are told, in the order they are told it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from detectors.base import Detector, Finding, Late, Lesson, Normal, Touch

HOUR = 3_600_000
POSITION = 4  # fields of a touch that say where it stands; they depend on the number of partitions


class State(msgspec.Struct, array_like=True):
    """A chain of hashes over all that was ever told, and when to be woken."""

    chain: int = 0
    waiting: list[int] = []
    since: int = 0


@dataclass(frozen=True)
class Witness(Detector[State]):
    """Any difference in what a person's detectors were told, or in its order, shows in state and alerts."""

    name: ClassVar[str] = "witness"
    summary: ClassVar[str] = "Saw something"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3600

    one_in: int = 3
    grace: int = 2

    def _mix(self, state: State, normal: Normal | None, *what: Any) -> float:
        known = (normal.peers.days, normal.company.quantile("chain", 0.9)) if normal else None
        told = repr((state.chain, known, what)).encode()
        state.chain = int.from_bytes(blake2b(told, digest_size=6).digest())
        return 1.0 + state.chain % 50 if state.chain % self.one_in == 0 else 0.0

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if touch.parcel and not touch.explanation:
            state.waiting = [*state.waiting, touch.time][-5:]
        state.since = state.since or touch.time
        return self._mix(state, normal, msgspec.structs.astuple(touch)[POSITION:])

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        return Finding(
            severity=2 + state.chain % 4, score=1.0, confidence=1, evidence=1.0, window=3600,
            since=state.since,
            measures={"chain": float(state.chain)}, baseline={"days": float(normal.peers.days)},
            en=f"saw {state.chain}", vi=f"thấy {state.chain}",
        )  # fmt: skip

    def explained(self, state: State, late: Late) -> None:
        state.waiting = [time for time in state.waiting if time != late.time]
        self._mix(state, None, late.time, late.explanation)

    def wake(self, state: State) -> int:
        return state.waiting[0] + self.grace * HOUR if state.waiting else 0

    def ripen(self, state: State, now: int, normal: Normal) -> float:
        state.waiting = [time for time in state.waiting if time + self.grace * HOUR > now]
        return self._mix(state, normal, now)

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        self._mix(state, None, day)
        return [("chain", state.chain % 40), ("day", state.chain % 3)]


@dataclass(frozen=True)
class Patient(Witness):
    """The same with a longer quiet and without waking."""

    name: ClassVar[str] = "patient"
    quiet: ClassVar[int] = 6 * 3600

    one_in: int = 5
    grace: int = 9
