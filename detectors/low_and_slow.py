"""Low and slow: a little more than usual, day after day, until hundreds of parcels are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log10, sqrt
from operator import mul
from typing import ClassVar, NamedTuple

import msgspec

from detectors.base import (
    ACTION_CODES,
    HIGH,
    LOW,
    MEDIUM,
    Detector,
    Finding,
    Late,
    Lesson,
    Normal,
    Touch,
    log_bin,
)  # fmt: skip

SCAN = ACTION_CODES["scan"]
#: What is counted: parcels new to the person that lack a relation or had long lain untouched, and all new ones.
ODD, NEW = range(2)
#: The same in words, odd parcels first with and then without context.
WHICH = (
    ("parcels that no relation explains", "bưu gửi không có quan hệ công việc nào giải thích"),
    ("parcels that had long lain untouched", "bưu gửi đã lâu không ai đụng tới"),
    ("new parcels", "bưu gửi mới"),
)
#: Worked days a window has.
WINDOWS = (5, 10, 20)
MEASURES = tuple(f"slow.{what}.{days}d" for what in ("odd", "new") for days in WINDOWS)
#: Finished days that are remembered: the longest window and twenty days to hold it against.
MEMORY = 40
#: More parcels than a day can have.
NEVER = 1 << 30
MOST_OPEN = 32
MOST_SAMPLES = 5
#: Standardised excess is taught in quarters: bins of a count are coarse near one.
QUARTERS = 4


class State(msgspec.Struct, array_like=True):
    """What is known of one person's levels.

    Attributes:
        days: by what is counted, parcels of the latest finished days, oldest first.
        told: for each of those days whether it was part of a case: such days are nobody's baseline.
        begins: event time (s) of the first odd parcel of each of the latest days of the longest window, today last;
            0 for none.
        today: by what is counted, parcels of the present day. case: whether it is part of a case.
        late: whether reasons for today's touches may still come.
        look: by what is counted, how many parcels today must have before the limits are worth another look; should
            strictness change, the next day brings one, soon enough for windows of days.
        open: marks of today's latest counted touches, which a late reason takes back. samples: latest odd parcels.
    """

    days: list[list[int]] = msgspec.field(default_factory=lambda: [[], []])
    told: list[bool] = []
    begins: list[int] = msgspec.field(default_factory=lambda: [0])
    today: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    case: bool = False
    late: bool = False
    look: list[int] = msgspec.field(default_factory=lambda: [1, 1])
    open: list[int] = []
    samples: list[str] = []


class Excess(NamedTuple):
    """How far a window stands above the person's own level.

    Attributes:
        measure: index into MEASURES.
        found: parcels in the window, heavy days cut. expected: at the own level.
        spread: standard deviation of such a sum.
        limit: standard deviations from which it is a case. needed: parcels from which it is one.
        cut: whether heavy days were cut; not, where even all parcels make no case.
    """

    measure: int
    found: float
    expected: float
    spread: float
    limit: float
    needed: float
    cut: bool = True

    @property
    def z(self) -> float:
        """Standard deviations above the own level."""
        return (self.found - self.expected) / self.spread


def _cut(days: Sequence[int]) -> list[int]:
    """Days with the heavy ones cut to twice the median: a leak that is slow is steady, a heavy day is not."""
    most = 2 * sorted(days)[len(days) // 2]
    return [min(day, most) for day in days]


def _mark(touch: tuple[int, int, int]) -> int:
    source, offset, index = touch
    return ((offset << 12) ^ (source << 8) ^ index) & 0xFFFF_FFFF


@dataclass(frozen=True)
class LowAndSlow(Detector[State]):
    """Adds up, over 5, 10 and 20 worked days, how far a person stands above his own level, and asks how far peers do.

    Two counts a day: parcels new to the person which nothing explains, where the carrier sends context, or which had
    lain untouched for long, where it does not; and all parcels new to the person without an explanation. A window's
    count, heavy days cut to twice its median, is held against the person's days before the window: the excess in
    standard deviations of such a sum. It is a case when it exceeds a fixed excess, a least number of parcels and, by a
    margin, what all but a few person-days of the peers stood above their own levels lately: who grows with his peers
    stays silent. Days of a case are nobody's baseline. With context a day counts when it is over: reasons come late.

    Finds: 15 to 40 parcels a day beyond the usual, for weeks, most often within the first five to seven days.

    Ignores: peak season, single heavy days, covering for a colleague with assignments, scans, declared services.

    Known gaps: people without ten finished days (five before a window of five); a surplus from the first day on; less
    than about eight parcels a day; who reads ever more over months.

    Parameters:
        least: by window, parcels above the own level below which nothing is a case.
        excess: standard deviations below which nothing is a case.
        own_days: finished days before the window that a person needs.
        dormant: hours untouched from which a parcel is odd where no context is sent.
        group_days, quantile, group_factor: person-days a group needs, the share of them that must lie below, and the
            margin over that.

    >>> from detectors.testing import Watch, work
    >>> watch = Watch(LowAndSlow())
    >>> watch.see(*work(range(-20, 0), parcels=2, context=True))
    []
    >>> [alert.activity for alert in watch.see(*work(range(5), parcels=25, context=True))][:1]
    [1]

    References: Page, Continuous inspection schemes, Biometrika 1954 (CUSUM); cumulative exfiltration against peers
    in Purview; first touches of others' records, domain notes.
    """

    name: ClassVar[str] = "low_and_slow"
    summary: ClassVar[str] = "Opens more new parcels than usual, day after day, and peers do not"
    state_type: ClassVar[type[State]] = State
    quiet: ClassVar[int] = 4 * 86_400
    hints: ClassVar[tuple[str, ...]] = MEASURES

    least: tuple[int, ...] = (40, 60, 90)
    excess: float = 7.0
    own_days: int = 5
    dormant: int = 168
    group_days: int = 40
    quantile: float = 0.99
    group_factor: float = 1.5

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        if touch.seen or touch.explanation or not touch.parcel or touch.action == SCAN or touch.who.service:
            return 0.0
        today, look = state.today, state.look
        new = today[NEW] = today[NEW] + 1
        if touch.context:
            state.late = True
            state.open.append(_mark((touch.src, touch.off, touch.idx)))
            del state.open[:-MOST_OPEN]
        if touch.context or (touch.idle >= self.dormant * 3600 and touch.others):
            today[ODD] += 1
            if not state.begins[-1]:
                state.begins[-1] = touch.time // 1000
            state.samples.append(touch.parcel)
            del state.samples[:-MOST_SAMPLES]
        if new < look[NEW] and today[ODD] < look[ODD]:
            return 0.0
        excesses = self._excesses(state, normal)
        worst = self._worst(excesses)
        if worst is None:
            # Today counts when it is over, where reasons may be late.
            state.look = [NEVER, NEVER] if state.late else self._next_look(state, excesses)
            return 0.0
        state.case = True
        return worst.found - worst.expected

    @staticmethod
    def _next_look(state: State, excesses: Sequence[Excess]) -> list[int]:
        """By what is counted, how many parcels today must have before a window can have become a case."""
        look = [NEVER, NEVER]
        cut = any(excess.cut for excess in excesses)
        for excess in excesses:
            what, short = excess.measure // len(WINDOWS), excess.needed - excess.found
            # A parcel more can raise the median too, and by it what is left of heavy days: half the way is safe enough.
            ahead = state.today[what] + (1 + int(short) // 2 if cut else max(1, ceil(short)))
            look[what] = min(look[what], ahead)
        return look

    @staticmethod
    def _worst(excesses: Sequence[Excess]) -> Excess | None:
        """The window that exceeds its limit the most, if one does."""
        cases = (excess for excess in excesses if excess.found >= excess.needed)
        return max(cases, key=lambda excess: excess.z / excess.limit, default=None)

    def _excesses(self, state: State, normal: Normal | None) -> list[Excess]:
        """The windows that have enough days before them; without a `normal`, those of finished days alone."""
        found: list[Excess] = []
        live = normal is not None and not state.late
        if len(state.told) + live < WINDOWS[0] + self.own_days:
            return found
        group = normal.group(self.group_days) if normal else None
        strictness, any_told = normal.strictness if normal else 1.0, True in state.told
        for measure, name in enumerate(MEASURES):
            what, index = divmod(measure, len(WINDOWS))
            length, days = WINDOWS[index], state.days[what]
            before = len(days) + live - length
            if before < self.own_days:
                continue
            own, latest = days[:before], days[before:]
            if any_told:
                own = [count for count, told in zip(own, state.told, strict=False) if not told]
            size = len(own)
            if size < self.own_days:
                continue
            if live:
                latest.append(state.today[what])
            total = sum(own)
            level = total / size
            expected = level * length
            raw, least = sum(latest), strictness * self.least[index]
            if raw <= expected or (live and raw < expected + least):
                # Most days end here: no spread can make it a case.
                needed = max(expected + least, raw + 1.0)
                found.append(Excess(measure, float(raw), expected, 1.0, self.excess, needed, cut=False))
                continue
            # Counts spread at least like Poisson's, and the level itself is only known from so many days.
            variance = max(0.0, sum(map(mul, own, own)) - level * total) / (size - 1) + level + 4
            spread = sqrt(variance * length * (1 + length / size))
            peers = group.quantile(name, self.quantile) if group is not None else 0.0
            limit = strictness * max(self.excess, self.group_factor * peers / QUARTERS)
            needed = expected + max(least, limit * spread)
            found.append(Excess(measure, float(sum(_cut(latest))), expected, spread, limit, needed))
        return found

    def explained(self, state: State, late: Late) -> None:
        mark = _mark(late.touch)
        if mark in state.open:
            state.open = [other for other in state.open if other != mark]
            state.today = [max(0, count - 1) for count in state.today]

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        worst = self._worst(self._excesses(state, normal))
        if worst is None:  # a late reason has taken away what made it a case
            worst = Excess(0, float(state.today[ODD]), 0.0, 1.0, 1.0, 0.0)
        what, index = divmod(worst.measure, len(WINDOWS))
        days, extra = WINDOWS[index], worst.found - worst.expected
        group = normal.group(self.group_days)
        tail = group.tail(MEASURES[worst.measure], QUARTERS * worst.z) if group else 1.0
        peers = group.quantile(MEASURES[worst.measure], self.quantile) / QUARTERS if group else 0.0
        begins = [begin for begin in state.begins[-days - 1 :] if begin]
        which_en, which_vi = WHICH[2 if what == NEW else int(touch is not None and not touch.context)]
        peers_en = f"peers stay within {peers:.1f}" if group else "peers have no history yet"
        peers_vi = f"đồng nghiệp không quá {peers:.1f}" if group else "đồng nghiệp chưa có lịch sử"
        return Finding(
            severity=HIGH if extra >= 400 else MEDIUM if extra >= 80 else LOW,
            # The tail of the peers' own excesses; without peers, Chebyshev's inequality, which holds for any spread.
            score=-log10(tail) if group else log10(1 + worst.z**2),
            confidence=2 + (group is not None),
            evidence=extra,
            window=days * 86_400,
            since=begins[0] * 1000 if begins else touch.time if touch else 0,
            measures={"parcels": worst.found, "extra": round(extra, 1), "deviations": round(worst.z, 2)},
            baseline={
                "expected": round(worst.expected, 1),
                "peers_deviations": round(peers, 2),
                "peer_days": group.days if group else 0,
            },
            parcels=tuple(state.samples),
            en=(
                f"Opened {worst.found:,.0f} {which_en} within {days} worked days where {worst.expected:,.0f} were "
                f"to be expected of this person, {worst.z:.1f} standard deviations more; {peers_en}. "
                "Small daily surpluses add up to a customer list."
            ),
            vi=(
                f"Đã mở {worst.found:,.0f} {which_vi} trong {days} ngày làm việc, trong khi mức bình thường của "
                f"người này là {worst.expected:,.0f}, cao hơn {worst.z:.1f} độ lệch chuẩn; {peers_vi}. "
                "Phần dư nhỏ mỗi ngày cộng lại thành cả danh sách khách hàng."
            ),
        )

    def close_day(self, state: State, day: int) -> Iterable[Lesson]:
        state.days = [[*days, count][-MEMORY:] for days, count in zip(state.days, state.today, strict=True)]
        state.told = [*state.told, state.case][-MEMORY:]
        state.begins = [*state.begins, 0][-WINDOWS[-1] - 1 :]
        excesses = [] if state.case else self._excesses(state, None)
        lessons = [(MEASURES[excess.measure], log_bin(QUARTERS * excess.z)) for excess in excesses]
        state.today, state.look, state.open = [0, 0], [1, 1], []
        state.case = state.late = False
        return lessons
