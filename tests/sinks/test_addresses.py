"""Alerts go only to addresses they may go to, whatever a name resolves to."""

from __future__ import annotations

import asyncio
import socket

import pytest

from streams.sinks.addresses import AddressRefusedError, Permitted, is_public
from tests.receivers import attempt, sink


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_private_addresses_are_refused_without_being_connected_to(host: str) -> None:
    connected = []

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await attempt(sink(f"http://{host}:{port}/", allow=()))
    assert outcome.kind == "refused"
    assert "receivers.soc.allow" in outcome.detail
    assert connected == []


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1", "192.168.1.1",
     "224.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fe80::1", "fe80::1%lo", "ff02::1",
     "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:0a00:0001::1"],
)  # fmt: skip
def test_no_address_that_is_not_public_counts_as_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "203.113.131.1", "2606:4700:4700::1111", "64:ff9b::1.1.1.1"])
def test_public_addresses_count_as_public(address: str) -> None:
    assert is_public(address)


async def test_a_host_is_resolved_once_an_attempt_and_connected_to_where_it_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name whose next answer is private (DNS rebinding) gets no second question."""
    answers = ["1.1.1.1", "127.0.0.1"]
    asked = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[len(asked) - 1], port))]

    connected = []

    async def no_network(self: object, sock: object, address: object) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", no_network)
    outcome = await attempt(sink("https://rebind.example.com:8080/", allow=()))
    assert outcome.kind == "retry"
    assert asked == ["rebind.example.com"]
    assert connected == [("1.1.1.1", 8080)]


@pytest.mark.parametrize(
    ("allow", "host", "address", "permitted"),
    [
        (["10.1.0.0/16"], "soc.example", "10.1.2.3", True),
        (["10.1.0.0/16"], "soc.example", "10.2.2.3", False),
        (["10.1.0.0/16"], "soc.example", "::ffff:10.1.2.3", True),
        (["10.1.2.3"], "10.1.2.3", "10.1.2.3", True),
        (["fd00::/8"], "soc.example", "fd00::5", True),
        (["soc.example"], "SOC.example.", "192.168.1.1", True),
        (["soc.example"], "evil.soc.example", "192.168.1.1", False),
        (["soc.example"], "siem.example", "127.0.0.1", False),
        ([], "soc.example", "1.1.1.1", True),
        ([], "soc.example", "169.254.169.254", False),
    ],
)
def test_what_allow_names_is_permitted_and_nothing_beside_it(
    allow: list[str], host: str, address: str, permitted: bool
) -> None:
    assert Permitted(allow, encrypted=True).permits(host, address) is permitted


def test_without_encryption_even_a_public_address_must_be_named() -> None:
    assert not Permitted([], encrypted=False).permits("soc.example", "1.1.1.1")
    assert Permitted(["1.1.1.0/24"], encrypted=False).permits("soc.example", "1.1.1.1")
    with pytest.raises(AddressRefusedError):
        Permitted([], encrypted=False).check_literal("1.1.1.1")
