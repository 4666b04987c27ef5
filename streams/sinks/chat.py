"""Chat services (Zalo, Telegram and over a hundred others) by apprise, which the extra `chat` installs.

Source: https://github.com/caronc/apprise
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from streams.receivers import AppriseReceiver
from streams.settings import SettingsError
from streams.sinks.addresses import AddressRefusedError, CheckedResolver, Permitted
from streams.sinks.base import Delivery, Outcome, Sink
from streams.sinks.notice import Language, Notice, read

#: Half-delivered messages that are remembered, so that services which have them are not told twice.
REMEMBERED = 1000


def message(notice: Notice, language: Language) -> tuple[str, str]:
    """Title and plain text; apprise turns the text into what each service takes, escaped.

    Args:
        notice: what is told.
        language: of both.
    """
    lines = [notice.text(language), "", *(f"{label}: {value}" for label, value in notice.facts(language))]
    return notice.headline(language), "\n".join(lines).strip()


class ChatSink(Sink):
    """Some chat services, all told the same.

    apprise makes its requests itself, one after another in a thread: the address of a host that a URL names (of a
    server of one's own, such as Gotify or Matrix) is checked before it is asked to. It follows no redirect.

    Args:
        name: its name in the settings.
        receiver: the services' URLs.

    Raises:
        SettingsError: when apprise is not installed or knows no such URL; never shows it.
    """

    def __init__(self, name: str, receiver: AppriseReceiver) -> None:
        super().__init__(name, receiver)
        self._language = receiver.language
        self._timeout = receiver.timeout
        self._services = _services(name, [url.get_secret_value() for url in receiver.urls])
        hosts = [_named_host(service[0], receiver.allow) for service in self._services]
        self._hosts = [host for host in hosts if host is not None]
        self._thread = ThreadPoolExecutor(1, f"chat-{name}")
        #: Services that have a message, until all have it.
        self._reached: OrderedDict[str, set[int]] = OrderedDict()

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Tell every service that does not have the message yet; what hangs is waited for by the next attempt."""
        [delivery] = deliveries
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                for host, port, permitted in self._hosts:
                    permitted.check_literal(host)
                    await CheckedResolver(permitted).resolve(host, port)
                outcome = await loop.run_in_executor(self._thread, self._tell, delivery)
        except TimeoutError:
            return [Outcome("retry", f"not taken by every service within {self._timeout:g} s")]
        except AddressRefusedError:
            return [
                Outcome(
                    "refused",
                    "a host's address is private, loopback or reserved, or its url is not encrypted; if that is "
                    f"meant, name the host or its network in receivers.{self.name}.allow, restart and resend",
                )
            ]
        except OSError:
            return [Outcome("retry", "a host name cannot be resolved")]
        if outcome.kind == "delivered":
            # Only now that it is heard: an attempt that was given up may still reach a service.
            self._reached.pop(delivery.id, None)
        return [outcome]

    def _tell(self, delivery: Delivery) -> Outcome:
        notice = read(delivery)
        title, text = message(notice, self._language)
        reached = self._reached.setdefault(delivery.id, set())
        if len(self._reached) > REMEMBERED:
            self._reached.popitem(last=False)
        for place, service in enumerate(self._services):
            if place not in reached and service.notify(text, title, _type(notice), body_format="text"):
                reached.add(place)
        missing = [str(place + 1) for place in range(len(self._services)) if place not in reached]
        if missing:
            return Outcome("retry", f"not taken by service {', '.join(missing)} of {len(self._services)}")
        return Outcome("delivered", f"taken by {len(self._services)} of {len(self._services)} services")


def _type(notice: Notice) -> str:
    """apprise's kind of message: what it colours it by."""
    if notice.stage in ("closed", "test"):
        return "info"
    return "failure" if notice.severity >= 4 else "warning"


def _services(name: str, urls: Sequence[str]) -> list[Any]:
    """apprise, once for each URL."""
    try:
        apprise: Any = importlib.import_module("apprise")
    except ImportError:
        raise SettingsError(
            f"setting receivers.{name}.kind = 'apprise': apprise is not installed; install parcelwatch with its "
            'extra: pip install "parcelwatch[chat]"'
        ) from None
    # What it logs, and the library below it, may hold the very URLs.
    for noisy in ("apprise", "urllib3"):
        logging.getLogger(noisy).addHandler(logging.NullHandler())
        logging.getLogger(noisy).propagate = False
    services = []
    for place, url in enumerate(urls, 1):
        asset = apprise.AppriseAsset(
            async_mode=False,
            http_redirects=False,
            secure_logging=True,
            # Nothing of its own on disk.
            storage_mode=apprise.PersistentStoreMode.MEMORY,
        )
        service = apprise.Apprise(asset=asset)
        if not service.add(url) or len(service) != 1:
            raise SettingsError(
                f"setting receivers.{name}.urls, number {place} (not shown): apprise knows no such URL; how each "
                "service's looks is in apprise's documentation, for example tgram://BOT_TOKEN/CHAT_ID"
            )
        services.append(service)
    return services


def _named_host(service: Any, allow: Sequence[str]) -> tuple[str, int, Permitted] | None:
    """Host and port that one of apprise's services posts to, and which addresses it may have.

    None for a service whose host apprise itself knows: Telegram, Zalo, ntfy's own.
    """
    host = getattr(service, "smtp_host", None) or service.host
    if "host" not in service.template_tokens or not host:
        return None
    return host, service.port or 0, Permitted(allow, encrypted=bool(service.secure))
