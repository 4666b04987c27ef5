"""Honeytoken: somebody touched a parcel that does not exist, which no work ever leads to."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10
from typing import ClassVar

import msgspec

from detectors.base import CHANNEL_CODES, CRITICAL, EXPORTS, HIGH, Detector, Finding, Normal, Person, Touch

MINUTE, HOUR = 60_000, 3_600_000
#: Ghosts and feeds remembered by name; further ones are only counted.
MOST_GHOSTS, MOST_FEEDS = 20, 8
#: Ghosts beyond which a case is no more surprising.
MOST_SURPRISING = 4
#: Channels no machine uses.
BY_HAND = frozenset(CHANNEL_CODES[name] for name in ("ui", "app"))


class Meeting(msgspec.Struct, array_like=True):
    """A touch of a ghost. `again` says whether this person had touched that ghost before."""

    time: int
    parcel: str
    feed: str
    exported: bool
    again: bool


class State(msgspec.Struct, array_like=True):
    """What is known of one person's touches of ghosts.

    Attributes:
        hour, reads, before: of a service account, the latest event-time hour it read in, parcels read in it, and in
            the hour before it.
        waiting: meetings of a service account that may yet prove to read everything, oldest first.
        since, last: event time of the first and the latest touch of the case; 0 when there is none.
        ghosts: different ghosts of the case. exported: whether one of them was exported.
        parcels: the first of them. feeds: names of the partner feeds they were salted into.
    """

    hour: int = 0
    reads: int = 0
    before: int = 0
    waiting: list[Meeting] = []
    since: int = 0
    last: int = 0
    ghosts: int = 0
    exported: bool = False
    parcels: list[str] = []
    feeds: list[str] = []


@dataclass(frozen=True)
class HoneyToken(Detector[State]):
    """Tells of any touch of a honeytoken: a parcel that was never sent, put into one partner's feed and nowhere else.

    No route, scan, ticket or call leads to it, so there is no ordinary reason to open it and nothing to learn first.
    The feeds it was salted into name the partner whose data is being read. A person's touch is told at once, whatever
    explains it; so is a service account's through a user interface, since somebody uses it by hand. A service account
    otherwise has a while to prove a job that reads everything and so meets the ghosts too. That a ghost was touched is
    a fact: strictness does not apply.

    Finds: use of a partner's leaked list, guessed and enumerated ids that hit, whole tables read by a person.

    Ignores: declared service accounts that read in bulk in the two hours around the touch.

    Known gaps: a look-up answered with "not found" and an export that lists no ids name no parcel, so ghosts need an
    invented record in the watched systems; a thief at work through a bulk job's own account and channel.

    Parameters:
        bulk: parcels a service account reads within two hours when it reads everything.
        grace: minutes a service account's touch waits for the rest of its job.
        chance: probability that an honest person-day meets a given ghost.

    >>> from detectors.testing import SEVERITIES, Watch, at, touch
    >>> told = Watch(HoneyToken()).see(touch(at(), parcel="k1.parcel.ghost", ghost="shop-7"))
    >>> SEVERITIES[told[0].finding.severity], told[0].finding.measures["ghosts"]
    ('HIGH', 1.0)

    References: Spitzner, Honeytokens, 2003; a set of its own for each recipient, domain notes.
    """

    name: ClassVar[str] = "honeytoken"
    summary: ClassVar[str] = "Touched a parcel that does not exist, planted to tell who reads what"
    state_type: ClassVar[type[State]] = State
    marked_only: ClassVar[bool] = True
    quiet: ClassVar[int] = 7 * 86_400

    bulk: int = 200
    grace: int = 60
    chance: float = 1e-6

    def step(self, state: State, touch: Touch, normal: Normal) -> float:
        who: Person = touch.who
        if not touch.ghost:
            if who.service and touch.parcel:
                self._count(state, touch.time)
            return 0.0
        meeting = Meeting(
            touch.time, touch.parcel, touch.ghost, touch.action in EXPORTS, touch.seen >= state.since > 0
        )
        if who.service and touch.channel not in BY_HAND:
            self._count(state, touch.time)
            if state.reads + state.before < self.bulk:
                state.waiting = [*state.waiting, meeting][-MOST_GHOSTS:]
            return 0.0
        return self._take(state, meeting)

    @staticmethod
    def _count(state: State, time: int) -> None:
        hour = time // HOUR
        if hour > state.hour:
            state.before = state.reads if hour == state.hour + 1 else 0
            state.hour, state.reads = hour, 0
        state.reads += 1

    def _take(self, state: State, meeting: Meeting) -> float:
        """Add a meeting to the case, or begin a new one after a long quiet."""
        time, parcel, feed = meeting.time, meeting.parcel, meeting.feed
        if not state.since or time - state.last > self.quiet * 1000:
            state.since, state.last, state.ghosts, state.exported = time, time, 0, False
            state.parcels, state.feeds = [], []
        state.last = max(state.last, time)
        state.exported |= meeting.exported
        known = parcel in state.parcels or (len(state.parcels) >= MOST_GHOSTS and meeting.again)
        if not known:
            state.ghosts += 1
            state.parcels = [*state.parcels, parcel][:MOST_GHOSTS]
        if feed not in state.feeds:
            state.feeds = [*state.feeds, feed][:MOST_FEEDS]
        # That they are taken out of the system counts as much as one more.
        return float(state.ghosts + state.exported)

    def wake(self, state: State) -> int:
        return state.waiting[0].time + self.grace * MINUTE if state.waiting else 0

    def ripen(self, state: State, now: int, normal: Normal) -> float:
        end = now - self.grace * MINUTE
        ripe = [meeting for meeting in state.waiting if meeting.time <= end]
        state.waiting = [meeting for meeting in state.waiting if meeting.time > end]
        if state.reads + state.before >= self.bulk:
            return 0.0
        return max((self._take(state, meeting) for meeting in ripe), default=0.0)

    def report(self, state: State, touch: Touch | None, normal: Normal) -> Finding:
        ghosts, feeds = state.ghosts, ", ".join(state.feeds)
        hours = max(1, -(-(state.last - state.since) // HOUR))
        how_en, how_vi = ("Opened and exported", "Đã mở và xuất") if state.exported else ("Opened", "Đã mở")
        return Finding(
            severity=CRITICAL if state.exported or ghosts > 1 else HIGH,
            # No query returns a ghost: an honest person meets one only by a mistyped number, each independently.
            score=-log10(self.chance) * min(ghosts, MOST_SURPRISING),
            confidence=3,
            evidence=float(ghosts + state.exported),
            window=(state.last - state.since) // 1000,
            since=state.since,
            measures={
                "ghosts": ghosts,
                "feeds": len(state.feeds),
                "exported": state.exported,
                "records": ghosts,
            },
            baseline={"ordinary": 0.0},
            parcels=tuple(state.parcels),
            en=(
                f"{how_en} parcels that do not exist, {ghosts:,} of them within {hours:,} h: honeytokens planted in "
                f"the feed of {feeds}, which no work leads to and nobody ordinarily touches. "
                "Whoever reads them holds or gropes for customers' data."
            ),
            vi=(
                f"{how_vi} bưu gửi không có thật, {ghosts:,} bưu gửi trong {hours:,} giờ: mồi bẫy cài vào nguồn "
                f"dữ liệu của {feeds}, không công việc nào dẫn tới và bình thường không ai chạm đến. "
                "Ai đọc chúng là đang nắm hoặc đang dò tìm dữ liệu khách hàng."
            ),
        )
