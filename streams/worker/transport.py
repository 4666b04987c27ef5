"""A Faust transport that hands out a whole fetched partition batch as one message, and commits what stages say.

Faust spends nearly all of a worker's time on per-message plumbing; a batch a message removes it. The price is that
Faust's own ledger of acknowledgements, built for single messages, cannot be used: it would commit past unapplied
batches. So the stages keep the ledger (an offset is committed when their checkpoint has covered it), and they, not
Faust, decide whether a batch follows on what they had: they rewind when it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport import drivers
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.auth import CredentialsT

from streams.broker_security import BrokerSecurity

#: How long the broker gathers records for a fetch, ms, unless there are FETCH_BYTES of them at once. Every batch costs
#: the same whatever it holds: answered at the first record, as Faust asks, a worker at half load spent half of its time
#: on the number of batches, and alerts came the later for it. Faust's 1500 would be waited out at every hop.
FETCH_WAIT_MS = 50
FETCH_BYTES = 1 << 20
#: Longest a question to the broker outside the stream may take; bytes fetched for its answer.
ASK_SECONDS = 10.0
ASK_BYTES = 1 << 14
#: What a carrier's system took back (an aborted transaction) was never sent.
ISOLATION = "read_committed"
NAME = "parcelwatch"


class BatchThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the Kafka client; only what it asks of a fetch differs."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._fetch_min_bytes = FETCH_BYTES
        consumer._isolation_level = ISOLATION
        return consumer

    def highwater(self, tp: TP) -> int:
        end: int = self._ensure_consumer().last_stable_offset(tp)
        return end


class BatchConsumer(driver.Consumer):
    """Consumer of batches.

    Attributes:
        batched: topics handed out in batches; others (changelogs) go record by record.
        ledger: by partition, the offset up to which everything is applied and durable; what is committed.
        held: tells which partitions are to wait, because others are far behind them in event time.
    """

    batched: frozenset[str] = frozenset()
    held: Callable[[Iterable[TP]], set[TP]] = staticmethod(lambda tps: set())

    def __post_init__(self) -> None:
        self.ledger: dict[TP, int] = {}
        self._probe: AIOKafkaConsumer | None = None
        self._asking = asyncio.Lock()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109  # Faust's signature
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        for tp, batch in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if not batch or not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            if tp.topic not in self.batched:
                for record in batch:
                    if not self.flow_active or self.app.consumer_generation_id != generation:
                        return
                    yield tp, self._to_message(tp, record)
                continue
            # Faust's own filter of offsets it has seen would drop what a rewind reads again.
            self._read_offset[tp] = None
            yield tp, self._batch_message(tp, batch)

    def _batch_message(self, tp: TP, batch: list[Any]) -> ConsumerMessage:
        last = batch[-1]
        value: Any = batch
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type, None, None, value, None,
            0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # as above
        if active_partitions:
            held = self.held(active_partitions)
            if held:
                active_partitions = active_partitions - held
                if not active_partitions:
                    await asyncio.sleep(FETCH_WAIT_MS / 1000)
                    return {}
        return await super()._getmany(active_partitions, min(timeout, FETCH_WAIT_MS / 1000))

    async def rewind(self, tp: TP, offset: int) -> None:
        """Read this partition again from `offset`."""
        await self._thread.seek_wait({tp: offset})

    async def next_offset(self, tp: TP, offset: int) -> int:
        """Where a partition goes on at or after `offset`: its next record, or its end when there is none.

        Asked of the broker by a client of its own, since what this consumer has fetched may have been lost on the way.
        Gives `offset` when the broker cannot be asked at present.
        """
        try:
            async with asyncio.timeout(ASK_SECONDS), self._asking:
                # Kept open: the end of every transaction of a carrier's system is a gap to ask about.
                probe = self._probe = self._probe or await self._new_probe()
                probe.assign([tp])
                probe.seek(tp, offset)
                end: int = (await probe.end_offsets([tp]))[tp]
                while await probe.position(tp) < end:
                    for found in (await probe.getmany(timeout_ms=500, max_records=1)).values():
                        return int(found[0].offset)
                return max(offset, end)
        except (KafkaError, TimeoutError):
            return offset

    async def _new_probe(self) -> AIOKafkaConsumer:
        servers = [f"{url.host}:{url.port}" for url in self.app.conf.broker]
        auth = driver.credentials_to_aiokafka_auth(self.app.conf.broker_credentials)
        probe = AIOKafkaConsumer(
            bootstrap_servers=servers, **auth, auto_offset_reset="earliest", isolation_level=ISOLATION,
            max_partition_fetch_bytes=ASK_BYTES,
        )  # fmt: skip
        try:
            await probe.start()
        except BaseException:
            await probe.stop()
            raise
        return probe

    async def on_stop(self) -> None:
        """Part of the consumer's stopping."""
        if self._probe is not None:
            await self._probe.stop()
        await super().on_stop()

    @property
    def member_id(self) -> str:
        """What the group calls this process; empty when it does not know it."""
        coordinator = self._thread._ensure_consumer()._coordinator
        return str(getattr(coordinator, "member_id", ""))

    def at_end(self, tp: TP, offset: int) -> bool:
        """Whether `offset` is where the partition ends, as far as the broker has said."""
        end = self.highwater(tp)
        return end is not None and offset >= end

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.ledger if topics is None or tp in topics or tp.topic in topics)

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        offsets = {tp: self.ledger[tp] for tp in tps if tp in self.ledger}
        return {tp: offset for tp, offset in offsets.items() if offset > (self._committed_offset[tp] or 0)}


class BatchTransport(driver.Transport):
    """The aiokafka transport with that consumer."""

    Consumer = BatchConsumer


drivers.TRANSPORTS.aliases[NAME] = f"{__name__}:BatchTransport"


def broker_url(bootstrap: str) -> list[str]:
    """Bootstrap servers as Faust wants them, on this transport."""
    return [f"{NAME}://{server.strip()}" for server in bootstrap.split(",")]


def credentials(security: BrokerSecurity) -> CredentialsT | None:
    """What `security` says, as Faust wants it; None for a broker that is spoken to in clear and asks for no login."""
    said = security.arguments()
    if "sasl_mechanism" in said:
        return SASLCredentials(
            username=said["sasl_plain_username"],
            password=said["sasl_plain_password"],
            mechanism=said["sasl_mechanism"],
            ssl_context=said.get("ssl_context"),
        )
    return SSLCredentials(said["ssl_context"]) if "ssl_context" in said else None


def consumer_of(app: faust.App) -> BatchConsumer:
    """The app's consumer, typed."""
    consumer = app.consumer
    assert isinstance(consumer, BatchConsumer), "the app runs on another transport"
    return consumer


def guard_sends(app: faust.App, check: Callable[[], None]) -> None:
    """Have `check` called right before each request of the started producer is written to its connection.

    What was handed to the producer in time may still wait there when the process is paused; it must not go out after.
    """
    client = app.producer._ensure_producer().client  # type: ignore[attr-defined]  # the aiokafka driver's
    send = client.send

    async def guarded(node_id: int, request: Any, **more: Any) -> Any:
        check()
        return await send(node_id, request, **more)

    client.send = guarded
