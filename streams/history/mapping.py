"""From a CSV's columns to the fields of the contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from operator import itemgetter
from typing import Any

import click
import msgspec
import orjson

from streams.flow.events import AccessEvent, ContextEvent, Reason, StaffRecord

_NESTED = {f"reason.{name}" for name in Reason.__struct_fields__}
_PLAIN = {n for struct in (AccessEvent, ContextEvent, StaffRecord) for n in struct.__struct_fields__}
#: Every field a column may become; a dot leads into an object.
FIELDS = frozenset((_PLAIN - {"reason"}) | _NESTED)
#: Fields that are lists; a cell holds any number of entries, separated by semicolons.
LISTS = frozenset({"parcels", "fields", "staff", "shifts"})
DELIMITERS = ",;\t|"
#: A file without a mapping is taken for CSV when its first line names at least this many fields.
HEADER_FIELDS = 3


class MappingError(Exception):
    """A mapping that does not fit the contracts or the file; says which fields or columns there are."""


class CsvMapping(msgspec.Struct, frozen=True):
    """Which column becomes which field, and which fields are the same in every row.

    Attributes:
        columns: column by field; when empty, columns named like a field become it and others are left out.
        constants: value by field.
    """

    columns: dict[str, str] = {}
    constants: dict[str, str] = {}

    @classmethod
    def parse(cls, columns: Sequence[str], constants: Sequence[str]) -> CsvMapping | None:
        """From `FIELD=COLUMN` and `FIELD=VALUE` texts; None when there are none. Raises MappingError."""
        if not columns and not constants:
            return None
        parsed = cls(columns=_pairs(columns, "--map"), constants=_pairs(constants, "--set"))
        if twice := parsed.columns.keys() & parsed.constants.keys():
            raise MappingError(f"{', '.join(sorted(twice))}: given by both --map and --set; choose one")
        return parsed

    @staticmethod
    def delimiter(header: str) -> str:
        """What separates the header's columns: the commonest of comma, semicolon, tab and bar."""
        return max(DELIMITERS, key=header.count)

    @classmethod
    def is_header(cls, line: str) -> bool:
        """Whether a line names columns that are fields of the contracts."""
        names = {name.strip().strip('"') for name in line.split(cls.delimiter(line))}
        return len(names & FIELDS) >= HEADER_FIELDS

    def encoder(self, header: Sequence[str]) -> Callable[[list[str]], bytes]:
        """A function from a row's cells to its JSON value.

        Empty cells are left out; `records` becomes a number and `service` true or false where the cell says
        so. A row that is not the header's length is given back as a JSON array, one that is not UTF-8 as it
        stood.

        Raises:
            MappingError: a column that the header does not have.
        """
        columns = self.columns or {name: name for name in header if name in FIELDS}
        missing = [column for column in columns.values() if column not in header]
        if missing:
            raise MappingError(
                f"there is no column {', '.join(map(repr, missing))}; "
                f"the columns are {', '.join(map(repr, header))}"
            )
        constants = {field: _convert(field, value) for field, value in self.constants.items()}
        return _encoder(
            [(field, header.index(column)) for field, column in columns.items()], constants, len(header)
        )


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not value:
            raise MappingError(
                f"{option} {text!r}: write {option} FIELD={'COLUMN' if option == '--map' else 'VALUE'}"
            )
        if field not in FIELDS:
            raise MappingError(
                f"{option} {text!r}: no field {field!r}; the fields are {', '.join(sorted(FIELDS))}"
            )
        if field in pairs:
            raise MappingError(f"{option} {text!r}: {field} is given twice")
        pairs[field] = value
    return pairs


def _entries(cell: str) -> list[str]:
    if ";" not in cell:
        return [cell]
    return [entry for part in cell.split(";") if (entry := part.strip())]


def _number(cell: str) -> int | str:
    return int(cell) if cell.isascii() and cell.strip().removeprefix("-").isdigit() else cell


def _truth(cell: str) -> bool | str:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
        cell.lower(), cell
    )


_CONVERT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(LISTS, _entries),
    "records": _number,
    "service": _truth,
}


def _convert(field: str, cell: str) -> Any:
    convert = _CONVERT.get(field)
    return convert(cell) if convert else cell


def _encoder(
    places: list[tuple[str, int]], constants: dict[str, Any], width: int
) -> Callable[[list[str]], bytes]:
    """Plain cells are copied in one go, the few that need work handled apart: this runs for every row."""
    names = [field for field, _ in places if field not in _CONVERT and field not in _NESTED]
    # With two places at least, itemgetter gives a tuple; what the padding gives, zip leaves out.
    cells_of = itemgetter(*[at for field, at in places if field in set(names)], 0, 0)
    special = [(field, at, _CONVERT.get(field)) for field, at in places if field not in names]
    constant = {field: value for field, value in constants.items() if field not in _NESTED}
    nested = [(field, value) for field, value in constants.items() if field in _NESTED]
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
                    _put(value, field, convert(cell) if convert else cell)
            for field, cell in nested:
                _put(value, field, cell)
            return dumps(value)
        except orjson.JSONEncodeError:
            # Not UTF-8, or a number past 64 bits: as it stood, for `admit` to reject with the reason.
            return ",".join(row).encode("utf-8", "surrogateescape")

    return encode


def _put(value: dict[str, Any], field: str, cell: Any) -> None:
    if field in _NESTED:
        outer, _, inner = field.partition(".")
        value.setdefault(outer, {})[inner] = cell
    else:
        value[field] = cell


def mapping_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command `--map` and `--set`, and pass it what they say as `mapping: CsvMapping | None`."""

    @wraps(command)
    def with_mapping(*args: Any, columns: Sequence[str], constants: Sequence[str], **kwargs: Any) -> Any:
        try:
            mapping = CsvMapping.parse(columns, constants)
        except MappingError as exc:
            raise click.UsageError(str(exc)) from None
        return command(*args, mapping=mapping, **kwargs)

    for option in (
        click.option(
            "--set",
            "constants",
            multiple=True,
            metavar="FIELD=VALUE",
            help="CSV: give FIELD the same VALUE in every row, e.g. --set carrier=vnx. Repeatable.",
        ),
        click.option(
            "--map",
            "columns",
            multiple=True,
            metavar="FIELD=COLUMN",
            help="CSV: take FIELD from COLUMN, e.g. --map actor=staff; only mapped columns are read then. "
            "Lists (parcels, fields, staff, shifts) are split at semicolons. Repeatable. Without it, "
            "columns named "
            "like fields are taken.",
        ),
    ):
        with_mapping = option(with_mapping)
    return with_mapping
