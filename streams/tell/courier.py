"""One receiver's courier: takes what is due from the outbox, tries it, and writes down what became of it."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import SystemRandom
from typing import ParamSpec, TypeVar

import structlog

from streams.sinks import Delivery, Outcome, Sink
from streams.tell.deliveries import Due, Outbox, State
from streams.tell.metrics import TellMetrics

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

#: Attempts one receiver is given at the same time.
CONCURRENCY = 4
#: Seconds: first step and ceiling of the backoff; the ceiling is also the longest Retry-After honoured.
FIRST_STEP, LONGEST_STEP = 5.0, 3600.0
#: Seconds until what another process did to the outbox (resend) is seen.
POLL = 1.0
#: Seconds that attempts under way get to finish when the courier is asked to stop.
GRACE = 3.0

#: Full jitter: a number from 0 to 1.
at_random = SystemRandom().random


class OffLoop:
    """Calls the outbox in a thread of its own, so that a slow disk holds up no socket."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self._thread = ThreadPoolExecutor(1, "outbox")

    async def __call__(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the outbox's method returns, or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: method(*args, **kwargs))

    def close(self) -> None:
        """Finish what was asked for and close the outbox."""
        self._thread.shutdown(wait=True)
        self.outbox.close()


def backoff(attempts: int, jitter: float) -> float:
    """Seconds to wait after the nth attempt: exponential with full jitter.

    Args:
        attempts: how many were made, from 1.
        jitter: 0 to 1, drawn at random, so that what failed together is not tried together again.

    >>> backoff(1, 1.0), backoff(3, 0.5), backoff(99, 1.0)
    (5.0, 10.0, 3600.0)
    """
    return jitter * min(LONGEST_STEP, FIRST_STEP * 2.0 ** min(attempts - 1, 30))


def _newest(items: Sequence[Due], busy: set[str]) -> list[Due]:
    """The newest message of each episode, but none of an episode that is busy: two at once could pass each other."""
    newest: dict[str, Due] = {}
    for item in sorted(items, key=lambda item: item.seq):
        if item.delivery.uid not in busy:
            newest[item.delivery.uid] = item
    return list(newest.values())


class Courier:
    """Delivers to one receiver, for as long as it runs.

    Args:
        sink: the receiver.
        outbox: where deliveries are.
        metrics: what is told of them.
        clock: seconds since 1970.
        jitter: a random number from 0 to 1.
    """

    def __init__(
        self,
        sink: Sink,
        outbox: OffLoop,
        metrics: TellMetrics,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = at_random,
    ) -> None:
        self._sink = sink
        self._name = sink.name
        self._call = outbox
        self._metrics = metrics
        self._clock = clock
        self._jitter = jitter
        # Attempts under way, with what they carry.
        self._flights: dict[asyncio.Task[None], Sequence[Due]] = {}
        self._wake = asyncio.Event()
        self._held_until = 0.0
        self._refreshed_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        # Episodes that are being told again at this moment; those that had a message since the refresh began.
        self._retold: set[str] = set()
        self._moved: set[str] = set()
        self._log = log.bind(receiver=sink.name)

    def wake(self) -> None:
        """Look into the outbox now."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; attempts under way then get a few seconds, what is cut off stays pending.

        Raises:
            sqlite3.Error: when the outbox can no longer be written.
        """
        try:
            while True:
                self._wake.clear()
                self._reap()
                await self._launch()
                self._refresh_when_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._wake.wait()
        finally:
            await self._land()

    def _reap(self) -> None:
        # Only here, before the outbox is asked: a flight that ended between the question and its answer would
        # still be in the answer, and would start again.
        for task in [task for task in self._flights if task.done()]:
            del self._flights[task]
            task.result()

    async def _launch(self) -> None:
        now = self._clock()
        room = CONCURRENCY - len(self._flights)
        if room <= 0 or now < self._held_until:
            return
        flying = [item for items in self._flights.values() for item in items]
        size = self._sink.batch
        if self._sink.newest_only:
            ended = await self._call(self._call.outbox.supersede, self._name, now)
            self._metrics.deliveries.labels(self._name, "superseded").inc(ended)
        due = await self._call(self._call.outbox.due, self._name, now, room * size + len(flying))
        seqs = {item.seq for item in flying}
        waiting = [item for item in due if item.seq not in seqs]
        if self._sink.newest_only:
            waiting = _newest(waiting, {item.delivery.uid for item in flying} | self._retold)
        waiting = waiting[: room * size]
        for begin in range(0, len(waiting), size):
            items = waiting[begin : begin + size]
            if self._refreshing is not None:
                self._moved.update(item.delivery.uid for item in items)
            task = asyncio.create_task(self._attempt(items))
            task.add_done_callback(lambda _: self._wake.set())
            self._flights[task] = items

    def _refresh_when_due(self) -> None:
        period, task, now = self._sink.refresh, self._refreshing, self._clock()
        if task is not None and task.done():
            self._refreshing = None
            task.result()
        asked = max(self._refreshed_at + (period or 0.0), self._held_until)
        if period is not None and self._refreshing is None and now >= asked:
            self._refreshed_at = now
            self._refreshing = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        # What the outbox says is soon outdated: a newer message must not be passed by an older one.
        self._moved = {item.delivery.uid for items in self._flights.values() for item in items}
        episodes = await self._call(self._call.outbox.open_episodes, self._name)
        size = self._sink.batch
        failed: Outcome | None = None
        for begin in range(0, len(episodes), size):
            batch = [one for one in episodes[begin : begin + size] if one.uid not in self._moved]
            self._retold = {one.uid for one in batch}
            outcomes = await self._outcomes(batch) if batch else []
            self._retold = set()
            self.wake()
            for outcome in outcomes:
                delivered = outcome.kind == "delivered"
                self._metrics.refreshes.labels(self._name, "delivered" if delivered else "failed").inc()
                failed = failed if delivered else outcome
        if failed is not None:
            # Nothing to keep: the next round says the same again.
            self._log.warning("open episodes could not be told again", reason=failed.detail)

    async def _land(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        if not self._flights:
            return
        _, late = await asyncio.wait(self._flights, timeout=GRACE)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)

    async def _attempt(self, items: Sequence[Due]) -> None:
        outcomes = await self._outcomes([item.delivery for item in items])
        now = self._clock()
        for item, outcome in zip(items, outcomes, strict=True):
            await self._note(item, outcome, now)

    async def _note(self, item: Due, outcome: Outcome, now: float) -> None:
        attempts = item.attempts + 1
        deadline = item.since + self._sink.give_up_after
        self._metrics.attempts.labels(self._name).inc()
        noted = self._log.bind(alert=item.delivery.id, attempt=attempts, status=outcome.status)
        if outcome.kind == "delivered":
            await self._end(item, "delivered", now, outcome.detail)
            self._metrics.delay.labels(self._name).observe(max(0.0, now - item.delivery.recorded))
            noted.info("alert delivered")
        elif outcome.kind == "retry" and now < deadline:
            asked = min(outcome.after or 0.0, LONGEST_STEP)
            if asked:
                self._held_until = max(self._held_until, now + asked)
            # The last attempt falls on the deadline itself rather than some time before it.
            next_at = min(now + max(asked, backoff(attempts, self._jitter())), deadline)
            await self._settle(item, "pending", now, outcome.detail, next_at)
            noted.warning("attempt failed", reason=outcome.detail, next_in=round(next_at - now, 1))
        else:
            given_up = f"given up after {attempts} attempts: " if outcome.kind == "retry" else ""
            await self._end(item, "undelivered", now, given_up + outcome.detail)
            noted.error(
                "alert undelivered; it is kept",
                reason=given_up + outcome.detail,
                remedy="parcelwatch deliveries resend",
            )
            if outcome.kind == "gone":
                await self._disable(now, outcome.detail)

    async def _outcomes(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        task = asyncio.create_task(self._sink.deliver(deliveries))
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            if len(task.result()) == len(deliveries):
                return task.result()
            error = AssertionError()
        # A sink's own mistake must not take the other receivers down. Its text may hold anything, so only the
        # place is said.
        places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        self._log.error("sink failed", error=type(error).__name__, at=places)
        return [Outcome("retry", f"internal error: {type(error).__name__}")] * len(deliveries)

    async def _settle(self, item: Due, state: State, now: float, answer: str, next_at: float = 0.0) -> None:
        await self._call(self._call.outbox.settle, self._name, item.seq, state, now, answer, next_at)

    async def _end(self, item: Due, state: State, now: float, answer: str) -> None:
        await self._settle(item, state, now, answer)
        self._metrics.deliveries.labels(self._name, state).inc()

    async def _disable(self, now: float, reason: str) -> None:
        kept = await self._call(self._call.outbox.disable, self._name, now, reason)
        self._metrics.deliveries.labels(self._name, "undelivered").inc(kept)
        self._log.error(
            "receiver disabled",
            reason=reason,
            kept=kept,
            remedy=f"parcelwatch deliveries resend --receiver {self._name}",
        )
