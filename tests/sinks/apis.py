"""Real HTTP servers that behave as PagerDuty, Slack, Teams and TheHive document their APIs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from streams.receivers import PagerDutyReceiver, SlackReceiver, TeamsReceiver, TheHiveReceiver
from streams.sinks.http import HttpSink
from streams.sinks.pagerduty import PagerDutySink
from streams.sinks.slack import SlackSink
from streams.sinks.teams import TeamsSink
from streams.sinks.thehive import TheHiveSink
from tests.receivers import LOCAL

SECRET = "s3cr3t" + "k" * 26


class Api:
    """A server that keeps what it is sent, and can be told to misbehave.

    Attributes:
        requests: (method, path, body) of each request.
        trouble: answers to give instead of its own, once each; None hangs.
    """

    path = "/"

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.trouble: list[web.Response | None] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        body = json.loads(await request.read())
        self.requests.append((request.method, request.path, body))
        if self.trouble:
            answer = self.trouble.pop(0)
            if answer is None:
                await asyncio.Event().wait()
            assert answer is not None
            return answer
        return self.answer(request, body)

    def answer(self, request: web.Request, body: Any) -> web.Response:
        raise NotImplementedError

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        raise NotImplementedError

    def settings(self, **more: Any) -> dict[str, Any]:
        return {"url": SecretStr(self.url), "allow": LOCAL, "timeout": 5.0, **more}


class PagerDuty(Api):
    path = "/v2/enqueue"

    def answer(self, request: web.Request, body: Any) -> web.Response:
        payload = body.get("payload", {})
        wrong = [
            name
            for name, right in {
                "routing_key": body["routing_key"] == SECRET,
                "event_action": body["event_action"] in ("trigger", "resolve"),
                "dedup_key": 0 < len(body["dedup_key"]) <= 255,
                "payload": body["event_action"] == "resolve"
                or (
                    0 < len(payload["summary"]) <= 1024
                    and payload["source"]
                    and payload["severity"] in ("critical", "error", "warning", "info")
                ),
            }.items()
            if not right
        ]
        if wrong:
            return web.json_response({"status": "invalid event", "errors": wrong}, status=400)
        return web.json_response({"status": "success", "dedup_key": body["dedup_key"]}, status=202)

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        settings = self.settings(kind="pagerduty", routing_key=SecretStr(secret), **more)
        return PagerDutySink("soc", PagerDutyReceiver(**settings))


class Slack(Api):
    path = f"/services/T0/B0/{SECRET}"

    def answer(self, request: web.Request, body: Any) -> web.Response:
        if not request.path.endswith(f"/{SECRET}"):
            return web.Response(text="no_service", status=404)
        if not body["text"] or len(body["blocks"]) > 50 or body["blocks"][0]["type"] != "header":
            return web.Response(text="invalid_payload", status=400)
        return web.Response(text="ok")

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        settings = self.settings(kind="slack", **more)
        settings["url"] = SecretStr(self.url.replace(SECRET, secret))
        return SlackSink("soc", SlackReceiver(**settings))


class Teams(Api):
    path = "/workflows/w1/triggers/manual/paths/invoke"

    def answer(self, request: web.Request, body: Any) -> web.Response:
        if request.query["sig"] != SECRET:
            return web.json_response({"error": {"code": "DirectApiAuthorizationRequired"}}, status=401)
        [attachment] = body["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        return web.Response(status=202)

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        settings = self.settings(kind="teams", **more)
        settings["url"] = SecretStr(f"{self.url}?api-version=1&sig={secret}")
        return TeamsSink("soc", TeamsReceiver(**settings))


class TheHive(Api):
    """Keeps alerts; refuses one whose type, source and sourceRef it has, or that names an observable twice."""

    path = "/thehive"

    def __init__(self) -> None:
        super().__init__()
        self.alerts: dict[str, dict[str, Any]] = {}
        self.organisations: list[str | None] = []

    def answer(self, request: web.Request, body: Any) -> web.Response:
        self.organisations.append(request.headers.get("x-organisation"))
        if request.headers["authorization"] != f"Bearer {SECRET}":
            return web.json_response({"type": "AuthenticationError", "message": "..."}, status=401)
        if (request.method, request.path) == ("POST", "/thehive/api/v1/alert"):
            return self._create(body)
        if (request.method, request.path) == ("POST", "/thehive/api/v1/query"):
            wanted = {term["_eq"]["_field"]: term["_eq"]["_value"] for term in body["query"][1]["_and"]}
            found = [kept for kept in self.alerts.values() if wanted.items() <= kept.items()]
            return web.json_response(found[body["query"][2]["from"] : body["query"][2]["to"]])
        change = re.fullmatch(r"/thehive/api/v1/alert/(~\d+)", request.path)
        if request.method == "PATCH" and change and change[1] in self.alerts:
            self.alerts[change[1]].update(body)
            return web.Response(status=204)
        return web.json_response({"type": "NotFoundError"}, status=404)

    def _create(self, body: Any) -> web.Response:
        key = ("type", "source", "sourceRef")
        data = [observable["data"] for observable in body["observables"]]
        if any(all(kept[name] == body[name] for name in key) for kept in self.alerts.values()):
            return web.json_response({"type": "CreateError", "message": "Alert already exists"}, status=400)
        if len(data) != len(set(data)) or not body["title"] or not body["description"]:
            return web.json_response({"type": "CreateError", "message": "..."}, status=400)
        id_ = f"~{len(self.alerts) + 1}"
        self.alerts[id_] = {"_id": id_, "_type": "Alert", "status": "New", **body}
        return web.json_response(self.alerts[id_], status=201)

    def sink(self, secret: str = SECRET, **more: Any) -> HttpSink:
        settings = self.settings(kind="thehive", api_key=SecretStr(secret), **more)
        return TheHiveSink("soc", TheHiveReceiver(**settings))


KINDS: dict[str, type[Api]] = {
    "pagerduty": PagerDuty,
    "slack": Slack,
    "teams": Teams,
    "thehive": TheHive,
}

Start = Callable[[type[Api]], Awaitable[Any]]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Start]:
    """Starts servers for a test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(kind: type[Api]) -> Api:
            api = kind()
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", api.handle)
            server = TestServer(app)
            await server.start_server()
            stack.push_async_callback(server.close)
            api.url = str(server.make_url(api.path))
            return api

        yield start
