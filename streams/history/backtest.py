"""The pipeline over files, without a broker: what the same log in Kafka would have alerted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import islice
from typing import NamedTuple

import msgspec

from streams.admit.local_time import Zones
from streams.admit.translation import IgnoredError
from streams.admit.validate import RefusalError
from streams.flow.events import Rejection
from streams.flow.sources import source_key, source_partition
from streams.flow.topics import STAFF_DIRECTORY
from streams.history.files import total_bytes
from streams.history.pipeline import INBOUND, Pipeline
from streams.history.translated import Aside, LogFile, Translated
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import Keyring

#: Records of one file that go in before it is the other file's turn.
CHUNK = 4_000


class _Head(msgspec.Struct, gc=False):
    carrier: str


class _Timed(msgspec.Struct, gc=False):
    time: datetime


class _Finding(msgspec.Struct, gc=False):
    uid: str


class _Metadata(msgspec.Struct, gc=False):
    sequence: int


class _Alert(msgspec.Struct, gc=False):
    time: int
    finding_info: _Finding
    metadata: _Metadata


_head = msgspec.json.Decoder(_Head).decode
_timed = msgspec.json.Decoder(_Timed).decode
_alert = msgspec.json.Decoder(_Alert).decode
_rejection = msgspec.json.Decoder(Rejection).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Refused(NamedTuple):
    """A rejected record: the how-manieth of its file, from 1 (no header, no blank line counted), and why."""

    file: LogFile
    number: int
    rejection: Rejection


class Alerted(NamedTuple):
    """An alert as the alerts topic would hold it, and what it is sorted by; time in ms."""

    time: int
    uid: str
    sequence: int
    value: bytes


class Result(NamedTuple):
    """What a backtest gave.

    Attributes:
        alerts: sorted.
        counts: by topic: received, admitted, duplicate, rejected, rejected/REASON, corrected/CORRECTION,
            and, beside what was received, ignored and ignored/REASON.
        made_keys: carriers whose keys were made for this run; their tokens mean nothing elsewhere.
        disordered: files in which time goes back by more than an hour from one chunk's end to another's.
    """

    alerts: list[Alerted]
    counts: dict[str, dict[str, int]]
    made_keys: list[str]
    disordered: list[str]


class _Cursor:
    """A file on its way into the pipeline.

    Attributes:
        numbers: of the records that the last chunk's values came from.
        asides: what became no value since they were last cleared.
        left: records still to come, by partition.
        number: records so far.
        reached: event time (seconds since the epoch) so far, roughly. back: whether it went back far.
        ended: whether nothing more comes.
    """

    def __init__(self, file: LogFile, left: list[int], progress: Callable[[int], None]) -> None:
        self.file = file
        self.left = left
        self.number = 0
        self.reached, self.back = 0.0, False
        self.ended = False
        self.numbers: list[int] | range = range(0)
        self.asides: list[Aside] = []
        self._values = file.values(progress, self.asides.append)

    def chunk(self) -> list[bytes]:
        if isinstance(translated := self._values, Translated):
            pairs = [(value, translated.number) for value in islice(translated, CHUNK)]
            values, self.numbers = [value for value, _ in pairs], [number for _, number in pairs]
        else:
            values = list(islice(self._values, CHUNK))
            self.numbers = range(self.number + 1, self.number + 1 + len(values))
        self.ended = len(values) < CHUNK
        # Any readable time near the end will do: files only keep in step, it is the merge that orders.
        first, last = _first_stamp(values), _first_stamp(reversed(values))
        self.back |= 0 < last < max(self.reached, first) - 3600
        self.reached = max(self.reached, last)
        return values


class Backtest:
    """One run of the pipeline over files.

    Every file is read twice, first to learn how many records each partition gets and which carriers there
    are: a partition at its end then holds nothing up, as in Kafka, and memory holds only what waits.

    Args:
        files: at most one a topic.
        keys: the key ring; carriers it lacks get keys in memory. It is never saved.
        partitions: of every topic.
        arrived: when all records are taken to have arrived, ms since the epoch.
        zones: carriers' local time.
        refused: called with every rejected record.
        make: makes the pipeline.

    Attributes:
        pipeline: what was made.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        keys: Keyring,
        *,
        partitions: int,
        arrived: int,
        zones: Zones | None = None,
        refused: Callable[[Refused], None] = lambda _: None,
        make: Callable[..., Pipeline] = Pipeline,
    ) -> None:
        self._files = files
        self._keys = keys
        self._partitions = partitions
        self._refused = refused
        self._made_keys: list[str] = []
        self._aside: dict[str, Counter[str]] = {}
        self.pipeline = make(keys, partitions=partitions, arrived=lambda: arrived, zones=zones)

    def run(self, progress: Callable[[str, int], None] = lambda _topic, _bytes: None) -> Result:
        """Run to the end.

        Args:
            progress: called now and then with a topic and the bytes of its file done, counting both readings.

        Raises:
            FileError: a file that cannot be read.
        """
        counted = [self._scan(file, partial(progress, file.topic)) for file in self._files]
        cursors = []
        for file, left in zip(self._files, counted, strict=True):
            size = total_bytes(file.path) or 0
            cursors.append(_Cursor(file, left, partial(_further, progress, file.topic, size)))
        present = dict(zip((file.topic for file in self._files), counted, strict=True))
        for topic in INBOUND:
            for partition in range(self._partitions):
                if topic not in present or not present[topic][partition]:
                    self._rest(topic, partition)
        for cursor in _turns(cursors):
            self._feed(cursor)
        self.pipeline.finish()
        values = (record.value for record in self.pipeline.alerts)
        counts = self.pipeline.counts()
        for topic, aside in self._aside.items():
            counts[topic] = dict(Counter(counts[topic]) + aside)
        disordered = [str(cursor.file.path) for cursor in cursors if cursor.back]
        return Result(sorted(map(alerted, values)), counts, self._made_keys, disordered)

    def _scan(self, file: LogFile, progress: Callable[[int], None]) -> list[int]:
        """Records by partition; carriers that have no keys are given some."""
        counts = [0] * self._partitions
        known: set[str] = set()
        for value in file.values(progress):
            counts[source_partition(source_key(file.topic, value), self._partitions)] += 1
            try:
                carrier = _head(value).carrier
            except _UNREADABLE:
                continue
            if carrier not in known:
                known.add(carrier)
                self._make_key(carrier)
        return counts

    def _make_key(self, carrier: str) -> None:
        if carrier in self._keys:
            return
        try:
            self._keys.add_carrier(carrier)
        except KeyringError:
            return  # no carrier code at all: its records will be rejected with the reason
        self._made_keys.append(carrier)

    def _feed(self, cursor: _Cursor) -> None:
        """Put a chunk in and let it flow."""
        pipeline, topic = self.pipeline, cursor.file.topic
        numbers: dict[tuple[int, int], int] = {}
        values = cursor.chunk()
        for number, value in zip(cursor.numbers, values, strict=True):
            key = source_key(topic, value)
            partition = source_partition(key, self._partitions)
            if topic == STAFF_DIRECTORY:
                with suppress(RefusalError):  # admit, which reads the same record, counts and rejects it
                    pipeline.directory.load(key, value)
            numbers[partition, pipeline.ends[topic, partition]] = number
            pipeline.append((topic, partition), key, value)
            cursor.left[partition] -= 1
        cursor.number += len(values)
        for aside in cursor.asides:
            self._put_aside(cursor.file, aside)
        cursor.asides.clear()
        pipeline.flow()
        self._drain(cursor.file, numbers)
        for partition in {partition for partition, _ in numbers if not cursor.left[partition]}:
            self._rest(topic, partition)
        pipeline.flow()

    def _put_aside(self, file: LogFile, aside: Aside) -> None:
        """Count what the format refused or passed over, as admit does in a worker."""
        counts, why = self._aside.setdefault(file.topic, Counter()), aside.why
        if isinstance(why, IgnoredError):
            counts.update(("ignored", f"ignored/{why.reason}"))
            return
        counts.update(("received", "rejected", f"rejected/{why.reason}"))
        rejection = Rejection(
            reason=why.reason, where=why.where, detail=why.detail, remedy=why.remedy, carrier=why.carrier,
            topic=file.topic, partition=0, offset=aside.number, rejected_at="", size=len(aside.raw),
        )  # fmt: skip
        self._refused(Refused(file, aside.number, rejection))

    def _rest(self, topic: str, partition: int) -> None:
        """The partition has nothing more."""
        stage = self.pipeline.stages[topic, partition]
        stage.rest()
        self.pipeline.route(stage)

    def _drain(self, file: LogFile, numbers: dict[tuple[int, int], int]) -> None:
        """Hand over what was rejected, so that it does not pile up."""
        for record in self.pipeline.rejected:
            assert record.value is not None, "a rejection is a JSON object"
            rejection = _rejection(record.value)
            self._refused(Refused(file, numbers[rejection.partition, rejection.offset], rejection))
        self.pipeline.rejected.clear()


def alerted(value: bytes | None) -> Alerted:
    """An alert with what alerts are sorted by."""
    assert value is not None, "an alert is a JSON object"
    head = _alert(value)
    return Alerted(head.time, head.finding_info.uid, head.metadata.sequence, value)


def _turns(cursors: Sequence[_Cursor]) -> Iterator[_Cursor]:
    """Whose turn it is: the whole directory first, then always the file that is behind in event time."""
    while open_ones := [cursor for cursor in cursors if not cursor.ended]:
        yield min(open_ones, key=lambda cursor: (cursor.file.topic != STAFF_DIRECTORY, cursor.reached))


def _stamp(value: bytes) -> float | None:
    try:
        at: datetime = _timed(value).time
    except _UNREADABLE:
        return None
    return at.timestamp() if at.tzinfo else None


def _first_stamp(values: Iterable[bytes]) -> float:
    return next((stamp for value in values if (stamp := _stamp(value)) is not None), 0.0)


def _further(progress: Callable[[str, int], None], topic: str, before: int, done: int) -> None:
    progress(topic, before + done)
