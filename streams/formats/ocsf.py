"""OCSF 1.x events of access to data: Web Resources Activity, API Activity, Datastore Activity.

Source: OCSF schema 1.8.0, classes 6001, 6003, 6005.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from streams.admit.translation import IgnoredError
from streams.admit.validate import RefusalError
from streams.formats.base import Format, address, number_time, required
from streams.formats.paths import lookup, text, texts

WEB, API, DATASTORE = 6001, 6003, 6005
#: Action by class and activity_id; activities that are not here show nobody anything.
ACTIVITIES = {
    WEB: {2: "view", 3: "update", 5: "search", 7: "export", 8: "export"},
    API: {2: "view", 3: "update"},
    DATASTORE: {1: "view", 2: "update", 3: "login", 4: "search", 5: "update", 8: "list"},
}
_PARCELS = {
    WEB: ("web_resources.uid", "web_resources.name"),
    API: ("resources.uid", "resources.name"),
    DATASTORE: ("resources.uid", "resources.name"),
}
_TEXTS = {
    WEB: ("web_resources.url_string", "http_request.url.path", "http_request.url.url_string"),
    API: ("http_request.url.path", "http_request.url.url_string", "api.operation"),
    DATASTORE: ("query_info.query_string",),
}
_CHANNELS = {WEB: "ui", API: "api"}
#: OCSF's status_id.
_SUCCESS, _FAILURE = 1, 2


class Ocsf(Format):
    """OCSF classes 6001, 6003 and 6005; parcels are the resources' uids, or what patterns find."""

    name = "ocsf"
    summary = "OCSF 1.x: Web Resources, API and Datastore Activity (6001, 6003, 6005)"

    def translate(self, document: Any) -> dict[str, Any]:
        kind = document.get("class_uid")
        if isinstance(kind, bool) or not isinstance(kind, int):
            raise RefusalError(
                "not_this_format", "no OCSF event: it has no number as class_uid", "$.class_uid"
            )
        if kind not in ACTIVITIES:
            raise IgnoredError("other_class")
        activity = document.get("activity_id")
        if isinstance(activity, bool) or not isinstance(activity, int):
            raise RefusalError("missing_field", "the activity_id is no number", "$.activity_id")
        action = ACTIVITIES[kind].get(activity, "")
        if not action and "action" not in self.mapping.fields:
            raise IgnoredError("other_operation")
        return {
            "time": _time(document),
            "id": text(document, "metadata.uid"),
            "actor": required(text(document, "actor.user.uid", "actor.user.name"), "$.actor.user.uid")
            if "actor" not in self.mapping.fields
            else "",
            "action": action,
            "parcels": [] if self.mapping.patterns else texts(document, *_PARCELS[kind]),
            "system": text(document, "metadata.product.name", "metadata.product.uid"),
            "channel": _CHANNELS.get(kind, ""),
            "ip": address(text(document, "src_endpoint.ip")),
            "device": text(document, "device.uid", "src_endpoint.uid"),
            "outcome": _outcome(document),
        }

    def text(self, document: Any) -> str:
        return text(document, *_TEXTS[document["class_uid"]])


def _time(document: dict[str, Any]) -> str:
    written = document.get("time_dt")
    if isinstance(written, str) and written:
        return written
    offset = document.get("timezone_offset")
    minutes = offset if type(offset) is int and abs(offset) < 24 * 60 else 0
    if "time" not in document:
        raise RefusalError("missing_field", "the event has no time", "$.time")
    return number_time(document["time"], "$.time", timezone(timedelta(minutes=minutes)))


def _outcome(document: dict[str, Any]) -> str:
    status = lookup(document, "status_id")
    if status == _FAILURE:
        return "failure"
    code = lookup(document, "http_response.code")
    if status != _SUCCESS and type(code) is int and code >= 300:
        return "failure"
    return ""
