"""CEF reaches a real server over TLS, and nothing counts as delivered that was not read there."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from streams.receivers import SyslogReceiver
from streams.settings import SettingsError
from streams.sinks.syslog import SyslogSink
from tests.receivers import LOCAL
from tests.sinks.notices import delivery

Talk = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's certificate, and those of servers it vouches for: now, and no longer."""
    folder = tmp_path_factory.mktemp("authority")
    now = datetime.now(UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "parcelwatch test authority")])
    ca = (
        x509.CertificateBuilder(ca_name, ca_name, ca_key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    for name, until in (("server", now + timedelta(days=1)), ("expired", now - timedelta(hours=1))):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = (
            x509.CertificateBuilder(ca_name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(until)
            .add_extension(hosts, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return folder


@contextlib.contextmanager
def serving(talk: Talk, pem: Path | None = None, *, mutual: bool = False) -> Iterator[int]:
    """A server on a free port; over TLS when it has a certificate.

    With blocking sockets: asyncio's TLS reads and says goodbye by itself, also for a server that does neither.
    """
    context = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED

    def accept() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            raw.settimeout(10)
            with (
                contextlib.suppress(OSError),
                raw,
                context.wrap_socket(raw, server_side=True) if context else raw as connection,
            ):
                talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        # Closing alone would not wake who waits for the next connection.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


class Collector:
    """A syslog server: reads to the end, then closes, with or without the farewell of TLS."""

    def __init__(self, *, polite: bool = True) -> None:
        self.streams: list[bytes] = []
        self.polite = polite

    def __call__(self, connection: socket.socket) -> None:
        received = b""
        while piece := connection.recv(65_536):
            received += piece
        self.streams.append(received)
        if self.polite and isinstance(connection, ssl.SSLSocket):
            connection = connection.unwrap()
        connection.close()

    def messages(self) -> list[bytes]:
        """What was framed by octet counting."""
        found = []
        for rest in self.streams:
            while rest:
                head = re.match(rb"([1-9]\d*) ", rest)
                assert head
                end = head.end() + int(head[1])
                assert end <= len(rest)
                found.append(rest[head.end() : end])
                rest = rest[end:]
        return found


def sink(port: int, **more: object) -> SyslogSink:
    settings = {"kind": "syslog", "host": "127.0.0.1", "port": port, "allow": LOCAL, "timeout": 5.0, **more}
    return SyslogSink("siem", SyslogReceiver(**settings))


async def test_alerts_arrive_over_tls_framed_by_octet_counting(authority: Path) -> None:
    collector = Collector()
    with serving(collector, authority / "server.pem") as port:
        siem = sink(port, ca_file=authority / "ca.pem", language="vi")
        outcomes = await siem.deliver([delivery(1), delivery(1, uid="another")])
        assert [outcome.kind for outcome in outcomes] == ["delivered", "delivered"]
        assert [outcome.kind for outcome in await siem.deliver([delivery(3)])] == ["delivered"]
    first, second, third = collector.messages()
    assert b"externalId=0900774f3df9b94d11258228dd752040 " in first
    assert b"externalId=another " in second
    assert "msg=Đã xem 280 bưu gửi".encode() in first
    assert b" closed - CEF:0|parcelwatch|parcelwatch|" in third
    assert len(collector.streams) == 2


async def test_a_server_that_comes_back_is_connected_to_again(authority: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        siem = sink(port, ca_file=authority / "ca.pem")
        [away] = await siem.deliver([delivery()])
    assert (away.kind, away.detail) == ("retry", "no connection: Connection refused")
    collector = Collector()
    with serving(collector, authority / "server.pem") as there:
        siem = sink(there, ca_file=authority / "ca.pem")
        for _ in range(2):
            [outcome] = await siem.deliver([delivery()])
            assert outcome.kind == "delivered"
    assert len(collector.messages()) == 2


@pytest.mark.parametrize(
    ("pem", "host", "ca"),
    [("server", "127.0.0.1", None), ("expired", "127.0.0.1", "ca"), ("server", "localhost", "ca")],
    ids=["unknown-authority", "expired", "another-host"],
)
async def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    authority: Path, pem: str, host: str, ca: str | None
) -> None:
    collector = Collector()
    with serving(collector, authority / f"{pem}.pem") as port:
        siem = sink(port, host=host, ca_file=ca and authority / f"{ca}.pem")
        [outcome] = await siem.deliver([delivery()])
    assert outcome.kind == "retry"
    assert "certificate not trusted" in outcome.detail
    assert "receivers.siem.ca_file" in outcome.detail
    assert collector.messages() == []


async def test_plain_tcp_is_spoken_only_when_it_is_asked_for(authority: Path) -> None:
    collector = Collector()
    with serving(collector) as port:
        [encrypted] = await sink(port, ca_file=authority / "ca.pem", timeout=0.3).deliver([delivery()])
    assert encrypted.kind == "retry"
    assert b"CEF" not in b"".join(collector.streams)
    collector = Collector()
    with serving(collector) as port:
        [refused] = await sink(port, tls=False, allow=()).deliver([delivery()])
        assert refused.kind == "refused"
        assert "receivers.siem.allow" in refused.detail
        [plain] = await sink(port, tls=False).deliver([delivery()])
    assert (plain.kind, plain.detail) == ("delivered", "sent over TCP")
    assert len(collector.messages()) == 1


async def test_a_server_that_closes_without_the_farewell_of_tls_has_read_all(authority: Path) -> None:
    """As rsyslog with GnuTLS does."""
    collector = Collector(polite=False)
    with serving(collector, authority / "server.pem") as port:
        [outcome] = await sink(port, ca_file=authority / "ca.pem").deliver([delivery()])
    assert outcome.kind == "delivered"
    assert len(collector.messages()) == 1


def hang(connection: socket.socket) -> None:
    """Reads nothing until the other side has had enough."""
    threading.Event().wait(0.6)


def leave(connection: socket.socket) -> None:
    """Has no room for another connection, or nobody behind it."""


def answer(connection: socket.socket) -> None:
    connection.recv(10)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.recv(65_536)


def reset(connection: socket.socket) -> None:
    connection.recv(10)
    # A linger of no seconds: what is unread is dropped, and the other side told by a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (hang, "not taken within 0.3 s"),
        (leave, "no connection: Connection reset by peer"),
        (answer, "the other side answered"),
        (reset, "no connection: "),
    ],
)
async def test_what_was_not_read_is_not_delivered(authority: Path, tls: bool, talk: Talk, said: str) -> None:
    with serving(talk, authority / "server.pem" if tls else None) as port:
        siem = sink(port, tls=tls, ca_file=authority / "ca.pem", timeout=0.3 if talk is hang else 5.0)
        [outcome] = await siem.deliver([delivery()])
    assert outcome.kind == "retry"
    assert said in outcome.detail
    assert "127.0.0.1" not in outcome.detail


async def test_a_server_that_wants_a_certificate_of_ours_has_not_taken_the_alert(authority: Path) -> None:
    """In TLS 1.3 the server's refusal comes after our side of the handshake is done."""
    collector = Collector()
    with serving(collector, authority / "server.pem", mutual=True) as port:
        [outcome] = await sink(port, ca_file=authority / "ca.pem").deliver([delivery()])
    assert (outcome.kind, outcome.detail) == ("retry", "TLS failed: TLSV13_ALERT_CERTIFICATE_REQUIRED")


async def test_a_server_without_tls_is_said_to_have_none(authority: Path) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        connection.recv(65_536)

    with serving(greet) as port:
        [outcome] = await sink(port, ca_file=authority / "ca.pem").deliver([delivery()])
    assert (outcome.kind, outcome.detail) == ("retry", "TLS failed: WRONG_VERSION_NUMBER")


async def test_a_private_address_that_nobody_allowed_is_not_connected_to() -> None:
    collector = Collector()
    with serving(collector) as port:
        for host in ("127.0.0.1", "localhost"):
            [outcome] = await sink(port, host=host, allow=()).deliver([delivery()])
            assert outcome.kind == "refused"
    assert collector.streams == []


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("nothing", "holds no certificate")])
def test_a_ca_file_that_is_none_stops_the_start(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=rf"receivers\.siem\.ca_file = .*{said}"):
        sink(6514, ca_file=path)
