"""A carrier's log as native values, whatever it is written in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.admit.translation import IgnoredError
from streams.admit.validate import RefusalError
from streams.formats.base import Format
from streams.formats.mapping import Mapping
from streams.history.files import Progress, read_entries, read_values


class Aside(NamedTuple):
    """An entry that becomes no value: the number of its record in the file, its bytes, and why."""

    number: int
    raw: bytes
    why: RefusalError | IgnoredError


class Translated(Iterator[bytes]):
    """Native values of a log, in its order.

    Args:
        path, source, progress: as for `read_entries`.
        aside: called with each entry that becomes no value.

    Attributes:
        number: of the record that the last value came from, from 1.
    """

    def __init__(
        self,
        path: Path | str,
        source: Format,
        progress: Progress | None = None,
        aside: Callable[[Aside], None] = lambda _: None,
    ) -> None:
        self.number = 0
        self._aside = aside
        self._entries = read_entries(path, source, progress)

    def __next__(self) -> bytes:
        """Raises FileError, see `read_entries`."""
        for number, (raw, outcome) in self._entries:
            self.number = number
            if isinstance(outcome, dict):
                return _encoded(outcome)
            assert isinstance(outcome, RefusalError | IgnoredError), "what `Entry.outcome` may be"
            self._aside(Aside(number, raw, outcome))
        raise StopIteration


class LogFile(NamedTuple):
    """A carrier's log: which topic it would be sent to, where it is, how its columns are named or in which format."""

    topic: str
    path: Path
    mapping: Mapping | None = None
    source: Format | None = None

    def values(
        self, progress: Callable[[int], None], aside: Callable[[Aside], None] = lambda _: None
    ) -> Iterator[bytes]:
        """Its native values. Raises FileError, see `read_values` and `Translated`."""
        if self.source is None:
            return read_values(self.path, self.mapping, progress)
        return Translated(self.path, self.source, progress, aside)


def _encoded(fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(fields)
    except OverflowError:
        return json.dumps(fields).encode()  # a number past 64 bits, which admit caps
