"""Webhook receivers after Standard Webhooks 1.0.0: signed, not redirected, only at permitted addresses."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from standardwebhooks import Webhook
from yarl import URL

from streams.settings import Receiver, SettingsError
from streams.sinks.addresses import AddressRefusedError, CheckedResolver, check_literal
from streams.sinks.base import Delivery, Outcome, Sink

#: Answers longer than this come from something that is no webhook receiver, a login page for instance.
LARGEST_ANSWER = 64 * 1024
#: Statuses whose Retry-After is honoured.
THROTTLED = frozenset({429, 502, 503, 504})


def signing_key(receiver: str, secret: str) -> bytes:
    """The bytes that a `whsec_...` secret stands for.

    Raises:
        SettingsError: when it is none, or not of 24 to 64 bytes; names the receiver, never the secret.
    """
    where = f"setting receivers.{receiver}.secret (not shown)"
    remedy = (
        'make one with: python -c "import base64, secrets; '
        "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
    )
    if not secret.startswith("whsec_"):
        raise SettingsError(f"{where}: must begin with whsec_; {remedy}")
    encoded = secret.removeprefix("whsec_").rstrip("=")
    try:
        # Strictly: the library's own decoding leaves out what is not base64 and signs with the rest.
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(f"{where}: what follows whsec_ is not base64; {remedy}") from None
    if not 24 <= len(key) <= 64:
        raise SettingsError(f"{where}: holds {len(key)} bytes, Standard Webhooks asks for 24 to 64; {remedy}")
    return key


def _checked_url(receiver: str, text: str) -> URL:
    where = f"setting receivers.{receiver}.url (not shown, it may hold a password)"
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise SettingsError(f"{where}: not a URL; write for example https://soc.example.com/alerts") from None
    if url.scheme not in ("http", "https") or not url.host or not port:
        raise SettingsError(
            f"{where}: must be http or https with a host, for example https://soc.example.com/alerts"
        )
    return url


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


class WebhookSink(Sink):
    """One webhook receiver.

    Args:
        name: its name in the settings.
        receiver: where it is and how it is spoken to.
        clock: seconds since 1970.

    Raises:
        SettingsError: when its URL or secret cannot be used.
    """

    def __init__(self, name: str, receiver: Receiver, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.give_up_after = receiver.give_up_after
        self._url = _checked_url(name, receiver.url)
        self._webhook = Webhook(signing_key(name, receiver.secret.get_secret_value()))
        self._timeout = receiver.timeout
        self._allow_private = receiver.allow_private
        self._clock = clock

    async def deliver(self, delivery: Delivery) -> Outcome:
        """POST the message once: 2xx is delivered, 410 gone, a forbidden address refused, all else retry."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(delivery)
        except TimeoutError:
            return Outcome("retry", f"no complete answer within {self._timeout:g} s")
        except AddressRefusedError:
            return Outcome(
                "refused",
                "the host's address is private, loopback or reserved; "
                f"if that is meant, set receivers.{self.name}.allow_private = true, restart and resend",
            )
        # In own words from here on: what these exceptions say holds the address.
        except aiohttp.ClientConnectorCertificateError:
            return Outcome(
                "retry", "TLS certificate not trusted; for an authority of your own set SSL_CERT_FILE"
            )
        except aiohttp.ClientConnectorDNSError:
            return Outcome("retry", "the host name cannot be resolved")
        except aiohttp.ClientConnectorError as exc:
            reason = os.strerror(exc.os_error.errno) if exc.os_error.errno else type(exc.os_error).__name__
            return Outcome("retry", f"no connection: {reason}")
        except (aiohttp.ClientError, OSError) as exc:
            return Outcome("retry", f"connection failed: {type(exc).__name__}")

    def _message(self, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
        """Body and headers; the very bytes that are signed are sent."""
        occurred = datetime.fromtimestamp(delivery.occurred / 1000, UTC).isoformat(timespec="milliseconds")
        head = f'{{"type":"{delivery.type}","timestamp":"{occurred}","data":'
        body = head.encode() + delivery.body + b"}"
        # In UTC: the library takes any other zone's wall time for UTC and signs a wrong moment.
        attempted = datetime.fromtimestamp(int(self._clock()), UTC)
        return body, {
            "content-type": "application/json",
            "user-agent": "parcelwatch",
            "accept-encoding": "identity",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(attempted.timestamp())),
            "webhook-signature": self._webhook.sign(delivery.id, attempted, body.decode()),
        }

    async def _post(self, delivery: Delivery) -> Outcome:
        check_literal(self._url.host or "", self._allow_private)
        body, headers = self._message(delivery)
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._allow_private), use_dns_cache=False, force_close=True
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            ) as answer,
        ):
            return await self._judge(answer)

    async def _judge(self, answer: aiohttp.ClientResponse) -> Outcome:
        status = answer.status
        detail = f"HTTP {status}"
        received = 0
        async for piece in answer.content.iter_any():
            received += len(piece)
            if received > LARGEST_ANSWER:
                return Outcome(
                    "retry", f"{detail} with over {LARGEST_ANSWER} bytes: not a webhook receiver?", status
                )
        if 200 <= status < 300:
            return Outcome("delivered", detail, status)
        if status == 410:
            return Outcome("gone", f"{detail}: the receiver wants no more alerts", status)
        if 300 <= status < 400:
            return Outcome(
                "retry", f"{detail}: redirects are not followed; set the final address as the url", status
            )
        after = retry_after(answer.headers.get("retry-after"), self._clock()) if status in THROTTLED else None
        return Outcome("retry", detail, status, after)
