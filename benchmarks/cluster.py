"""What the benchmark asks of the broker: fresh topics, how far a consumer group is, how long alerts took."""

from __future__ import annotations

import time
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import UnknownTopicOrPartitionError
from kafka.structs import TopicPartition as AdminPartition

from streams.flow.topics import TopicSpec

#: Header of an alert: when the broker took the event that triggered it, ms since the epoch.
PRODUCED_AT = "ce_producedat"


class BenchmarkError(Exception):
    """A run that cannot be measured; the text says which, why and what to do."""


class Cluster:
    """A broker the benchmark has for itself; it deletes every topic there.

    Args:
        bootstrap: host:port of the broker.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def close(self) -> None:
        """Close the connection."""
        self._admin.close()

    def start_afresh(self, topics: Iterable[TopicSpec]) -> None:
        """Delete what topics there are, then create these and wait until each has its leaders.

        Raises:
            BenchmarkError: the broker still shows deleted topics after 30 s.
        """
        wanted = {
            spec.name: {
                "num_partitions": spec.partitions,
                "replication_factor": 1,
                "configs": spec.config,
            }
            for spec in topics
        }
        old = self._own_topics()
        if old:
            self._admin.delete_topics(old)
        deadline = time.monotonic() + 30
        while self._own_topics():
            if time.monotonic() > deadline:
                raise BenchmarkError("the broker did not delete the last round's topics in 30 s; see its log")
            time.sleep(0.1)
        self._admin.create_topics(wanted, wait_for_metadata=True)

    def _own_topics(self) -> list[str]:
        return [name for name in self._admin.list_topics() if not name.startswith("__")]

    def end_offsets(self, topics: Iterable[str], partitions: int) -> dict[AdminPartition, int]:
        """Where each partition of the topics ends; a topic that does not exist yet ends at 0."""
        wanted = {AdminPartition(t, p): OffsetSpec.LATEST for t in topics for p in range(partitions)}
        try:
            found = self._admin.list_partition_offsets(wanted)
        except UnknownTopicOrPartitionError:
            return dict.fromkeys(wanted, 0)
        return {tp: answer.offset for tp, answer in found.items()}

    def lag(self, group: str, topics: tuple[str, ...], partitions: int) -> int:
        """Records of the topics that the group has not committed.

        Committed offsets are read before the ends, so that 0 means that every hop is done with everything.
        """
        committed = self._admin.list_group_offsets(group)[group]
        ends = self.end_offsets(topics, partitions)
        done = {tp: max(committed[tp].offset, 0) if tp in committed else 0 for tp in ends}
        return sum(max(end - done[tp], 0) for tp, end in ends.items())

    async def alert_delays(self, topic: str, partitions: int, since: int) -> list[float]:
        """The delays of the topic's alerts that were triggered at `since` (ms) or later.

        A delay is in seconds, from the broker taking the event to its taking the alert, by its clock.

        Raises:
            BenchmarkError: an alert without the header that names its trigger.
        """
        ends = self.end_offsets([topic], partitions)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            waiting = {TopicPartition(tp.topic, tp.partition): end for tp, end in ends.items() if end}
            consumer.assign(list(waiting))
            delays = []
            while waiting:
                for tp, records in (await consumer.getmany(timeout_ms=1000)).items():
                    for record in records:
                        produced = dict(record.headers).get(PRODUCED_AT)
                        if produced is None:
                            raise BenchmarkError(
                                f"alert {tp.partition}/{record.offset} has no header {PRODUCED_AT}; the "
                                f"worker must send it for delays to be measured"
                            )
                        if int(produced) >= since:
                            delays.append((record.timestamp - int(produced)) / 1000)
                    if records and records[-1].offset + 1 >= waiting.get(tp, 0):
                        waiting.pop(tp, None)
            return delays
        finally:
            await consumer.stop()
