"""parcelwatch's own events, see docs/events.md. Workers read them without this: it is for looking at files."""

from __future__ import annotations

from typing import Any

from streams.flow.events import AccessEvent
from streams.formats.base import Format


class Native(Format):
    """Access events as docs/events.md describes them; fields beyond them are left out."""

    name = "native"
    summary = "parcelwatch's own events, one JSON object each"
    names_carrier = True

    def translate(self, document: Any) -> dict[str, Any]:
        return native_fields(document)


def native_fields(document: dict[str, Any]) -> dict[str, Any]:
    """Those of a document's members that are fields of an access event."""
    return {name: value for name, value in document.items() if name in AccessEvent.__struct_fields__}
