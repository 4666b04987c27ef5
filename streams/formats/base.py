"""What every input format has in common: entries out of a record, the mapping applied to them, nothing ever raised."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from posixpath import normpath
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from streams.admit.translation import Entry, Headers, IgnoredError
from streams.admit.validate import MOST_PARCELS, RefusalError, refusal_of
from streams.formats.mapping import LISTS, Mapping, MappingError, compiled, convert_constants, put
from streams.formats.paths import lookup, scalar, texts
from streams.formats.times import from_epoch

#: Longest text that patterns are tried on, characters; a longer one is cut.
LONGEST_TEXT = 1 << 16
_json = msgspec.json.Decoder()
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError)


class Format(ABC):
    """One input format.

    Args:
        mapping: what is particular to this source.
        carrier: code of the carrier whose log it is, where neither the log nor the mapping says.

    Attributes:
        name: as in the setting `input_format`.
        summary: what it reads, in half a sentence.
        names_carrier: whether its entries say which carrier's they are.

    Raises:
        MappingError: the mapping lacks what this format needs.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    names_carrier: ClassVar[bool] = False

    def __init__(self, mapping: Mapping | None = None, carrier: str = "") -> None:
        self.mapping = mapping = mapping or Mapping()
        mapping.check()
        known = self.names_carrier or "carrier" in mapping.fields or "carrier" in mapping.constants
        if not (carrier or known):
            raise MappingError(
                f"the format {self.name} does not say whose log it is; set input_carrier (--set carrier=CODE), or "
                "give the carrier in the mapping's [constants] or [fields]"
            )
        self._carrier = carrier
        self._constants = convert_constants(mapping.constants)
        self._converters = mapping.converters()
        self._patterns = [(compiled(pattern.match, "match"), pattern) for pattern in mapping.patterns]
        self.zone = mapping.zone()

    def entries(self, value: bytes, headers: Headers = ()) -> list[Entry]:
        """What a record holds; never raises. See `streams.admit.translation`."""
        try:
            documents = list(self.documents(value, headers))
        except RefusalError as refusal:
            return [Entry(self.sealed(value, headers), refusal)]
        return [Entry(raw, self.outcome(document)) for raw, document in documents]

    def pack(self, raws: Sequence[bytes]) -> bytes:
        """Entries' bytes as one record that this format reads again."""
        return b"[" + b",".join(raws) + b"]"

    def sealed(self, value: bytes, headers: Headers) -> bytes:
        """What is kept of a record that cannot be read at all; readable without its headers."""
        return value

    def continues(self, line: bytes) -> bool:
        """Whether a line of a file is not a whole entry: the next one belongs to it."""
        return False

    def documents(self, value: bytes, headers: Headers) -> Iterator[tuple[bytes, Any]]:
        """A record's entries: their bytes, and decoded. One JSON object, where a format says nothing else.

        Raises:
            RefusalError: naming the fault.
        """
        yield value, json_object(value)

    @abstractmethod
    def translate(self, document: Any) -> dict[str, Any]:
        """Native fields of one entry, as far as the format knows them; empty texts and None count as not said.

        Raises:
            RefusalError: naming the fault.
            IgnoredError: it is of no concern.
        """

    def text(self, document: Any) -> str:
        """What patterns are tried on."""
        return ""

    def outcome(self, document: Any) -> dict[str, Any] | Exception:
        """Fields of an access event that a decoded entry becomes, or why there are none."""
        try:
            return self._fields(document)
        except (RefusalError, IgnoredError) as exc:
            return exc
        except RecursionError as exc:
            return refusal_of(exc)

    def _fields(self, document: Any) -> dict[str, Any]:
        mapping = self.mapping
        for path, allowed in mapping.only.items():
            if not any(value in allowed for value in texts(document, path)):
                raise IgnoredError("not_selected")
        fields = {
            name: value for name, value in self.translate(document).items() if value not in (None, "", [])
        }
        if self._patterns:
            self._match(document, fields)
        for field, path in mapping.fields.items():
            self._take(fields, field, lookup(document, path))
        for field in mapping.values.keys() - mapping.fields.keys():
            if isinstance(value := fields.get(field), str):
                fields[field] = self._converters[field](value)
        for field, value in self._constants.items():
            put(fields, field, value)
        if self._carrier and "carrier" not in fields:
            fields["carrier"] = self._carrier
        return fields

    def _match(self, document: Any, fields: dict[str, Any]) -> None:
        text = scalar(lookup(document, self.mapping.text)) if self.mapping.text else self.text(document)
        head = text[:LONGEST_TEXT]
        tried = ((p, list(islice(e.finditer(head), MOST_PARCELS + 1))) for e, p in self._patterns)
        pattern, found = next(((p, matches) for p, matches in tried if matches), (None, []))
        if pattern is None and len(text) > LONGEST_TEXT:
            # Not ignored: a long comment in a statement would hide what it reads.
            said = f"no pattern matches in the first {LONGEST_TEXT} characters of the text, and it is longer"
            raise RefusalError("too_large", said)
        if pattern is None:
            raise IgnoredError("no_pattern")
        groups = found[0].re.groupindex
        if "parcel" in groups:
            fields["parcels"] = [unquote(parcel) for match in found if (parcel := match["parcel"])]
        for group in groups.keys() - {"parcel"}:
            if value := found[0][group]:
                fields[group] = unquote(value)
        for name in ("action", "fields", "system"):
            if value := getattr(pattern, name):
                fields[name] = value

    def _take(self, fields: dict[str, Any], field: str, value: Any) -> None:
        """Set a field to what a path leads to, with the field's type."""
        convert = self._converters.get(field)
        if field in LISTS and isinstance(value, list):
            fields[field] = [one for entry in value if (one := scalar(entry))]
            return
        if isinstance(value, dict):
            raise RefusalError(
                "wrong_type", "expected a text, got an object", f"$.{self.mapping.fields[field]}"
            )
        if cell := scalar(value):
            put(fields, field, convert(cell) if convert else cell)


