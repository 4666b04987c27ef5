"""Where the benign log comes from: files, or the simulator. Both can be read as often as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec
import orjson

from streams.admit.validate import Clock, RefusalError
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.formats.mapping import Mapping
from streams.history.files import FileError, read_values
from streams.simulator import Simulation, SimulationConfig

#: Records handed on at once.
CHUNK = 4_000

Chunk = tuple[str, list[bytes]]


class _Timed(msgspec.Struct, gc=False):
    time: str


_timed = msgspec.json.Decoder(_Timed).decode


class Background(Protocol):
    """A benign log.

    Attributes:
        name: what it is, for the report.
        directory: values of the staff directory; empty when there is none.
    """

    name: str
    directory: list[bytes]

    def chunks(self) -> Iterator[Chunk]:
        """(topic, values) of access events and parcel context, each in its own order, in step by event time."""


class FileBackground:
    """A log in files.

    Args:
        events, context, directory: files as `read_values` takes them.
        mapping: which column of the events is which field.

    Raises:
        FileError: the directory cannot be read, or a file is not there.
    """

    def __init__(
        self,
        events: Path,
        context: Path | None = None,
        directory: Path | None = None,
        mapping: Mapping | None = None,
    ) -> None:
        for path in (events, context, directory):
            if path is not None and not path.is_file():
                raise FileError(
                    f"there is no file {path}; --events, --context and --directory name files, read once a run"
                )
        self.name = ", ".join(path.name for path in (events, context, directory) if path is not None)
        self._events, self._context, self._mapping = events, context, mapping
        self.directory = list(read_values(directory)) if directory else []

    def chunks(self) -> Iterator[Chunk]:
        """See `Background`. Raises FileError."""
        sources = {ACCESS_EVENTS: read_values(self._events, self._mapping)}
        if self._context is not None:
            sources[PARCEL_CONTEXT] = read_values(self._context)
        reached = dict.fromkeys(sources, 0)
        while reached:
            # The one that is behind in event time goes on: the stages wait for the slower of the two.
            topic = min(reached, key=lambda name: reached[name])
            values = list(islice(sources[topic], CHUNK))
            if values:
                yield topic, values
                reached[topic] = max(reached[topic], _last_time(values))
            if len(values) < CHUNK:
                del reached[topic]


class SimulatedBackground:
    """A simulated carrier with every benign look-alike and no leak.

    Args:
        staff: people.
        days: calendar days.
        seed: of the simulation; it stays the same over the seeds of the injection.

    Raises:
        SimulationError: a number out of range.
    """

    def __init__(self, staff: int, days: int, seed: int = 1) -> None:
        self._simulation = Simulation(SimulationConfig(staff=staff, days=days, seed=seed, leaks=()))
        self.name = f"simulated carrier, {staff} staff, {days} days, seed {seed}"
        self.directory = [orjson.dumps(record) for record in self._simulation.directory]

    def chunks(self) -> Iterator[Chunk]:
        """See `Background`."""
        waiting: dict[str, list[bytes]] = {PARCEL_CONTEXT: [], ACCESS_EVENTS: []}
        for topic, record in self._simulation.events():
            waiting[topic].append(orjson.dumps(record))
            if len(waiting[topic]) == CHUNK:
                yield from _flushed(waiting)
        yield from _flushed(waiting)


def _flushed(waiting: dict[str, list[bytes]]) -> Iterator[Chunk]:
    for topic, values in waiting.items():
        if values:
            yield topic, values
            waiting[topic] = []


def _last_time(values: list[bytes]) -> int:
    read: Callable[[str], tuple[int, int]] = Clock().read
    for value in reversed(values):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, RefusalError):
            return read(_timed(value).time)[0]
    return 0
