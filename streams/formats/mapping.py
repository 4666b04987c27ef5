"""The mapping: how the entries of a log become native fields. From a TOML file, or from `--map` and `--set`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from detectors.base import ACTIONS
from streams.admit.translation import IgnoredError
from streams.flow.events import AccessEvent, ContextEvent, Reason, StaffRecord
from streams.formats.times import reader, zone_of

NESTED = {f"reason.{name}" for name in Reason.__struct_fields__}
_PLAIN = {n for struct in (AccessEvent, ContextEvent, StaffRecord) for n in struct.__struct_fields__}
#: Every field a column or path may become; a dot leads into an object.
FIELDS = frozenset((_PLAIN - {"reason"}) | NESTED)
#: What separates the entries of a list in one text, where the mapping says nothing else.
SPLIT = ";"
#: Fields that are lists; a text holds any number of entries.
LISTS = frozenset({"parcels", "fields", "staff", "shifts"})
#: Named groups of a pattern that become something: the parcel, which may be found many times, or a field.
GROUPS = frozenset({"parcel", "actor", "site", "system", "device"})
#: In `values`: what stands for every value that is not listed; a value that becomes "" leaves the entry out.
ANY = "*"


class MappingError(Exception):
    """A mapping that does not fit the contracts or the file; says which fields or columns there are."""


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a path, object key or statement looks like that shows parcels.

    Attributes:
        match: regular expression; its group `parcel` is a parcel id, other GROUPS are the field of their name.
        action, fields, system: of the access, when not empty.
    """

    match: str
    action: str = ""
    fields: list[str] = []
    system: str = ""


class TimeFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a log writes its times.

    Attributes:
        format: `unix`, `unix_ms`, `unix_us`, or as `strptime` has it; empty for ISO 8601.
        zone: IANA name or offset of times that do not say; empty when they do.
    """

    format: str = ""
    zone: str = ""


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a log's entries.

    Attributes:
        fields: column or dotted path by native field; empty for columns named like a field.
        constants: value by native field, the same for every entry.
        values: by native field, what a value of the log becomes; `*` is every other value, "" leaves the entry out.
        time: how times are written.
        patterns: tried in turn on what `text` leads to; when there are any and none matches, the entry is left out.
        text: path of the text that patterns are tried on; empty for the format's own.
        only: by path, the values an entry must have one of.
        each: path of a list whose elements are entries of their own.
        columns: of lines of CSV, where there is no header.
        delimiter: of those.
        split: what separates the entries of a list in one text.
        line: of text logs, a regular expression whose named groups are the entry's columns.
    """

    fields: dict[str, str] = {}
    constants: dict[str, str | int | bool | list[str]] = {}
    values: dict[str, dict[str, str]] = {}
    time: TimeFormat = TimeFormat()
    patterns: list[Pattern] = []
    text: str = ""
    only: dict[str, list[str]] = {}
    each: str = ""
    columns: list[str] = []
    delimiter: str = ","
    split: str = SPLIT
    line: str = ""

    @classmethod
    def parse(cls, columns: Sequence[str], constants: Sequence[str]) -> Mapping | None:
        """From `FIELD=COLUMN` and `FIELD=VALUE` texts; None when there are none. Raises MappingError."""
        if not columns and not constants:
            return None
        fields, fixed = _pairs(columns, "--map"), _pairs(constants, "--set")
        if twice := fields.keys() & fixed.keys():
            raise MappingError(f"{', '.join(sorted(twice))}: given by both --map and --set; choose one")
        return cls(fields=fields, constants={**fixed})

    @classmethod
    def load(cls, path: Path) -> Mapping:
        """From a TOML file.

        Raises:
            MappingError: it cannot be read, or says something that has no meaning; names the place and the remedy.
        """
        try:
            mapping = msgspec.convert(tomllib.loads(path.read_text("utf-8")), cls)
        except OSError as exc:
            raise MappingError(f"cannot read the mapping {path}: {exc.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise MappingError(f"{path} is not TOML: {exc}") from None
        except msgspec.ValidationError as exc:
            raise MappingError(f"{path}: {exc}; docs/formats.md lists what a mapping may say") from None
        try:
            mapping.check()
        except MappingError as exc:
            raise MappingError(f"{path}: {exc}") from None
        return mapping

    def check(self) -> None:
        """Raises MappingError for what has no meaning."""
        for table in ("fields", "constants", "values"):
            if unknown := getattr(self, table).keys() - FIELDS:
                raise MappingError(
                    f"[{table}] no field {', '.join(map(repr, sorted(unknown)))}; "
                    f"the fields are {', '.join(sorted(FIELDS))}"
                )
        if twice := self.fields.keys() & self.constants.keys():
            raise MappingError(f"{', '.join(sorted(twice))}: in both [fields] and [constants]; choose one")
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise MappingError(f"delimiter {self.delimiter!r}: write one character, such as ; or \\t")
        if not self.split:
            raise MappingError("split: write what separates the entries of a list, such as | or ;")
        self.zone()
        actions = {self.constants.get("action", ""), *self.values.get("action", {}).values()}
        actions |= {pattern.action for pattern in self.patterns}
        if wrong := {str(action) for action in actions} - {"", *ACTIONS}:
            raise MappingError(
                f"there is no action {', '.join(map(repr, sorted(wrong)))}; the actions are {', '.join(ACTIONS)}"
            )
        for pattern in self.patterns:
            groups = compiled(pattern.match, "[[patterns]] match").groupindex.keys()
            if unknown := groups - GROUPS:
                raise MappingError(
                    f"[[patterns]] match has the group {', '.join(sorted(unknown))}; "
                    f"those that mean something are {', '.join(sorted(GROUPS))}"
                )
        if self.line and not compiled(self.line, "line").groupindex:
            raise MappingError("line: name what it finds, for example (?P<actor>\\S+)")

    def zone(self) -> Any:
        """The log's time zone, or None. Raises MappingError."""
        try:
            return zone_of(self.time.zone) if self.time.zone else None
        except ValueError as exc:
            raise MappingError(f"[time] zone = {self.time.zone!r}: {exc}") from None

    def converters(self) -> dict[str, Callable[[str], Any]]:
        """By native field, what makes its value of a text; fields that are not here are taken as they stand.

        What they make may still be wrong: admit refuses it with the reason. They raise IgnoredError.
        """
        made = dict(_CONVERT)
        if self.split != SPLIT:
            made |= dict.fromkeys(LISTS, partial(_entries, split=self.split))
        if self.time != TimeFormat():
            made["time"] = reader(self.time.format or None, self.zone())
        for field, table in self.values.items():
            made[field] = _translated(table, made.get(field))
        return made


def compiled(expression: str, where: str) -> re.Pattern[str]:
    """A regular expression. Raises MappingError with `where` it stands."""
    try:
        return re.compile(expression)
    except re.error as exc:
        raise MappingError(f"{where} = {expression!r} is no regular expression: {exc}") from None


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


def _entries(cell: str, split: str = SPLIT) -> list[str]:
    if split not in cell:
        return [cell]
    return [entry for part in cell.split(split) if (entry := part.strip())]


def _number(cell: str) -> int | str:
    # Python takes no number of more digits from a text; admit refuses the text.
    return (
        int(cell)
        if len(cell) < 4_000 and cell.isascii() and cell.strip().removeprefix("-").isdigit()
        else cell
    )


def _truth(cell: str) -> bool | str:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
        cell.lower(), cell
    )


def _translated(table: dict[str, str], convert: Callable[[str], Any] | None) -> Callable[[str], Any]:
    rest = table.get(ANY)

    def translate(cell: str) -> Any:
        value = table.get(cell, cell if rest is None else rest)
        if not value:
            raise IgnoredError("not_selected")
        return convert(value) if convert else value

    return translate


_CONVERT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(LISTS, _entries),
    "records": _number,
    "service": _truth,
}


def put(fields: dict[str, Any], field: str, value: Any) -> None:
    """Set a field; `reason.kind` is one of the object `reason`."""
    if field in NESTED:
        outer, _, inner = field.partition(".")
        reason = fields.get(outer)
        if not isinstance(reason, dict):
            reason = fields[outer] = {}
        reason[inner] = value
    else:
        fields[field] = value


def convert_constants(constants: dict[str, Any]) -> dict[str, Any]:
    """Constants with the types of their fields; a text is read like a cell."""
    return {
        field: _CONVERT[field](value) if isinstance(value, str) and field in _CONVERT else value
        for field, value in constants.items()
    }
