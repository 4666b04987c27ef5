"""Access logs of web servers in the combined format.

Source: Apache HTTP Server, mod_log_config; nginx writes the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from streams.admit.translation import Headers, IgnoredError
from streams.admit.validate import RefusalError
from streams.formats.base import Format, address, required, resolved
from streams.formats.mapped import text_of
from streams.formats.mapping import Mapping, MappingError, compiled
from streams.formats.times import common_log

COMBINED = (
    r'^(?P<ip>\S+) \S+ (?P<actor>[^\[]+?) \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>\d{3}) (?P<bytes>\d+|-)(?: "(?:[^"\\]|\\.)*" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
ORIGIN = re.compile(r"^[A-Za-z]+://[^/?#]*")
#: Action by method, where a pattern names none; other methods show nobody anything.
METHODS = {"GET": "view", "POST": "update", "PUT": "update", "PATCH": "update"}


class WebLog(Format):
    """Lines of an access log; patterns say which paths show parcels.

    The actor is the authenticated user. Where the server logs the user elsewhere, the mapping's `line` is the regular
    expression of a line; its groups are `time`, `actor`, `ip`, `request` or `method` and `path`, `status`.
    """

    name = "weblog"
    summary = "web-server access logs (combined format, or a regular expression), with URL patterns"

    def __init__(self, mapping: Mapping | None = None, carrier: str = "") -> None:
        super().__init__(mapping, carrier)
        if not self.mapping.patterns:
            raise MappingError(
                "the format weblog needs [[patterns]] in a mapping file: which paths show parcels, for example "
                "match = '^/shipments/(?P<parcel>\\w+)'"
            )
        self._line: re.Pattern[str] = compiled(self.mapping.line or COMBINED, "line")

    def documents(self, value: bytes, headers: Headers) -> Iterator[tuple[bytes, Any]]:
        found = self._line.search(text_of(value))
        if found is None:
            shape = "the mapping's `line`" if self.mapping.line else "the combined format"
            raise RefusalError("not_this_format", f"the line is not as {shape} has it")
        line = {name: cell for name, cell in found.groupdict().items() if cell and cell != "-"}
        method, _, target = line.get("request", "").partition(" ")
        line.setdefault("method", method)
        target = target.rpartition(" ")[0] or target
        # A request may name the server, too (RFC 9112, 3.2.2).
        line.setdefault("path", ORIGIN.sub("", target))
        yield value, line

    def translate(self, document: Any) -> dict[str, Any]:
        action = METHODS.get(document["method"], "")
        if not action:
            raise IgnoredError("other_operation")
        status = document.get("status", "200")
        return {
            "time": common_log(document.get("time", "")),
            "action": action,
            "channel": "ui",
            "ip": address(document.get("ip", "")),
            # A redirect shows nothing, and a copy that is not modified does.
            "outcome": "" if status.startswith("2") or status == "304" else "failure",
        }

    def text(self, document: Any) -> str:
        return resolved(document["path"])

    def _match(self, document: Any, fields: dict[str, Any]) -> None:
        # Who it was matters only where something was shown: style sheets are fetched by nobody in particular.
        super()._match(document, fields)
        if "actor" not in self.mapping.fields and "actor" not in self.mapping.constants:
            fields["actor"] = required(fields.get("actor") or document.get("actor", ""), "$.actor")
