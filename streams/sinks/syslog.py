"""Syslog for SIEMs: CEF in RFC 5424 messages over TLS (RFC 5425), framed by octet counting (RFC 6587).

Source of the message format: Micro Focus Security ArcSight Common Event Format, version 25.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Sequence
from importlib.metadata import version

from streams.receivers import SyslogReceiver
from streams.settings import SettingsError
from streams.sinks.addresses import AddressRefusedError, CheckedResolver, Permitted
from streams.sinks.base import Delivery, Outcome, Sink
from streams.sinks.notice import Language, Notice, clip, read
from streams.sinks.stream import AnsweredError, send

#: Octets of one message every receiver should take (RFC 5425, 4.3.1).
LONGEST_MESSAGE = 8192
#: Longest `msg` CEF has, and longest other value, in characters.
LONGEST_TEXT, LONGEST_VALUE = 1023, 100
#: Facility 13, log audit.
FACILITY = 13
#: CEF severities (0 to 10) and syslog severities (2 critical to 6 informational) by OCSF's.
CEF_SEVERITIES = (5, 1, 3, 6, 8, 10, 10)
SYSLOG_SEVERITIES = (4, 6, 5, 4, 3, 2, 2)
NOTICE, INFORMATIONAL = 5, 6

_PRODUCT = version("parcelwatch")


def escape_header(char: str) -> str:
    """A character of a CEF header field."""
    return f"\\{char}" if char in "\\|" else char


def escape_value(char: str) -> str:
    """A character of a CEF extension value. Notices hold no line break, so none has to be escaped."""
    return f"\\{char}" if char in "\\=" else char


def cef(notice: Notice, language: Language) -> str:
    """The notice in CEF.

    `act` is what the message says of its episode (opened, grew, closed, test), `externalId` the episode, `suid`
    the person's token, `cnt` the shipment records read.

    Args:
        notice: what is told.
        language: of `msg`.
    """
    named = notice.title or notice.headline("en")
    header = [
        "CEF:0", "parcelwatch", "parcelwatch", _PRODUCT,
        clip(notice.detector or notice.stage, LONGEST_VALUE, escape_header),
        clip(named, LONGEST_VALUE, escape_header),
        str(1 if notice.stage == "test" else CEF_SEVERITIES[notice.severity]),
    ]  # fmt: skip
    labelled = {
        "cs1": ("detectorVersion", notice.version),
        "cs2": ("carrier", notice.carrier),
        "cs3": ("site", notice.site),
        "cs4": ("role", notice.role),
        "cs5": ("messageId", notice.id),
        "cn1": ("riskPoints", str(notice.risk or "")),
    }
    values = {
        "rt": str(notice.occurred),
        "act": notice.stage,
        "cat": "Personal data leak",
        "externalId": notice.uid,
        "suid": notice.person,
        "cnt": str(notice.records or ""),
        "start": str(notice.started or ""),
        "end": str(notice.ended or ""),
    }
    for key, (label, value) in labelled.items():
        if value:
            values |= {f"{key}Label": label, key: value}
    pairs = [f"{key}={clip(value, LONGEST_VALUE, escape_value)}" for key, value in values.items() if value]
    if text := notice.text(language):
        pairs.append(f"msg={clip(text, LONGEST_TEXT, escape_value)}")
    return "|".join(header) + "|" + " ".join(pairs)


def message(notice: Notice, language: Language, host: str) -> bytes:
    """The RFC 5424 message, without a frame, at most `LONGEST_MESSAGE` octets.

    No byte order mark stands before the text: the RFC asks for one, readers of CEF stumble over it.

    Args:
        notice: what is told.
        language: of `msg`.
        host: this machine's name, printable ASCII, or `-`.
    """
    severity = SYSLOG_SEVERITIES[notice.severity]
    if notice.stage in ("closed", "test"):
        severity = NOTICE if notice.stage == "closed" else INFORMATIONAL
    head = f"<{FACILITY * 8 + severity}>1 {notice.utc()} {host} parcelwatch - {notice.stage} - "
    return (head + cef(notice, language)).encode()


def frame(content: bytes) -> bytes:
    """A message in a stream of them: its length in octets, a space, the message.

    >>> frame("ệ".encode())
    b'3 \\xe1\\xbb\\x87'
    """
    return b"%d %b" % (len(content), content)


class SyslogSink(Sink):
    """One syslog server that takes CEF, over TLS or, when that is asked for, over plain TCP.

    Args:
        name: its name in the settings.
        receiver: where it is, and who vouches for it.

    Raises:
        SettingsError: when `ca_file` cannot be used.
    """

    batch = 50

    def __init__(self, name: str, receiver: SyslogReceiver) -> None:
        super().__init__(name, receiver)
        self._receiver = receiver
        self._permitted = Permitted(receiver.allow, encrypted=receiver.tls)
        self._context = _context(name, receiver) if receiver.tls else None
        host = socket.gethostname()
        self._host = host if re.fullmatch(r"[!-~]{1,255}", host) else "-"

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Send them over one connection; all arrive or all are tried again."""
        return [await self._attempt(deliveries)] * len(deliveries)

    async def _attempt(self, deliveries: Sequence[Delivery]) -> Outcome:
        language, timeout = self._receiver.language, self._receiver.timeout
        data = b"".join(frame(message(read(item), language, self._host)) for item in deliveries)
        try:
            async with asyncio.timeout(timeout):
                return await self._send(data)
        except TimeoutError:
            return Outcome("retry", f"not taken within {timeout:g} s")
        except AddressRefusedError:
            return Outcome(
                "refused",
                "the host's address is private, loopback or reserved, or TLS is off; if that is meant, name the "
                f"host or its network in receivers.{self.name}.allow, restart and resend",
            )
        except AnsweredError:
            return Outcome("retry", "the other side answered: not a syslog server?")
        # In own words: what these exceptions say may hold the address.
        except ssl.SSLCertVerificationError:
            return Outcome(
                "retry",
                "TLS certificate not trusted, expired or for another host; for an authority of your own set "
                f"receivers.{self.name}.ca_file",
            )
        except ssl.SSLError as exc:
            return Outcome("retry", f"TLS failed: {exc.reason or 'connection closed'}")
        except socket.gaierror:
            return Outcome("retry", "the host name cannot be resolved")
        except OSError as exc:
            return Outcome(
                "retry", f"no connection: {os.strerror(exc.errno) if exc.errno else type(exc).__name__}"
            )

    async def _send(self, data: bytes) -> Outcome:
        host, port = self._receiver.address()
        failure: OSError | None = None
        for address in await self._addresses(host, port):
            try:
                await send(address, port, data, host=host, context=self._context)
            except ConnectionRefusedError as exc:
                # A name may have an address of each family, and only one be listened on.
                failure = exc
                continue
            return Outcome("delivered", "sent over TLS" if self._context else "sent over TCP")
        raise failure or ConnectionRefusedError

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The permitted addresses of the host; these are connected to, the name is not asked for again."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            found = await CheckedResolver(self._permitted).resolve(host, port)
            return [entry["host"] for entry in found]
        self._permitted.check_literal(host)
        return [host]


def _context(name: str, receiver: SyslogReceiver) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if receiver.ca_file is not None:
        # Alone: a server of one's own authority is not to be vouched for by any other.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(receiver.ca_file)
        except OSError as exc:  # ssl.SSLError is one
            reason = "holds no certificate" if isinstance(exc, ssl.SSLError) else "cannot be read"
            raise SettingsError(
                f"setting receivers.{name}.ca_file = {str(receiver.ca_file)!r}: {reason}; give the path of the "
                "authority's certificates in PEM, readable for this user"
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
