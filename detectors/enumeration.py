"""Enumeration: parcel numbers tried one after the other, many of which do not exist."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from typing import ClassVar

import msgspec

from detectors.base import (
    ACTION_CODES,
    CRITICAL,
    EVENT_ROWS,
    HIGH,
    MEDIUM,
    Detector,
    Finding,
    Lesson,
    Normal,
    Person,
    Touch,
    log_bin,
)

HOUR = 3_600_000
#: Scans follow the belt and logins name no parcel.
OTHER_WORK = frozenset(ACTION_CODES[name] for name in ("scan", "login"))
#: Serial numbers are known modulo this.
CIRCLE = 1024
#: The signs of enumeration: next to the number before, nothing found, the same pause as before.
ORDER, MISS, RHYTHM = range(3)
MEASURES = ("enumeration.order", "enumeration.miss", "enumeration.rhythm")
MOST_SAMPLES = 5
#: Looks a day needs so that its shares teach anything.
LEAST_LOOKS = 20
#: A day's weight after one more day worked.
KEEP = 0.95


class State(msgspec.Struct, array_like=True):
    """What is known of one person's ways through the numbers. Signs are ordered as in MEASURES.

    Attributes:
        serial, time, pause: of the latest look: its number (-1 none yet), event time, and ms since the one before.
        sums: by sign, the evidence of the present run, natural logarithms of likelihood ratios.
        looks, misses, near: of the run. since: event time of its first look.
        weights: by sign, the log-likelihood ratios of its presence and absence, as worked out at the first look of
            today; empty before.
        today: looks today and, of them, those with each sign. own: the same of finished days, faded.
        days: finished days. case: whether today has a case, and so is nobody's baseline.
        samples: latest parcels of the run.
    """

    serial: int = -1
    time: int = 0
    pause: int = 0
    sums: list[float] = msgspec.field(default_factory=lambda: [0.0] * 3)
    looks: int = 0
    misses: int = 0
    near: int = 0
    since: int = 0
    weights: list[float] = []
    today: list[int] = msgspec.field(default_factory=lambda: [0] * 4)
    own: list[float] = msgspec.field(default_factory=lambda: [0.0] * 4)
    days: int = 0
    case: bool = False
    samples: list[str] = []


@dataclass(frozen=True)
class Enumeration(Detector[State]):
    """Watches every look at a parcel new to the person for three signs, each against how often it is ordinary.

    The signs: the number stands next to the one before; nothing was found; the pause is the same as the one before.
    For each a cumulative sum of log-likelihood ratios weighs a share as of a leak against the ordinary share: the
    person's own with a margin, what nearly all days of the peers stay within, or a floor, whichever is highest. The
    sums together are the evidence; rhythm alone never suffices. Looks are single accesses: rows of one result page
    follow each other by nature. So does what a person registers first, which counts once his routine is known.

    Finds: numbers counted up or down, with gaps; numbers guessed, by their misses.

    Ignores: scans at a belt, explained work, batches of labels by those who make them daily, typing errors, failed
    logins, declared service accounts.

    Known gaps: guesses that nearly all hit; ids that end in no number, unless they miss; numbers read one an hour.

    Parameters:
        enough: evidence that is a case: e to this power is how many ordinary looks it takes to see one by chance.
        least: looks a run needs.
        reach: how far apart two numbers are that still follow each other.
        leak: by sign, its share of the looks of a leak. floors: by sign, the least its ordinary share is taken for.
        cold: the same while neither person nor peers are known.
        margin: multiple of the own share that is still ordinary.
        evenness: share by which two pauses may differ and be the same.
        gap: hours without a look that end a run.
        own_days: finished days that make a person known. group_days, quantile: person-days a group needs, and the
            share of them that sets its ordinary share.

    >>> from detectors.testing import Watch, at, touch
    >>> watch = Watch(Enumeration())
    >>> rows = [touch(at() + 9_000 * n, "search", failed=n % 2 == 0, serial=n, parcel="" if n % 2 == 0 else f"k1.p{n}",
    ...               others=(7,)) for n in range(100)]
    >>> next(n for n, row in enumerate(rows) if watch.see(row))
    24

    References: Page, Continuous inspection schemes, Biometrika 1954; Wald, Sequential analysis, 1947.
    """

    name: ClassVar[str] = "enumeration"
    summary: ClassVar[str] = "Tries parcel numbers one after the other, or many that do not exist"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 2 * 3600
    hints: ClassVar[tuple[str, ...]] = MEASURES[:2]

    enough: float = 16.0
    least: int = 25
    reach: int = 8
    leak: tuple[float, ...] = (0.7, 0.35, 0.8)
    floors: tuple[float, ...] = (0.05, 0.04, 0.3)
    cold: tuple[float, ...] = (0.2, 0.1, 0.5)
    margin: float = 1.5
    evenness: float = 0.05
    gap: int = 1
    own_days: int = 5
    group_days: int = 40
    quantile: float = 0.98

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if touch.seen or touch.explanation or touch.idx % EVENT_ROWS or touch.action in OTHER_WORK:
            return 0.0
        failed = touch.failed
        if not failed and not touch.parcel:
            return 0.0
        who: Person = touch.who
        if who.service:
            return 0.0
        time, serial, latest, before = touch.time, touch.serial, state.time, state.pause
        pause = time - latest
        if pause > self.gap * HOUR:
            state.sums, state.looks = [0.0] * 3, 0
        near, even = False, 0 < before < HOUR and abs(pause - before) <= self.evenness * before
        if pause > 0:
            state.time, state.pause = time, pause
        elif before:
            state.pause = 0
        if serial >= 0:
            if state.serial >= 0:
                apart = (serial - state.serial) % CIRCLE
                near = 0 < apart <= self.reach or apart >= CIRCLE - self.reach
            state.serial = serial
        today, sums, weights = state.today, state.sums, state.weights or self._weigh(state, normal)
        today[0] += 1
        if near:
            today[1] += 1
        if failed:
            today[2] += 1
        elif not touch.others and state.days < self.own_days:
            today[3] += even
            return 0.0
        if even:
            today[3] += 1
        order, miss, rhythm = sums
        order += weights[0 if near else 1]
        miss += weights[2 if failed else 3]
        rhythm += weights[4 if even else 5]
        # Bounded above, so that a run that is over is forgotten within as many looks as it took.
        enough = normal.strictness * self.enough
        most = 2 * enough
        sums[ORDER] = order = 0.0 if order < 0 else order if order < most else most
        sums[MISS] = miss = 0.0 if miss < 0 else miss if miss < most else most
        sums[RHYTHM] = rhythm = 0.0 if rhythm < 0 else rhythm if rhythm < most else most
        if not order and not miss:
            state.looks = 0
            return 0.0
        if not state.looks:
            state.since, state.misses, state.near, state.samples = time, 0, 0, []
        looks = state.looks = state.looks + 1
        if near:
            state.near += 1
        if failed:
            state.misses += 1
        evidence = order + miss + min(rhythm, enough / 2)
        if 2 * evidence > enough and touch.parcel:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]
        if evidence < enough or looks < normal.strictness * self.least or not (near or failed):
            return 0.0
        state.case = True
        return float(looks)

    def _weigh(self, state: State, normal: Normal) -> list[float]:
        weights = []
        for usual, leak in zip(self._ordinary(state, normal), self.leak, strict=True):
            known = usual < leak
            weights += [log(leak / usual), log((1 - leak) / (1 - usual))] if known else [0.0, 0.0]
        state.weights = weights
        return weights

    def _ordinary(self, state: State, normal: Normal) -> list[float]:
        """By sign, the share of looks that is ordinary for this person."""
        group = normal.group(self.group_days)
        looks, known = state.own[0], state.days >= self.own_days
        rates = []
        for sign, measure in enumerate(MEASURES):
            rate = self.floors[sign] if known or group else self.cold[sign]
            if looks >= LEAST_LOOKS:
                rate = max(rate, self.margin * state.own[sign + 1] / looks)
            if group:
                rate = max(rate, group.quantile(measure, self.quantile) / 100)
            rates.append(float(min(rate, 1.0)))
        return rates

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        looks, misses, near = state.looks, state.misses, state.near
        order, miss, rhythm = state.sums
        evidence = order + miss + min(rhythm, normal.strictness * self.enough / 2)
        usual = self._ordinary(state, normal)
        group = normal.group(self.group_days)
        minutes = max(1, (state.time - state.since) // 60_000)
        return Finding(
            severity=CRITICAL if looks >= 5_000 else HIGH if looks >= 200 else MEDIUM,
            # Wald: under the ordinary shares a likelihood ratio reaches e**x with at most the probability e**-x.
            score=evidence / log(10),
            confidence=1 + (state.days >= self.own_days) + (group is not None),
            evidence=float(looks),
            window=max(0, state.time - state.since) // 1000,
            since=state.since,
            measures={"looks": looks, "misses": misses, "in_order": near, "records": looks - misses},
            baseline={
                name.partition(".")[2]: round(share, 3) for name, share in zip(MEASURES, usual, strict=True)
            },
            parcels=tuple(state.samples),
            en=(
                f"Tried {looks:,} parcel numbers within {minutes:,} minutes, {near / looks:.0%} of them next to "
                f"the one before and {misses / looks:.0%} not found; for this person and peers at most "
                f"{usual[ORDER]:.0%} and {usual[MISS]:.0%} are ordinary. "
                "Somebody, or a script, may be going through the numbers."
            ),
            vi=(
                f"Đã thử {looks:,} số bưu gửi trong {minutes:,} phút, {near / looks:.0%} liền kề số trước và "
                f"{misses / looks:.0%} không tìm thấy; với người này và đồng nghiệp, mức bình thường nhiều nhất "
                f"là {usual[ORDER]:.0%} và {usual[MISS]:.0%}. "
                "Có thể có người hoặc phần mềm đang dò lần lượt các số."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        looks = state.today[0]
        state.days += 1
        lessons: list[Lesson] = []
        if looks and not state.case:
            state.own = [KEEP * old + new for old, new in zip(state.own, state.today, strict=True)]
            if looks >= LEAST_LOOKS:
                # Who goes through numbers all day by duty has a baseline of his own and is no measure for others.
                lessons = [
                    (measure, log_bin(100 * count / looks))
                    for measure, count, leak in zip(MEASURES, state.today[1:], self.leak, strict=True)
                    if count < leak * looks
                ]
        state.today, state.weights, state.case = [0] * 4, [], False
        return lessons
