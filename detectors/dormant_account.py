"""Dormant account: parcels read with the account of somebody who left, or after weeks of silence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import (
    CRITICAL,
    EXPORTS,
    HIGH,
    LOW,
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
from detectors.habits import second, taken

DAY = 86_400_000
READS, EXPORTED, SILENCE, AGE = "dormant.reads", "dormant.exported", "dormant.silence", "dormant.age"
MEMORY = 14
MOST_SAMPLES = 20
#: Not under watch; under watch, for it came back, was never used before, or is of somebody who left.
USED, BACK, NEVER, LEFT = range(4)


class State(msgspec.Struct, array_like=True):
    """What is known of one account's life.

    Attributes:
        last: event time of the latest touch, ms; 0 before the first. born: local day of the first, from 1970.
        days: finished days. longest: the longest silence so far, days.
        silence: days of silence that ended today; 0 when none did.
        reads, exported: records taken today, and those by exports.
        past: `reads` of finished days, oldest first. exports: `exported` likewise.
        kind: whether it is under watch, and why. watch: worked days until it is not. gap: days of silence before.
        since: event time of the first touch under watch. records, away: what was taken since, and by exports.
        told: whether today had a case.
        samples: latest parcels under watch.
    """

    last: int = 0
    born: int = 0
    days: int = 0
    longest: int = 0
    silence: int = 0
    reads: int = 0
    exported: int = 0
    past: list[int] = []
    exports: list[int] = []
    kind: int = USED
    watch: int = 0
    gap: int = 0
    since: int = 0
    records: int = 0
    away: int = 0
    told: bool = False
    samples: list[str] = []


@dataclass(frozen=True)
class DormantAccount(Detector[State]):
    """Watches accounts that should be silent: those of people who left, and those that were silent for weeks.

    Any access to data by an account the directory calls left is a case at once. An account back after a silence far
    longer than any of its own, and than nearly all its peers', is watched on its first days: more unexplained new
    records than nearly all days of the peers and its own have, or exports beyond theirs, are a case; of low severity
    up to twice that. An account first seen in an old log is watched more generously: most are new colleagues. That
    somebody left, or how long an account was silent, is a fact: strictness applies to what is taken only.

    Finds: leavers whose login still works, forgotten accounts taken over, an account's first act after long silence
    being an export.

    Ignores: who returns from long leave and works as his peers do, seasonal staff, new hires in training, people on
    leave (off_hours), service accounts that the directory does not call left (quarterly jobs).

    Known gaps: taken-over accounts that read no more than the peers; people not yet started, whom the directory does
    not tell; logs younger than the silence.

    Parameters:
        silence: days without a touch that are long. unused: the same for an account since the log began.
        own_days: finished days an account must have lived before its silence means something.
        own_factor: multiple of its longest silence before, and of its second-highest day.
        floor: least records after a silence that are a case. export: the same for exports alone.
        newcomer: multiple of what an account that came back may take, for one never used before.
        group_days, quantile, group_factor: person-days a group needs; share of them to lie below; margin over it.
        rare: share of the peers' days after a silence half as long above which it is ordinary.
        watch: worked days an account is watched.
        many: records of somebody who left that make it a matter of now.

    >>> from detectors.testing import CLERK, Watch, at, touch
    >>> from msgspec.structs import replace
    >>> told = Watch(DormantAccount()).see(touch(at(), parcel="k1.p", who=replace(CLERK, status="left")))
    >>> told[0].finding.severity, told[0].finding.evidence
    (3, 1.0)

    References: MITRE ATT&CK T1078 (valid accounts); dormant-account analytics of Microsoft Sentinel UEBA.
    """

    name: ClassVar[str] = "dormant_account"
    summary: ClassVar[str] = "An account of somebody who left, or long silent, takes parcel data"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 3 * 86_400

    silence: int = 28
    unused: int = 14
    own_days: int = 5
    own_factor: float = 1.5
    floor: int = 10
    export: int = 20
    newcomer: float = 2.0
    group_days: int = 40
    quantile: float = 0.95
    group_factor: float = 1.2
    rare: float = 0.02
    watch: int = 2
    many: int = 50

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        who: Person = touch.who
        if who.status == "left":
            return self._gone(state, touch)
        if who.service:
            return 0.0
        silent = touch.time - state.last
        if silent > 0:
            if silent > DAY:
                self._wake_up(state, touch, normal)
            state.last = touch.time
        if touch.explanation or not (count := taken(touch)):
            return 0.0
        state.reads += count
        if touch.action in EXPORTS:
            state.exported += count
        return self._weigh(state, touch, count, normal) if state.kind else 0.0

    def _gone(self, state: State, touch: Touch) -> float:
        if not (touch.parcel or touch.records):
            return 0.0
        if state.kind != LEFT or touch.time - state.last > self.quiet * 1000:
            self._begin(state, touch, LEFT)
        state.last, state.told = max(state.last, touch.time), True
        self._add(state, touch, touch.records)
        return float(max(state.records, 1))

    def _wake_up(self, state: State, touch: Touch, normal: Normal) -> None:
        """The first touch for a day or more: find out whether the silence before it was a long one."""
        group = normal.group(self.group_days)
        if not state.last:
            age = int(group.quantile(AGE, 1.0)) if group else 0
            if age >= self.unused:
                self._begin(state, touch, NEVER)
                state.gap = age
            return
        days = (touch.time - state.last) // DAY
        state.silence = max(state.silence, days)
        if days < max(self.silence, self.own_factor * state.longest) or state.days < self.own_days:
            return
        # Where peers are often silent half as long, the silence says nothing.
        if group is None or group.tail(SILENCE, max(self.silence, days / 2)) < self.rare:
            self._begin(state, touch, BACK)
            state.gap = days

    def _begin(self, state: State, touch: Touch, kind: int) -> None:
        state.kind, state.watch, state.since = kind, self.watch, touch.time
        state.records, state.away, state.samples = 0, 0, []

    @staticmethod
    def _add(state: State, touch: Touch, count: int) -> None:
        state.records += count
        if touch.action in EXPORTS:
            state.away += count
        if touch.parcel:
            state.samples = [*state.samples, touch.parcel][-MOST_SAMPLES:]

    def _weigh(self, state: State, touch: Touch, count: int, normal: Normal) -> float:
        if state.kind == LEFT:
            state.kind = USED  # hired again
            return 0.0
        self._add(state, touch, count)
        reads, exports = self._limits(state, normal)
        today, away = min(state.reads, state.records), min(state.exported, state.away)
        if not state.told and today <= reads and away <= exports:
            return 0.0
        state.told = True
        return float(state.records)

    def _limits(self, state: State, normal: Normal) -> tuple[float, float]:
        """What may be read, and exported, under watch."""
        group = normal.group(self.group_days)
        new = normal.strictness * (self.newcomer if state.kind == NEVER else 1.0)
        reads, exports = (
            new
            * max(
                floor,
                self.own_factor * second(past),
                self.group_factor * group.quantile(measure, self.quantile) if group else 0.0,
            )
            for floor, past, measure in (
                (self.floor, state.past, READS), (self.export - 1, state.exports, EXPORTED),
            )
        )  # fmt: skip
        return reads, exports

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        group: Norm = normal.group(self.group_days) or normal.company
        reads, exports = self._limits(state, normal)
        records, away = state.records, state.away
        if state.kind == LEFT:
            large, least = records >= self.many or away >= self.export, MEDIUM
            # No day of the peers is one of somebody who left: by the rule of succession, one in days + 2.
            score = log10(group.days + 2) + log10(1 + records)
            about_en = "The account of somebody who left, as the directory says,"
            about_vi = "Tài khoản của người đã nghỉ việc theo danh bạ"
        else:
            large = records >= 200
            least = MEDIUM if records >= 2 * reads or away > exports else LOW
            # The tail of silences before a day of the peers, times that of what such days take.
            silent = group.tail(SILENCE, state.gap) if group.days else 1 / (state.days + 2)
            read = group.tail(READS, records) if group.days else min(1.0, reads / max(records, 1))
            score = -log10(silent * read)
            about_en, about_vi = (
                (
                    f"An account that was silent for {state.gap} days",
                    f"Tài khoản im lặng suốt {state.gap} ngày",
                )
                if state.kind == BACK
                else ("An account never used before", "Tài khoản chưa từng được dùng")
            )
        peers = group.quantile(READS, self.quantile)
        return Finding(
            severity=CRITICAL if records >= 5_000 else HIGH if large else least,
            score=min(score, 49.0),
            confidence=3
            if state.kind == LEFT
            else 1 + (state.days >= self.own_days) + (group.days >= self.group_days),
            evidence=float(max(records, 1)),
            window=max(0, (state.last - state.since) // 1000),
            since=state.since,
            measures={"records": records, "exported": away, "silence": state.gap},
            baseline={
                "peers_high": round(peers, 1),
                "own_high": second(state.past),
                "longest_silence": state.longest,
            },
            parcels=tuple(state.samples),
            en=(
                f"{about_en} took {records:,} records, {away:,} of them by export; on busy days peers take "
                f"{peers:,.0f} beyond explained work and this account took {second(state.past):,}. Nobody misses what "
                "leaves by an account nobody watches."
            ),
            vi=(
                f"{about_vi} đã lấy {records:,} bản ghi, trong đó {away:,} qua xuất dữ liệu; ngày bận đồng nghiệp lấy "
                f"{peers:,.0f} ngoài công việc có lý do, tài khoản này {second(state.past):,}. Dữ liệu lấy qua "
                "tài khoản không ai để ý sẽ không ai biết."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        state.days, state.born = state.days + 1, state.born or day
        lessons: list[Lesson] = [(SILENCE, log_bin(state.silence)), (AGE, log_bin(day - state.born))]
        state.longest = max(state.longest, state.silence)
        if not state.told:
            # A leak must become nobody's baseline.
            state.past = [*state.past, state.reads][-MEMORY:]
            state.exports = [*state.exports, state.exported][-MEMORY:]
            lessons += [(READS, log_bin(state.reads)), (EXPORTED, log_bin(state.exported))]
        state.reads, state.exported, state.silence, state.told = 0, 0, 0, False
        if state.kind != LEFT and state.watch:
            state.watch -= 1
            if not state.watch:
                state.kind, state.records, state.away, state.samples = USED, 0, 0, []
        return lessons
