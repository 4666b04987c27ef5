"""Any JSON or CSV log, with a mapping file that says where each native field stands."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

import msgspec

from streams.admit.translation import Headers
from streams.admit.validate import RefusalError
from streams.formats.base import Format, json_elements, json_object
from streams.formats.mapping import Mapping, MappingError, compiled
from streams.formats.native import native_fields
from streams.formats.paths import lookup, put_at

#: Bytes that a record's entries may come to. Each has what they share, so that few bytes may become very many.
LARGEST_WHOLE = 8 << 20


class Mapped(Format):
    """Any log of JSON objects, of CSV lines, or of lines that a regular expression takes apart.

    With `[fields]` only those are read; without, members that are named like native fields.
    """

    name = "mapping"
    summary = "any JSON, CSV or text log, by a mapping file of some ten lines"
    names_carrier = True

    def __init__(self, mapping: Mapping | None = None, carrier: str = "") -> None:
        super().__init__(mapping, carrier)
        if mapping is None:
            raise MappingError("the format mapping needs a mapping file; set input_mapping (--mapping FILE)")
        self._line: re.Pattern[str] | None = compiled(mapping.line, "line") if mapping.line else None
        if columns := mapping.columns or (list(self._line.groupindex) if self._line else []):
            self.check_columns(columns)

    @property
    def needs_header(self) -> bool:
        """Whether lines that are not JSON say nothing unless a header names their cells."""
        return self._line is None and not self.mapping.columns

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raises MappingError when the mapping names a column that there is not."""
        if missing := set(self.mapping.fields.values()).difference(columns):
            raise MappingError(
                f"there is no column {', '.join(map(repr, sorted(missing)))}; "
                f"the columns are {', '.join(map(repr, columns))}"
            )

    def documents(self, value: bytes, headers: Headers) -> Iterator[tuple[bytes, Any]]:
        mapping = self.mapping
        if self._line is not None or (mapping.columns and not value.lstrip().startswith(b"{")):
            yield value, self._cells(value)
            return
        raws = json_elements(value) if mapping.each and value.lstrip()[:1] == b"[" else [value]
        whole = 0
        for raw in raws:
            for entry, document in self._elements(raw):
                whole += len(entry)
                if whole > LARGEST_WHOLE:
                    text = f"the entries, each with what they share, have more than {LARGEST_WHOLE} bytes"
                    raise RefusalError("too_large", text, f"$.{mapping.each}")
                yield entry, document

    def _elements(self, value: bytes) -> Iterator[tuple[bytes, Any]]:
        """A JSON object, or each element of the list that the mapping names in it."""
        path = self.mapping.each
        document = json_object(value)
        elements = lookup(document, path) if path else None
        if not isinstance(elements, list) or not elements:
            yield value, document
            return
        for element in elements:
            # An element has what the whole record says of all of them, and reads the same on its own.
            members = element if isinstance(element, dict) else {"value": element}
            yield (
                msgspec.json.encode(put_at(document, path, [element])),
                {**put_at(document, path, None), **members},
            )

    def translate(self, document: Any) -> dict[str, Any]:
        return {} if self.mapping.fields else native_fields(document)

    def _cells(self, value: bytes) -> dict[str, str]:
        line = text_of(value)
        if self._line is not None:
            found = self._line.search(line)
            if found is None:
                raise RefusalError("not_this_format", "the line does not match the mapping's `line`")
            return {name: cell for name, cell in found.groupdict().items() if cell}
        cells = csv_cells(line, self.mapping.delimiter)
        names = self.mapping.columns
        if len(cells) != len(names):
            raise RefusalError(
                "not_this_format", f"{len(cells)} cells, where the mapping names {len(names)} columns"
            )
        return {name: cell for name, cell in zip(names, cells, strict=True) if cell}


def text_of(value: bytes) -> str:
    """A line of a text log. Raises RefusalError when it is not UTF-8."""
    try:
        return value.decode().rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise RefusalError("not_this_format", f"not UTF-8 at byte {exc.start}") from None


def csv_cells(line: str, delimiter: str = ",") -> list[str]:
    """The cells of one record of CSV, which may hold line breaks in quotes. Raises RefusalError."""
    csv.field_size_limit(1 << 24)
    try:
        # As lines end in files: a form feed or U+2028 within a statement would hide what stands behind it.
        return next(csv.reader(StringIO(line, newline=""), delimiter=delimiter), [])
    except csv.Error:
        raise RefusalError("not_this_format", "the line is not CSV") from None
