"""PostgreSQL's pgAudit: entries in csvlog, in jsonlog, or after a log line prefix.

Source: pgAudit's README (format of entries), PostgreSQL manual, "Using CSV-Format Log Output".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from streams.admit.translation import Headers, IgnoredError
from streams.admit.validate import RefusalError
from streams.formats.base import Format, address, json_object, required
from streams.formats.mapped import csv_cells, text_of
from streams.formats.mapping import Mapping, compiled
from streams.formats.paths import text
from streams.formats.times import postgres

#: Columns of csvlog that are read, by place; PostgreSQL 9 to 18 agree on these.
CSV_COLUMNS = {
    0: "timestamp", 1: "user", 2: "dbname", 4: "remote_host", 5: "session_id", 6: "line_num", 13: "message",
    22: "application_name",
}  # fmt: skip
AUDIT_COLUMNS = (
    "audit_type", "statement_id", "substatement_id", "class", "command", "object_type", "object_name", "statement",
    "parameter", "rows",
)  # fmt: skip
#: A line with Debian's `log_line_prefix`: '%m [%p] %q%u@%d '.
LINE = (
    r"^(?P<timestamp>\d{4}-\d\d-\d\d [\d:.]+ \S+) \[(?P<pid>\d+)\] "
    r"(?:(?P<user>[^@\s]+)@(?P<dbname>\S+) )?\w+:\s+(?P<message>AUDIT: [\s\S]*)"
)
_CSV = re.compile(rb"\d{4}-\d\d-\d\d [\d:.]+ [^\s,]+,")
_AUDIT = "AUDIT: "
#: Action by class and command of an entry; others show nobody anything.
COMMANDS = {
    ("READ", "SELECT"): "search",
    ("READ", "COPY"): "export",
    ("READ", "COPY TO"): "export",
    ("WRITE", "UPDATE"): "update",
}


class PgAudit(Format):
    """Entries of pgAudit; patterns find parcels in the statement and its parameters.

    The actor is the database user; where people share one, `[fields] actor = "application_name"`, say. An entry with
    parcels is a view, one without a search.
    """

    name = "pgaudit"
    summary = "PostgreSQL pgAudit: csvlog, jsonlog, or lines with a prefix"

    def __init__(self, mapping: Mapping | None = None, carrier: str = "") -> None:
        super().__init__(mapping, carrier)
        self._line: re.Pattern[str] = compiled(self.mapping.line or LINE, "line")

    def continues(self, line: bytes) -> bool:
        # A statement may have line breaks; it is quoted then. Other lines of a plain log may have any quotes.
        return line.count(b'"') % 2 == 1 and (_CSV.match(line) is not None or b"AUDIT: " in line)

    def documents(self, value: bytes, headers: Headers) -> Iterator[tuple[bytes, Any]]:
        if value.lstrip()[:1] == b"{":
            yield value, json_object(value)
        elif _CSV.match(value):
            cells = csv_cells(text_of(value))
            yield value, {name: cells[at] for at, name in CSV_COLUMNS.items() if at < len(cells)}
        else:
            line = text_of(value)
            found = self._line.search(line)
            if found is None and _AUDIT in line:
                raise RefusalError(
                    "not_this_format",
                    "an audit entry, but the line before it is not as expected: give the mapping's `line`",
                )
            yield value, found.groupdict("") if found else {"message": line}

    def translate(self, document: Any) -> dict[str, Any]:
        entry = self._audited(document)
        action = COMMANDS.get((entry["class"], entry["command"]), "")
        if not action:
            raise IgnoredError("other_operation")
        user = text(document, "user")
        session, number = text(document, "session_id"), text(document, "line_num")
        host = text(document, "remote_host")
        return {
            "time": postgres(required(text(document, "timestamp"), "$.timestamp"), self.zone),
            "id": f"{session}/{number}" if session and number else "",
            "actor": user if "actor" in self.mapping.fields else required(user, "$.user"),
            "action": action,
            "records": int(rows) if (rows := entry.get("rows", "")).isdecimal() and len(rows) < 19 else None,
            "system": text(document, "dbname"),
            "ip": address(host.rpartition(":")[0] if host.count(":") == 1 else host),
        }

    def text(self, document: Any) -> str:
        return f"{document['statement']}\n{document['parameter']}"

    def _fields(self, document: Any) -> dict[str, Any]:
        self._audited(document)
        return super()._fields(document)

    def _match(self, document: Any, fields: dict[str, Any]) -> None:
        super()._match(document, fields)
        if fields.get("parcels") and fields["action"] == "search":
            fields["action"] = "view"

    def _audited(self, document: Any) -> dict[str, str]:
        """The document with what pgAudit says in its message, so that the mapping finds it."""
        if "substatement_id" not in document:
            message = text(document, "message")
            if not message.startswith(_AUDIT):
                raise IgnoredError("not_audit")
            cells = csv_cells(message.removeprefix(_AUDIT))
            if len(cells) < 8:
                raise RefusalError("not_this_format", "the audit entry is cut short", "$.message")
            document.update(dict.fromkeys(AUDIT_COLUMNS, "") | dict(zip(AUDIT_COLUMNS, cells, strict=False)))
        entry: dict[str, str] = document
        return entry
