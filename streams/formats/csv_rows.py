"""Rows of CSV become native fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import orjson

from streams.formats.mapping import FIELDS, NESTED, Mapping, MappingError, convert_constants, put

DELIMITERS = ",;\t|"
#: A file without a mapping is taken for CSV when its first line names at least this many fields.
HEADER_FIELDS = 3


def delimiter_of(header: str) -> str:
    """What separates the header's columns: the commonest of comma, semicolon, tab and bar."""
    return max(DELIMITERS, key=header.count)


def is_header(line: str) -> bool:
    """Whether a line names columns that are fields of the contracts."""
    names = {name.strip().strip('"') for name in line.split(delimiter_of(line))}
    return len(names & FIELDS) >= HEADER_FIELDS


def row_encoder(mapping: Mapping, header: Sequence[str]) -> Callable[[list[str]], bytes]:
    """A function from a row's cells to its JSON value.

    Empty cells are left out; `records` becomes a number and `service` true or false where the cell says so. A row
    that is not the header's length is given back as a JSON array, one that is not UTF-8 as it stood. The function
    raises IgnoredError for a row that the mapping leaves out.

    Raises:
        MappingError: a column that the header does not have.
    """
    columns = mapping.fields or {name: name for name in header if name in FIELDS}
    missing = [column for column in columns.values() if column not in header]
    if missing:
        raise MappingError(
            f"there is no column {', '.join(map(repr, missing))}; the columns are {', '.join(map(repr, header))}"
        )
    places = [(field, header.index(column)) for field, column in columns.items()]
    constants = convert_constants(mapping.constants)
    return _encoder(places, constants, mapping.converters(), len(header))


def _encoder(
    places: list[tuple[str, int]],
    constants: dict[str, Any],
    converters: dict[str, Callable[[str], Any]],
    width: int,
) -> Callable[[list[str]], bytes]:
    """Plain cells are copied in one go, the few that need work handled apart: this runs for every row."""
    names = [field for field, _ in places if field not in converters and field not in NESTED]
    # With two places at least, itemgetter gives a tuple; what the padding gives, zip leaves out.
    cells_of = itemgetter(*[at for field, at in places if field in set(names)], 0, 0)
    special = [(field, at, converters.get(field)) for field, at in places if field not in names]
    constant = {field: value for field, value in constants.items() if field not in NESTED}
    nested = [(field, value) for field, value in constants.items() if field in NESTED]
    dumps = orjson.dumps

    def encode(row: list[str]) -> bytes:
        try:
            if len(row) != width:
                return dumps(row)
            cells = cells_of(row)
            value: dict[str, Any] = dict(zip(names, cells, strict=False))
            if "" in cells:
                value = {field: cell for field, cell in value.items() if cell}
            value.update(constant)
            for field, at, convert in special:
                if cell := row[at]:
                    put(value, field, convert(cell) if convert else cell)
            for field, cell in nested:
                put(value, field, cell)
            return dumps(value)
        except orjson.JSONEncodeError:
            # Not UTF-8, or a number past 64 bits: as it stood, for `admit` to reject with the reason.
            return ",".join(row).encode("utf-8", "surrogateescape")

    return encode
