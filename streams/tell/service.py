"""tell: every alert to every receiver, each at its own pace.

The alerts topic goes into the outbox, and only then is Kafka told that it was read; from the outbox one
courier a receiver delivers. So a crash at any point repeats at most an attempt, under the same id.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, UnknownTopicOrPartitionError
from prometheus_client import CollectorRegistry

from streams.flow.connection import login_problem
from streams.flow.ocsf import EVENT_TYPES, SUPPRESSED
from streams.flow.topics import ALERTS
from streams.settings import Settings
from streams.sinks import Delivery, Sink
from streams.sinks.base import SEVERITIES
from streams.tell.courier import GRACE, Courier, OffLoop, at_random
from streams.tell.deliveries import Outbox
from streams.tell.metrics import TellMetrics

log = structlog.get_logger(__name__)

#: Seconds between tries to reach the broker, between questions whether it is still there.
RECONNECT, PROBE = 5.0, 5.0
#: Seconds between refreshes of the gauges, between prunings of the outbox.
REFRESH, PRUNE_EVERY = 2.0, 3600.0
#: Seconds without a turn of the reading loop after which a supervisor should restart the process.
STUCK_AFTER = 120.0
#: Standard Webhooks signs `id.timestamp.body`: an id with a dot could be taken for something else.
MESSAGE_ID = re.compile(r"[A-Za-z0-9_:-]{1,200}")


class UnreadableAlertError(ValueError):
    """A record of the alerts topic that is no alert; the text says what is wrong, without its contents."""


class _FindingHead(msgspec.Struct):
    uid: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _AlertHead(msgspec.Struct):
    # As a range, not a Literal: a Literal's error repeats the value.
    activity_id: Annotated[int, msgspec.Meta(ge=1, le=3)]
    time: Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]
    finding_info: _FindingHead


class _UrgencyHead(msgspec.Struct):
    status_id: Any = None
    severity_id: Any = None


_alert_head = msgspec.json.Decoder(_AlertHead)
_urgency_head = msgspec.json.Decoder(_UrgencyHead)


def read_alert(record: ConsumerRecord) -> Delivery:
    """The message that a record of the alerts topic stands for.

    Raises:
        UnreadableAlertError: when it is no OCSF alert with a `ce_id` header.
    """
    id_ = dict(record.headers).get("ce_id", b"").decode(errors="replace")
    if not MESSAGE_ID.fullmatch(id_):
        raise UnreadableAlertError("header ce_id is absent or not 1 to 200 of A-Z a-z 0-9 _ : -")
    try:
        body: bytes = record.value or b""
        body.decode()  # the head's decoder does not look into the strings it skips
        head = _alert_head.decode(body)
    except UnicodeDecodeError as exc:
        raise UnreadableAlertError(f"value is not UTF-8 at byte {exc.start}") from None
    except RecursionError:
        raise UnreadableAlertError("value is no OCSF alert: nested too deep") from None
    except msgspec.DecodeError as exc:  # says the path and the types, never a value
        raise UnreadableAlertError(f"value is no OCSF alert: {exc}") from None
    return Delivery(
        id=id_,
        uid=head.finding_info.uid,
        type=EVENT_TYPES[head.activity_id],
        occurred=head.time,
        recorded=record.timestamp / 1000,
        body=body,
    )


def is_suppressed(message: Delivery) -> bool:
    """Whether a suppression was in force when the alert was made: it is for nobody but the topic."""
    return bool(_urgency_head.decode(message.body).status_id == SUPPRESSED[0])


def severity(message: Delivery) -> int:
    """OCSF severity_id of the alert; the highest when it says none, so that it is kept from nobody."""
    said = _urgency_head.decode(message.body).severity_id
    return (
        said if isinstance(said, int) and 0 < said <= max(SEVERITIES.values()) else max(SEVERITIES.values())
    )


class Tell:
    """The whole of tell: from the alerts topic into the outbox, from the outbox to the receivers.

    Args:
        settings: where the broker is, and the group's name.
        sinks: the receivers by name.
        outbox: where deliveries are kept; closed when `run` ends.
        registry: where metrics go.
        clock, jitter: as in `Courier`.
    """

    def __init__(
        self,
        settings: Settings,
        sinks: Mapping[str, Sink],
        outbox: Outbox,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = at_random,
    ) -> None:
        self._settings = settings
        self._call = OffLoop(outbox)
        self._receivers = tuple(sinks)
        self._least = {name: sink.minimum_severity for name, sink in sinks.items()}
        self._clock = clock
        self.metrics = TellMetrics(registry, self._receivers)
        self._couriers = [
            Courier(sink, self._call, self.metrics, clock=clock, jitter=jitter) for sink in sinks.values()
        ]
        self._broker = "not connected yet"
        self._polled = time.monotonic()

    def ready(self) -> tuple[bool, str]:
        """Whether alerts are being read from the broker."""
        count = len(self._receivers)
        return not self._broker, self._broker or f"reading alerts for {count} receiver{'s' * (count != 1)}"

    def healthy(self) -> tuple[bool, str]:
        """Whether the loops still turn; a broker that is away is no reason to restart."""
        silent = time.monotonic() - self._polled
        return silent < STUCK_AFTER, f"last turn {silent:.0f} s ago"

    def wake(self) -> None:
        """Let every courier look into the outbox now."""
        for courier in self._couriers:
            courier.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Read and deliver until `stop` is set; then end within seconds, what is undone still in the outbox.

        Raises:
            sqlite3.Error: when the outbox can no longer be written.
        """
        tasks = {asyncio.create_task(courier.run()) for courier in self._couriers}
        tasks |= {asyncio.create_task(self._read()), asyncio.create_task(self._keep_house())}
        asked = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({*tasks, asked}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            asked.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(asked, *tasks, return_exceptions=True)
            self._call.close()

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Take records of the alerts topic into the outbox; when this returns they are on disk."""
        messages = []
        for record in records:
            try:
                messages.append(read_alert(record))
            except UnreadableAlertError as exc:
                self.metrics.unreadable.inc()
                log.error(
                    "unreadable alert left out; mend its producer, it stays in the topic at this offset",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    reason=str(exc),
                )
        admit, now = self._call.outbox.admit, self._clock()
        silent = [message for message in messages if is_suppressed(message)]
        told = [message for message in messages if not is_suppressed(message)]
        # For no receiver: its id is remembered all the same, so that it counts once.
        new = suppressed = await self._call(admit, silent, (), now)
        for meant, group in itertools.groupby(told, self._meant_for):
            others = [name for name in self._receivers if name not in meant]
            new += await self._call(admit, list(group), meant, now, others)
        self.metrics.alerts.inc(new)
        self.metrics.suppressed.inc(suppressed)
        self.metrics.duplicates.inc(len(messages) - new)
        self.wake()

    def _meant_for(self, message: Delivery) -> tuple[str, ...]:
        found = severity(message)
        return tuple(name for name, least in self._least.items() if found >= least)

    async def _read(self) -> None:
        while True:
            try:
                await self._read_while_connected()
            except KafkaError as exc:
                self._broker = f"cannot read {ALERTS} from the broker: {type(exc).__name__}"
                problem = await login_problem(self._settings)
                log.warning(
                    "cannot read alerts; what is in the outbox is still delivered",
                    broker=self._settings.broker,
                    error=type(exc).__name__,
                    again_in=RECONNECT,
                    remedy=problem
                    or "see that the broker runs, PARCELWATCH_BROKER names it and the topic exists "
                    "(parcelwatch topics create)",
                )
            self._polled = time.monotonic()
            await asyncio.sleep(RECONNECT)

    async def _read_while_connected(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._settings.kafka_client,
            client_id=f"{self._settings.app_id}-tell",
            group_id=f"{self._settings.app_id}-tell",
            enable_auto_commit=False,
            # The first start tells what was found before it; an id taken before is not told again.
            auto_offset_reset="earliest",
            session_timeout_ms=int(self._settings.session_timeout * 1000),
            heartbeat_interval_ms=int(self._settings.session_timeout * 300),
        )
        try:
            await consumer.start()
            if ALERTS not in await consumer.topics():
                raise UnknownTopicOrPartitionError
            consumer.subscribe([ALERTS])
            probed = float("-inf")
            while True:
                batch = await consumer.getmany(timeout_ms=500, max_records=500)
                self._polled = time.monotonic()
                if batch:
                    await self.take([record for records in batch.values() for record in records])
                    # Refused after a rebalance: whoever has the partition now reads these again.
                    with suppress(CommitFailedError, IllegalStateError):
                        await consumer.commit({tp: records[-1].offset + 1 for tp, records in batch.items()})
                if self._polled - probed > PROBE:
                    self._broker = await self._probe(consumer)
                    probed = time.monotonic()
        finally:
            # Leaving the group takes as long as the broker likes; without a farewell its session just ends.
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await consumer.stop()

    async def _probe(self, consumer: AIOKafkaConsumer) -> str:
        """Ask for the lag. Returns what is wrong, or nothing: the consumer never says that it is cut off."""
        assigned = consumer.assignment()
        if not assigned:
            return "no partition is assigned yet"
        try:
            async with asyncio.timeout(GRACE):
                ends = await consumer.end_offsets(assigned)
                lag = sum([end - await consumer.position(tp) for tp, end in ends.items()])
        except (KafkaError, TimeoutError, IllegalStateError) as exc:
            return f"the broker does not answer: {type(exc).__name__}"
        self.metrics.lag.set(lag)
        return ""

    async def _keep_house(self) -> None:
        pruned = float("-inf")
        while True:
            self.metrics.standings(await self._call(self._call.outbox.standings))
            if time.monotonic() - pruned > PRUNE_EVERY:
                await self._call(self._call.outbox.prune, self._clock())
                pruned = time.monotonic()
            await asyncio.sleep(REFRESH)
