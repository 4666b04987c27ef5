"""Elastic Common Schema events. Source: ECS 9.x, fields of event, user, source, url, http."""

from __future__ import annotations

from typing import Any

from detectors.base import ACTIONS
from streams.admit.translation import IgnoredError
from streams.admit.validate import RefusalError
from streams.formats.base import Format, address, required, resolved
from streams.formats.paths import text, texts

#: Action by event.type, where event.action is none of parcelwatch's; deleting and creating show nobody anything.
TYPES = {"access": "view", "change": "update"}
_SHOWS_NOTHING = {"creation", "deletion", "installation", "connection", "protocol", "end"}


class Ecs(Format):
    """ECS events, nested or with dotted keys; parcels are `labels.parcel`, or what patterns find in the URL."""

    name = "ecs"
    summary = "Elastic Common Schema events of applications and web servers"

    def translate(self, document: Any) -> dict[str, Any]:
        time = text(document, "@timestamp")
        if not time and "time" not in self.mapping.fields:
            raise RefusalError("not_this_format", "no ECS event: it has no @timestamp", "$.@timestamp")
        if text(document, "event.kind") not in ("", "event"):
            raise IgnoredError("other_class")
        actor = text(document, "user.id", "user.name")
        action = self._action(document)
        return {
            "time": time,
            "id": text(document, "event.id"),
            "actor": actor if "actor" in self.mapping.fields else required(actor, "$.user.id"),
            "action": action,
            "parcels": [] if self.mapping.patterns else texts(document, "labels.parcel"),
            "system": text(document, "service.name", "event.dataset"),
            "ip": address(text(document, "source.ip", "client.ip")),
            "device": text(document, "device.id"),
            "outcome": _outcome(document),
        }

    def text(self, document: Any) -> str:
        return resolved(text(document, "url.path", "url.original", "url.full"))

    def _action(self, document: Any) -> str:
        action = text(document, "event.action")
        if action in ACTIONS or action in self.mapping.values.get("action", ()):
            return action
        types = texts(document, "event.type")
        if "authentication" in texts(document, "event.category") and "start" in types:
            return "login"
        for name in types:
            if name in TYPES:
                return TYPES[name]
        if types and set(types) <= _SHOWS_NOTHING:
            raise IgnoredError("other_operation")
        if not action and not self.mapping.patterns:
            raise RefusalError("missing_field", "nothing says what was done", "$.event.action")
        # Where a pattern or the mapping names none, admit refuses this one by name.
        return action or "view"


def _outcome(document: Any) -> str:
    outcome = text(document, "event.outcome")
    if outcome in ("success", "failure"):
        return outcome
    status = text(document, "http.response.status_code")
    return "failure" if len(status) == 3 and status.isdecimal() and status >= "300" else ""
