"""The embedded broker keeps its promises: real Kafka, kept data, no orphan, errors that help."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from streams.kafka import broker_config
from streams.kafka import jars as kafka_jars
from streams.kafka.broker import Broker, BrokerError

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that tests may stop and kill; its folder's name is not one that Java or a shell likes."""
    with Broker(tmp_path_factory.mktemp("broker") / "dữ liệu, 'v2'") as running:
        yield running


def admin(broker: Broker) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=broker.bootstrap)


def create(broker: Broker, topic: str, **configs: str) -> None:
    client = admin(broker)
    client.create_topics({topic: {"num_partitions": 1, "replication_factor": 1, "configs": configs}})
    client.close()


def produce(broker: Broker, topic: str, values: list[bytes]) -> None:
    """Send and return only when each has been acknowledged."""
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", max_request_size=64 << 20)
    for future in [producer.send(topic, value) for value in values]:
        future.get(timeout=30)
    producer.close()


def consume(broker: Broker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=20_000,
    )
    consumer.assign([TopicPartition(topic, 0)])
    values: list[bytes] = []
    while len(values) < count:
        values.append(next(consumer).value)
    consumer.close()
    return values


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and merely not yet reaped does not."""
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return status.stdout.strip()[:1] not in ("", "Z")


def test_it_is_real_kafka_with_topics_made_only_on_demand(own: Broker, app_id: str) -> None:
    client = admin(own)
    assert len(client.describe_cluster()["brokers"]) == 1
    assert app_id not in client.list_topics()
    client.close()
    create(own, app_id)
    produce(own, app_id, [b"a", b"b"])
    assert consume(own, app_id, 2) == [b"a", b"b"]


def test_the_largest_value_a_carrier_may_send_passes(own: Broker, app_id: str) -> None:
    value = os.urandom(16 << 20)
    create(own, app_id, **{"max.message.bytes": str(32 << 20)})
    produce(own, app_id, [value])
    assert consume(own, app_id, 1) == [value]


def test_a_clean_restart_keeps_port_and_messages(own: Broker, app_id: str) -> None:
    create(own, app_id)
    produce(own, app_id, [b"kept"])
    before = own.bootstrap
    own.restart()
    assert own.bootstrap == before
    assert consume(own, app_id, 1) == [b"kept"]


def test_a_kill_9_loses_nothing_acknowledged(own: Broker, app_id: str) -> None:
    create(own, app_id)
    values = [b"%d" % i for i in range(500)]
    produce(own, app_id, values)
    own.kill()
    assert not own.running
    own.start()
    assert consume(own, app_id, 500) == values


def test_a_second_start_is_refused_while_it_runs(own: Broker) -> None:
    with pytest.raises(BrokerError, match="already running"):
        own.start()
    assert own.running


def test_the_log_is_kept_in_the_data_folder(own: Broker) -> None:
    assert "Kafka Server started" in own.log_path.read_text(encoding="utf-8")


def test_two_brokers_at_once_do_not_see_each_other(own: Broker, tmp_path: Path, app_id: str) -> None:
    with Broker(tmp_path) as other:
        create(other, app_id)
        client = admin(own)
        assert app_id not in client.list_topics()
        client.close()
        assert other.bootstrap != own.bootstrap


def test_a_data_folder_in_use_is_refused_with_the_log_and_its_last_lines(own: Broker) -> None:
    with pytest.raises(BrokerError, match="in use by another broker") as error:
        Broker(own.data_dir).start()
    assert own.running
    assert str(own.log_path) in str(error.value)


def test_a_broker_that_does_not_come_up_shows_where_its_log_is_and_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = broker_config.properties(1, 2).replace("node.id=1", "node.id=-5")
    monkeypatch.setattr(broker_config, "properties", lambda *ports: bad)
    broker = Broker(tmp_path)
    with pytest.raises(BrokerError, match=r"(?s)broker\.log, and ends with:.*node\.id"):
        broker.start()
    assert not broker.running


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", broker_config.free_port()))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} .* is taken"):
            Broker(tmp_path, port=port).start()


def test_a_lost_race_for_a_port_is_run_again_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", broker_config.free_port()))
        other.listen()
        taken = other.getsockname()[1]
        drawn = iter([taken])
        draw = broker_config.free_port
        monkeypatch.setattr(broker_config, "free_port", lambda: next(drawn, None) or draw())
        monkeypatch.setattr(broker_config, "is_free", lambda port: True)
        with Broker(tmp_path) as broker:
            assert broker.bootstrap != f"127.0.0.1:{taken}"


def test_without_network_and_jars_the_error_says_how_to_get_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://user:hunter2@127.0.0.1:1")
    assert kafka_jars.missing() > 40
    with pytest.raises(BrokerError, match=r"(?s)Maven Central.*M2_REPO.*PARCELWATCH_BROKER") as error:
        Broker(tmp_path / "data").start()
    assert str(tmp_path / "m2") in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_jar_cut_off_or_tampered_with_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = [Path(jar) for jar in kafka_jars.classpath().split(os.pathsep)]
    repository = Path(os.path.commonpath(jars))
    for jar in jars:
        copy = tmp_path / jar.relative_to(repository)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.symlink_to(jar)
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    assert len(kafka_jars.classpath().split(os.pathsep)) == len(jars)
    copy.unlink()
    copy.write_bytes(b"PK half a jar")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with pytest.raises(kafka_jars.JarError, match=copy.name):
        kafka_jars.classpath()
    assert not copy.exists()


def test_the_broker_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import pathlib, time; from streams.kafka.broker import Broker; broker = Broker(pathlib.Path('data')); "
        "broker.start(); print(broker.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    until(lambda: not alive(pid), "the JVM ends after kill -9 of its parent")


def test_the_command_says_what_to_set_and_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    parcelwatch = Path(sys.executable).with_name("parcelwatch")
    with subprocess.Popen(
        [parcelwatch, "broker", "--data", "data"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first, export, last = (process.stdout.readline() for _ in range(3))
        process.terminate()
    assert process.returncode == 0
    assert first.startswith("Apache Kafka 4.1.1 is ready at 127.0.0.1:")
    assert export.strip() == f"export PARCELWATCH_BROKER={first.split()[6].rstrip(';')}"
    assert str(tmp_path / "data") in last
    assert "shut down completed" in (tmp_path / "data" / "broker.log").read_text(encoding="utf-8")
