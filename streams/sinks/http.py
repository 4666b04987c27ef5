"""What every receiver over HTTP shares: permitted addresses, no redirects, bounded time, outcomes by status."""

from __future__ import annotations

import asyncio
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec
from yarl import URL

from streams.receivers import HttpReceiver
from streams.sinks.addresses import AddressRefusedError, CheckedResolver, Permitted
from streams.sinks.base import Delivery, Outcome, Sink

#: Statuses whose Retry-After is honoured.
THROTTLED = frozenset({429, 502, 503, 504})
#: Statuses that blame what was sent: of several deliveries perhaps one, so each half is tried by itself.
BLAMES_BODY = frozenset({400, 413, 422})


class Request(msgspec.Struct, frozen=True):
    """One request.

    Attributes:
        url: where to.
        body: what, UTF-8.
        headers: besides those every request has.
        method: POST, or what a kind asks for.
    """

    url: URL
    body: bytes
    headers: Mapping[str, str] = {}
    method: str = "POST"


class Answer(msgspec.Struct, frozen=True):
    """What a receiver answered.

    Attributes:
        status: HTTP status.
        body: all of it; holds whatever the receiver likes, so it must not go into an Outcome.
        after: seconds it asked to be left alone.
    """

    status: int
    body: bytes
    after: float | None


class _TooLongError(Exception):
    """The answer is longer than any such receiver's."""

    def __init__(self, status: int) -> None:
        self.status = status


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header (seconds, or an HTTP date) asks for; None when absent or unreadable.

    >>> retry_after("120", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 15.0), retry_after("soon", 0.0)
    (120.0, 45.0, None)
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


class HttpSink(Sink):
    """One receiver over HTTP. A kind says what to send (`request`) and, where the status does not say it all,
    what the answer means (`judge`, or `verdict` when one answer holds for all).

    Args:
        name: its name in the settings.
        receiver: where it is and how it is spoken to.
        clock: seconds since 1970.

    Attributes:
        largest_answer: bytes; longer answers come from something else, a login page for instance.
    """

    largest_answer = 64 * 1024

    def __init__(self, name: str, receiver: HttpReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver)
        self.url = URL(receiver.url.get_secret_value())
        self.clock = clock
        self._timeout = receiver.timeout
        self._allow = receiver.allow

    @abstractmethod
    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The one request that carries these deliveries."""

    def verdict(self, answer: Answer) -> Outcome:
        """What an answer means by its status: 2xx is delivered, all else retry."""
        status, detail = answer.status, f"HTTP {answer.status}"
        if 200 <= status < 300:
            return Outcome("delivered", detail, status)
        if 300 <= status < 400:
            return Outcome(
                "retry", f"{detail}: redirects are not followed; set the final address as the url", status
            )
        if status in (401, 403):
            detail += (
                f": not let in; see that the secrets of receivers.{self.name} are right and may write there"
            )
        return Outcome("retry", detail, status, answer.after)

    def judge(self, answer: Answer, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """What an answer means for each delivery."""
        return [self.verdict(answer)] * len(deliveries)

    async def exchange(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Send the request and judge its answer; for kinds that need more than one, theirs to replace."""
        return self.judge(await self.post(self.request(deliveries)), deliveries)

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Make one attempt; several deliveries that are refused together are then tried in halves."""
        outcome = None
        try:
            async with asyncio.timeout(self._timeout):
                outcomes = await self.exchange(deliveries)
        except TimeoutError:
            outcome = Outcome("retry", f"no complete answer within {self._timeout:g} s")
        except AddressRefusedError:
            outcome = Outcome(
                "refused",
                "the host's address is private, loopback or reserved, or the url is plain http; if that is "
                f"meant, name the host or its network in receivers.{self.name}.allow, restart and resend",
            )
        except _TooLongError as exc:
            detail = f"HTTP {exc.status} with over {self.largest_answer} bytes: not such a receiver?"
            outcome = Outcome("retry", detail, exc.status)
        # In own words from here on: what these exceptions say holds the address.
        except aiohttp.ClientConnectorCertificateError:
            outcome = Outcome(
                "retry", "TLS certificate not trusted; for an authority of your own set SSL_CERT_FILE"
            )
        except aiohttp.ClientConnectorDNSError:
            outcome = Outcome("retry", "the host name cannot be resolved")
        except aiohttp.ClientConnectorError as exc:
            reason = os.strerror(exc.os_error.errno) if exc.os_error.errno else type(exc.os_error).__name__
            outcome = Outcome("retry", f"no connection: {reason}")
        except (aiohttp.ClientError, OSError) as exc:
            outcome = Outcome("retry", f"connection failed: {type(exc).__name__}")
        if outcome is not None:
            return [outcome] * len(deliveries)
        if len(deliveries) > 1 and all(outcome.status in BLAMES_BODY for outcome in outcomes):
            half = len(deliveries) // 2
            return [*await self.deliver(deliveries[:half]), *await self.deliver(deliveries[half:])]
        return outcomes

    async def post(self, request: Request) -> Answer:
        """One request and its whole answer.

        Raises:
            AddressRefusedError: alerts may not be sent there.
            TimeoutError, OSError, aiohttp.ClientError: there is no such answer.
        """
        permitted = Permitted(self._allow, encrypted=request.url.scheme == "https")
        permitted.check_literal(request.url.host or "")
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(permitted), use_dns_cache=False, force_close=True
        )
        fixed = {
            "content-type": "application/json",
            "user-agent": "parcelwatch",
            "accept-encoding": "identity",
        }
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.request(
                request.method,
                request.url,
                data=request.body,
                headers={**fixed, **request.headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            ) as answer,
        ):
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > self.largest_answer:
                    raise _TooLongError(answer.status)
            after = None
            if answer.status in THROTTLED:
                after = retry_after(answer.headers.get("retry-after"), self.clock())
            return Answer(answer.status, bytes(body), after)
