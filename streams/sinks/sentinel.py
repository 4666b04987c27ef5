"""Microsoft Sentinel by the Logs Ingestion API of Azure Monitor, with a token from Entra.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
"""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import orjson
from yarl import URL

from streams.receivers import SentinelReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request
from streams.sinks.notice import read

API_VERSION = "2023-01-01"
#: Seconds before its end that a token is no longer used.
MARGIN = 300.0
_PLAIN = re.compile(r"[a-z_]{1,60}")


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


class _Refusal(msgspec.Struct):
    error: str


class _NoTokenError(Exception):
    """Entra gave no token."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class SentinelSink(HttpSink):
    """One data collection rule.

    Args:
        name: its name in the settings.
        receiver: where it is, and who writes there.
        clock: seconds since 1970.
    """

    def __init__(self, name: str, receiver: SentinelReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self.url = (
            self.url / "dataCollectionRules" / receiver.rule / "streams" / receiver.stream
        ).with_query({"api-version": API_VERSION})
        self.batch = receiver.batch
        self._token_url = URL(receiver.authority.get_secret_value()) / receiver.tenant / "oauth2/v2.0/token"
        self._login = {
            "client_id": receiver.client_id,
            "client_secret": receiver.client_secret.get_secret_value(),
            "scope": receiver.scope,
            "grant_type": "client_credentials",
        }
        self._token = ""
        self._token_until = 0.0
        self._asking = asyncio.Lock()

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """All rows in one array, gzipped."""
        rows = orjson.dumps([row(delivery) for delivery in deliveries])
        return Request(
            self.url,
            gzip.compress(rows, mtime=0),
            {"content-encoding": "gzip", "authorization": f"Bearer {self._token}"},
        )

    async def exchange(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Send with a token; one that is refused was revoked, so it is asked for anew once."""
        try:
            kept = await self._ensure_token()
            answer = await self.post(self.request(deliveries))
            if answer.status == 401 and kept:
                self._token_until = 0.0
                await self._ensure_token()
                answer = await self.post(self.request(deliveries))
        except _NoTokenError as exc:
            return [exc.outcome] * len(deliveries)
        if answer.status == 401:
            self._token_until = 0.0
        return self.judge(answer, deliveries)

    def verdict(self, answer: Answer) -> Outcome:
        """204 is Azure's yes; 400 and 404 say that rule, stream and rows do not fit together."""
        status = answer.status
        if status in (400, 404):
            return Outcome(
                "refused" if status == 400 else "retry",
                f"HTTP {status}: Azure knows no such rule or stream, or the rows do not fit it; "
                f"see receivers.{self.name}.rule and stream",
                status,
            )
        if 200 <= status < 300 and status != 204:
            return Outcome("retry", f"HTTP {status} instead of 204: not the Logs Ingestion API?", status)
        return super().verdict(answer)

    async def _ensure_token(self) -> bool:
        """Returns whether the token is one that was used before.

        Raises:
            _NoTokenError: there is none to be had.
        """
        async with self._asking:
            if self.clock() < self._token_until:
                return True
            asked = Request(
                self._token_url,
                urlencode(self._login).encode(),
                {"content-type": "application/x-www-form-urlencoded"},
            )
            answer = await self.post(asked)
            self._token, lasts = self._read_token(answer)
            self._token_until = self.clock() + max(lasts - MARGIN, 0.0)
            return False

    def _read_token(self, answer: Answer) -> tuple[str, float]:
        detail = f"no token: HTTP {answer.status} from Entra"
        try:
            if answer.status == 200:
                token = msgspec.json.decode(answer.body, type=_Token)
                if token.access_token.isascii() and token.access_token.isprintable():
                    return token.access_token, token.expires_in
            said = msgspec.json.decode(answer.body, type=_Refusal).error
            if _PLAIN.fullmatch(said):
                detail += f", {said}; see tenant, client_id and client_secret of receivers.{self.name}"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            detail += ", but not its answer; is the authority right?"
        raise _NoTokenError(Outcome("retry", detail, answer.status, answer.after))


def row(delivery: Delivery) -> dict[str, Any]:
    """The alert as a row of the stream: columns to search by, and the whole OCSF alert in `Alert`."""
    notice = read(delivery)
    return {
        "TimeGenerated": notice.utc(),
        "MessageId": notice.id,
        "EpisodeId": notice.uid,
        "Activity": notice.stage,
        "SeverityId": notice.severity,
        "Severity": notice.severity_name("en"),
        "Message": notice.text("en"),
        "MessageVi": notice.texts["vi"],
        "Detector": notice.detector,
        "DetectorVersion": notice.version,
        "UserId": notice.person,
        "Carrier": notice.carrier,
        "Site": notice.site,
        "Records": notice.records,
        "RiskScore": notice.risk,
        "StartTime": _moment(notice.started),
        "EndTime": _moment(notice.ended),
        "Alert": orjson.Fragment(delivery.body),
    }


def _moment(ms: int) -> str | None:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") if ms else None
