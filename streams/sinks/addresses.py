"""Which addresses alerts may be sent to: what is checked here is what is connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefusedError(Exception):
    """The receiver's host has no address that alerts may be sent to."""


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also when it is an IPv4 address in IPv6 clothes.

    >>> is_public("1.1.1.1"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    >>> is_public("64:ff9b::a00:1"), is_public("fe80::1%eth0"), is_public("100.64.0.1")
    (False, False, False)
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


class Permitted:
    """Which addresses a receiver may have.

    Public ones may be sent to when the connection is encrypted; others, and any without encryption, when the
    receiver's `allow` names the address, its network or the host.

    Args:
        allow: addresses, networks (CIDR) and host names.
        encrypted: whether the connection is.
    """

    def __init__(self, allow: Sequence[str], *, encrypted: bool) -> None:
        self._networks = []
        self._hosts = set()
        self._encrypted = encrypted
        for entry in allow:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(_bare(entry))

    def permits(self, host: str, address: str) -> bool:
        """Whether a host at an IP address may be sent to.

        >>> Permitted(["10.0.0.0/8"], encrypted=True).permits("soc.example", "10.1.2.3")
        True
        >>> Permitted(["soc.example"], encrypted=True).permits("siem.example", "10.1.2.3")
        False
        """
        if (self._encrypted and is_public(address)) or _bare(host) in self._hosts:
            return True
        ip = ipaddress.ip_address(address)
        inner = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return any((inner or ip) in network for network in self._networks)

    def check_literal(self, host: str) -> None:
        """Check a host that is an IP address, since aiohttp asks no resolver about those.

        Raises:
            AddressRefusedError: when it may not be sent to.
        """
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        if not self.permits(host, host):
            raise AddressRefusedError


def _bare(host: str) -> str:
    return host.lower().rstrip(".")


class CheckedResolver(AbstractResolver):
    """Resolves a host and hands out only the addresses that may be connected to.

    Args:
        permitted: which they are.
    """

    def __init__(self, permitted: Permitted) -> None:
        self._permitted = permitted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Permitted addresses of a host.

        Raises:
            AddressRefusedError: when it has addresses, but none that is permitted.
            OSError: when it has none.
        """
        found = await _lookup(host, port, family)
        allowed = [entry for entry in found if self._permitted.permits(host, entry["host"])]
        if not allowed:
            raise AddressRefusedError
        return allowed

    async def close(self) -> None:
        """Nothing is held."""


async def _lookup(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """Addresses of a host.

    In a daemon thread of its own: a name server that hangs must hold up neither another receiver's look-up
    (as in a shared pool) nor the end of the process (as in any pool).
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[ResolveResult]] = loop.create_future()

    def settle(result: list[ResolveResult] | OSError) -> None:
        if found.done():  # the attempt timed out meanwhile
            return
        if isinstance(result, OSError):
            found.set_exception(result)
        else:
            found.set_result(result)

    def work() -> None:
        result: list[ResolveResult] | OSError
        try:
            result = [
                ResolveResult(
                    hostname=host,
                    host=str(sockaddr[0]),
                    port=port,
                    family=kind,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
                for kind, _, proto, _, sockaddr in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            ]
        except OSError as exc:
            result = exc
        except UnicodeError:
            result = OSError("not a host name")
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:  # the loop has ended, and with it whoever asked
            return

    threading.Thread(target=work, name="receiver-lookup", daemon=True).start()
    return await found
