"""The Faust app: every topic, table and agent by its explicit name. What they do is in the stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faust

from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, CONTROL, PARCEL_CONTEXT, PARCEL_LOG, STAFF_DIRECTORY
from streams.settings import Settings
from streams.worker.transport import BatchConsumer, broker_url, credentials

MIB = 1 << 20

#: Seconds between commits of what checkpoints have covered.
COMMIT_INTERVAL = 1.0

#: Which stage, and so which table, a topic's batches go to.
STAGE_OF = {
    ACCESS_EVENTS: "admit",
    PARCEL_CONTEXT: "admit",
    STAFF_DIRECTORY: "admit",
    CONTROL: "admit",
    PARCEL_LOG: "relate",
    ACTOR_LOG: "detect",
}

#: A partition's RocksDB: modest, since a worker holds one for each partition of each table.
ROCKSDB = {"block_cache_size": 32 * MIB, "write_buffer_size": 32 * MIB, "max_write_buffer_number": 3}


@dataclass(frozen=True)
class App:
    """The app and the parts the worker needs by name."""

    faust: faust.App
    topics: dict[str, Any]
    tables: dict[str, Any]


def make_app(settings: Settings) -> App:
    """The app for these settings; nothing is connected yet."""
    BatchConsumer.batched = frozenset(STAGE_OF)
    session = settings.session_timeout
    app = faust.App(
        settings.app_id,
        broker=broker_url(settings.broker),
        broker_credentials=credentials(settings.broker_security),
        store="rocksdb://",
        datadir=str(settings.data_dir / "worker"),
        autodiscover=False,
        web_enabled=False,
        web_tables_enabled=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_allow_declare=False,
        table_standby_replicas=0,
        cython_optimizations=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=16,
        broker_max_poll_records=4_000,
        broker_commit_interval=min(COMMIT_INTERVAL, settings.checkpoint_interval),
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 4,
        broker_request_timeout=max(30.0, session + 5),
        consumer_group_instance_id=settings.worker_id,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * MIB,
        producer_acks=-1,
        producer_linger=0.002,
        # aiokafka compresses lz4 at level 9, which took a seventh of a worker's time; snappy takes a ninth of that.
        producer_compression_type="snappy",
        producer_max_batch_size=MIB,
        producer_max_request_size=33 * MIB,
        producer_request_timeout=60.0,
    )
    topics = {
        name: app.topic(name, partitions=settings.partitions, key_serializer="raw", value_serializer="raw")
        for name in STAGE_OF
    }
    tables = {
        name: app.Table(
            name, partitions=settings.partitions, key_type=bytes, value_type=bytes, options=dict(ROCKSDB)
        )
        for name in ("admit", "relate", "detect")
    }
    return App(app, topics, tables)