def json_value(value: bytes) -> Any:
    """Decoded JSON. Raises RefusalError."""
    try:
        return _json.decode(value)
    except _UNREADABLE as exc:
        raise refusal_of(exc) from None


def json_object(value: bytes) -> dict[str, Any]:
    """A decoded JSON object. Raises RefusalError."""
    document = json_value(value)
    if not isinstance(document, dict):
        raise RefusalError("wrong_type", "expected an object", "$")
    return document


def json_elements(value: bytes) -> list[bytes]:
    """The elements of a JSON array, each in its own bytes. Raises RefusalError."""
    try:
        return [bytes(raw) for raw in _rows.decode(value)]
    except _UNREADABLE as exc:
        raise refusal_of(exc) from None


def required(found: str, where: str) -> str:
    """A text that must be there. Raises RefusalError."""
    if not found:
        raise RefusalError("missing_field", f"nothing stands at {where.removeprefix('$.')}", where)
    return found


def number_time(value: Any, where: str, zone: Any) -> str:
    """RFC 3339 of milliseconds since 1970. Raises RefusalError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusalError("invalid_time", "the time is no number of milliseconds", where)
    at = from_epoch(value, zone=zone)
    if at is None:
        raise RefusalError("invalid_time", "no calendar has this time", where)
    return at


_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_UNRESERVED = re.compile(r"%(?:2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)


def resolved(url: str) -> str:
    """A URL or its path, as servers take it (RFC 3986, 6.2.2): else who writes `/%73hipments/VN1` is not seen.

    What may not stand in a path by itself stays encoded, so that no value is decoded twice.

    >>> resolved("/%73hipments//x/../VN1?q=%2F"), resolved("https://tms/./a/")
    ('/shipments/VN1?q=%2F', 'https://tms/a/')
    """
    if "%" not in url and "//" not in url and "/." not in url:
        return url
    url = _UNRESERVED.sub(lambda found: unquote(found[0]), url)
    origin = found[0] if (found := _AUTHORITY.match(url)) else ""
    path, mark, query = url.removeprefix(origin).partition("?")
    if path.startswith("/"):
        slash = "/" if path.endswith(("/", "/.", "/..")) else ""
        path = "/" + (normpath(path).strip("/") + slash).lstrip("/")
    return origin + path + mark + query


IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


def address(found: str) -> str:
    """An IP address; empty for a host's name, which says nothing of where a person sits."""
    return found if IPV4.fullmatch(found) or ":" in found else ""
