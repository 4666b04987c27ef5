"""What admit expects of a translator of foreign records; `streams.formats` has one for each format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]

#: Why an entry of a foreign log is passed over, and what that says. It is counted, never rejected.
IGNORED = {
    "other_class": "an event of a class that tells of no access to data",
    "other_operation": "an operation that shows nobody anything, such as deleting",
    "not_selected": "the mapping file's `only` or `values` leaves it out",
    "no_pattern": "none of the mapping file's patterns matches its path, object key or statement",
    "not_audit": "a line of the database's log that is no audit entry",
}


class IgnoredError(Exception):
    """An entry that is of no concern here. `reason` is a key of IGNORED."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Entry(NamedTuple):
    """One entry of a foreign record.

    Attributes:
        raw: its bytes; what is sealed when it is rejected, readable by the same format again.
        outcome: fields of an access event by name, or why there are none (a `RefusalError` or an `IgnoredError`).
    """

    raw: bytes
    outcome: dict[str, Any] | Exception


class Translator(Protocol):
    """Turns a foreign record into entries."""

    def entries(self, value: bytes, headers: Headers = ()) -> list[Entry]:
        """What a record holds, at least one entry; never raises."""

    def pack(self, raws: Sequence[bytes]) -> bytes:
        """Raw entries as one record that this format reads again."""
