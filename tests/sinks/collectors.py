"""Real HTTP servers that behave as Splunk, Elasticsearch and Azure document their APIs."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from streams.receivers import ElasticReceiver, SentinelReceiver, SplunkReceiver
from streams.sinks.elastic import ElasticSink
from streams.sinks.http import HttpSink
from streams.sinks.sentinel import SentinelSink
from streams.sinks.splunk import SplunkSink
from tests.sinks.apis import SECRET, Api


class Collector(Api):
    """A server whose bodies are not all JSON.

    Attributes:
        poison: ids of messages that it never takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.poison: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp's server undoes gzip
        self.requests.append((request.method, request.path, body))
        if self.trouble:
            answer = self.trouble.pop(0)
            if answer is None:
                await asyncio.Event().wait()
            assert answer is not None
            return answer
        return self.answer(request, body)


class Splunk(Collector):
    """Keeps events; refuses a request as a whole when one of its events is not understood."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.path != "/services/collector/event":
            return web.json_response({"text": "The requested URL was not found.", "code": 404}, status=404)
        if request.headers.get("authorization") != f"Splunk {SECRET}":
            return web.json_response({"text": "Invalid token", "code": 4}, status=403)
        events, decoder, text = [], json.JSONDecoder(), body.decode()
        while text.strip():
            event, end = decoder.raw_decode(text.lstrip())
            text = text.lstrip()[end:]
            events.append(event)
        for number, event in enumerate(events):
            if not event.get("event") or event["fields"]["message_id"] in self.poison:
                said = {"text": "Invalid data format", "code": 6, "invalid-event-number": number}
                return web.json_response(said, status=400)
        self.events += events
        return web.json_response({"text": "Success", "code": 0})

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        receiver = SplunkReceiver(**self.settings(kind="splunk", token=SecretStr(secret), **more))
        return SplunkSink("soc", receiver)


class Elastic(Collector):
    """A data stream: takes `create` alone, and says of each document what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, dict[str, Any]] = {}

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.headers.get("authorization") != f"ApiKey {SECRET}":
            return web.json_response({"error": {"type": "security_exception"}, "status": 401}, status=401)
        assert request.path == "/logs-parcelwatch.alerts-default/_bulk"
        assert request.content_type == "application/x-ndjson"
        assert body.endswith(b"\n")
        lines = [json.loads(line) for line in body.splitlines()]
        items = [self._create(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
        return web.json_response({"errors": any(item["status"] > 299 for item in items),
                                  "items": [{"create": item} for item in items]})  # fmt: skip

    def _create(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        [(verb, head)] = action.items()
        id_ = head["_id"]
        if verb != "create":
            return {"status": 400, "error": {"type": "illegal_argument_exception"}}
        if id_ in self.poison:
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": "of 0901234567"}}
        if id_ in self.documents:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
        self.documents[id_] = document
        return {"status": 201}

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        receiver = ElasticReceiver(**self.settings(kind="elastic", api_key=SecretStr(secret), **more))
        return ElasticSink("soc", receiver)


class Azure(Collector):
    """Entra and the Logs Ingestion API in one: tokens for who knows the secret, rows from who has a token."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.lasts = 3599

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.path == "/tenant-1/oauth2/v2.0/token":
            return self._token(body.decode())
        assert request.path == "/dataCollectionRules/dcr-0123/streams/Custom-Parcelwatch"
        assert request.query["api-version"] == "2023-01-01"
        assert request.headers["content-encoding"] == "gzip"
        if not self.tokens or request.headers["authorization"] != f"Bearer {self.tokens[-1]}":
            return web.json_response({"error": {"code": "InvalidToken"}}, status=401)
        rows = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        if len(body) > 1024 * 1024 or len(rows) > 2:
            return web.json_response({"error": {"code": "ContentLengthLimitExceeded"}}, status=413)
        self.rows += rows
        return web.Response(status=204)

    def _token(self, form: str) -> web.Response:
        if f"client_secret={SECRET}" not in form or "grant_type=client_credentials" not in form:
            said = {"error": "invalid_client", "error_description": f"AADSTS7000215: {form}"}
            return web.json_response(said, status=401)
        self.tokens.append(f"token-{len(self.tokens)}")
        return web.json_response(
            {"token_type": "Bearer", "expires_in": self.lasts, "access_token": self.tokens[-1]}
        )

    def sink(self, secret: str = SECRET, **more: Any) -> SentinelSink:
        clock = {"clock": more.pop("clock")} if "clock" in more else {}
        settings = self.settings(
            kind="sentinel", rule="dcr-0123", tenant="tenant-1", client_id="app-1",
            client_secret=SecretStr(secret), authority=SecretStr(self.url), **more,
        )  # fmt: skip
        return SentinelSink("soc", SentinelReceiver(**settings), **clock)


COLLECTORS: dict[str, type[Collector]] = {"splunk": Splunk, "elastic": Elastic, "sentinel": Azure}
