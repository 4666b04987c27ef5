"""Tables of what carriers may send: every field of the inbound topics."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec

from streams.flow.events import AccessEvent, ContextEvent, Reason, StaffRecord
from streams.reference.docstrings import attributes
from streams.reference.markdown import code, table

#: By the name of the generated part.
KINDS: dict[str, type[msgspec.Struct]] = {
    "access events": AccessEvent,
    "parcel context": ContextEvent,
    "staff directory": StaffRecord,
}
_TYPES: dict[Any, str] = {
    str: "text",
    int | None: "whole number",
    list[str]: "list of texts",
    bool: "true or false",
    Reason | None: "object",
}


def fields_table(kind: type[msgspec.Struct]) -> str:
    """A row for each field: its type, whether it is required, what it means. Required ones come first."""
    meanings, types = attributes(kind), get_type_hints(kind)
    rows = [
        (
            code(field.name),
            "time" if field.name == "time" else _TYPES[types[field.name]],
            "yes" if field.required else "no",
            meanings[field.name],
        )
        for field in msgspec.structs.fields(kind)
    ]
    return table(("field", "type", "required", "meaning"), rows)
