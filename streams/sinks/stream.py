"""Octets over TCP or TLS to a receiver that sends nothing back: they count once it has closed in good order."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_PIECE = 64 * 1024
#: Seconds a refusal may take, besides the time that connecting took.
_PATIENCE = 0.05


class AnsweredError(Exception):
    """The other side sent something, so it is not what it was taken for."""


async def send(address: str, port: int, data: bytes, *, host: str, context: ssl.SSLContext | None) -> None:
    """Connect, send, and wait until the other side has closed the connection without an error.

    A connection is not kept: what is written to one whose other side has gone is lost without a word, while one
    that is closed after each use says so. A receiver that closes has read all there was, or its system would
    have reset the connection; a TLS receiver answers the end of the stream besides (RFC 5425, 4.4). More than
    that no receiver without an acknowledgement of its own can say.

    Args:
        address: IP address that is connected to.
        port: its port.
        data: what is sent.
        host: name the certificate must be for.
        context: how the other side is verified; None sends in clear.

    Raises:
        AnsweredError: the other side sent data.
        ssl.SSLError: no trust in its certificate, or no TLS there.
        OSError: no connection, or it was lost.
    """
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection(address, port)
    try:
        if context is None:
            await _listen(reader, began, _refuse)
            writer.write(data)
            writer.write_eof()
            await writer.drain()
            if await reader.read(1):
                raise AnsweredError
        else:
            await _send_encrypted(reader, writer, data, host, context, began)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _listen(reader: asyncio.StreamReader, began: float, hear: Callable[[bytes], None]) -> None:
    """Give the other side a moment to say no, before anything is sent to it.

    One that has no room for us, or in TLS 1.3 wants a certificate we have not, closes when our side of the
    connection is long made; and that must not look like one that closes because it has read all.

    Raises:
        ConnectionResetError: it has closed.
    """
    clock = asyncio.get_running_loop().time
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE + clock() - began):
            while piece := await reader.read(_PIECE):
                hear(piece)
            raise ConnectionResetError(errno.ECONNRESET, "closed at once")


def _refuse(_: bytes) -> None:
    raise AnsweredError


async def _send_encrypted(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    data: bytes,
    host: str,
    context: ssl.SSLContext,
    began: float,
) -> None:
    # By hand, since asyncio's own TLS closes without waiting for the other side's end of the stream.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)

    async def flush() -> None:
        writer.write(outgoing.read())
        await writer.drain()

    async def run(step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await flush()
                piece = await reader.read(_PIECE)
                if piece:
                    incoming.write(piece)
                else:
                    incoming.write_eof()
                continue
            except ssl.SSLError:
                # The other side is told why; that it has gone meanwhile is not what went wrong.
                with suppress(OSError):
                    await flush()
                raise
            await flush()
            return done

    def hear(piece: bytes) -> None:
        # Tickets for a next session may come, or a refusal, which is raised.
        incoming.write(piece)
        with suppress(ssl.SSLWantReadError):
            if tls.read(1):
                raise AnsweredError

    await run(tls.do_handshake)
    await _listen(reader, began, hear)
    await run(lambda: tls.write(data))
    # Says that this is the end, and does not wait; `unwrap` called again would not wait either.
    with suppress(ssl.SSLWantReadError):
        tls.unwrap()
    await flush()
    try:
        if await run(lambda: tls.read(1)):
            raise AnsweredError
    except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
        return  # the other side's end of the stream, or of the connection: some say only the latter
