"""A benign log made of the history: labelled touches turned back into what the carrier could have sent.

Ids are the tokens. What relate knew of parcels is not in the history, only what it concluded; so parcel context is made
up that leads to the same conclusions. docs/evaluation.md says what is lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import orjson

from detectors.base import ACTIONS, CHANNELS, EXPLANATIONS, Person, Touch
from streams.evaluation.background import CHUNK, Chunk
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT
from streams.history.archive_columns import touches
from streams.history.archive_reader import scan
from streams.history.touches import Spool, in_order, nothing_in

#: By explanation: the kind of context record that leads to it. A team's or a supervisor's reason is a tie of somebody
#: else whom the touch does not name; it becomes one of the person himself.
_KINDS = {
    "scan": "accepted",
    "assigned": "assigned",
    "ticket": "ticket_opened",
    "call": "call",
    "site": "arrived",
    "team": "assigned",
    "supervisor": "assigned",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_dump = msgspec.msgpack.Encoder().encode
_load = msgspec.msgpack.Decoder(tuple[str, list[bytes]]).decode


class HistoryBackground:
    """The history as a benign log.

    Args:
        root: the history's folder.
        spool: where the log is kept while it is read again and again; empty.
        carriers, since, until: as of `archive_reader.scan`.

    Raises:
        ArchiveError: there is no history, nothing in what was chosen, or files are missing or damaged.
    """

    def __init__(
        self,
        root: Path,
        spool: Spool,
        carriers: Collection[str] | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> None:
        self._spool = spool
        rows = scan(root, carriers, since, until)
        days = ((table.column("day")[0].as_py(), list(touches(table))) for table in rows)
        people: defaultdict[tuple[str, str], Counter[Person]] = defaultdict(Counter)
        writer = _Writer()
        for ready in in_order(days):
            for row in ready:
                people[row.who.carrier, row.who.token][row.who] += 1
            for chunk in writer.chunks(ready):
                spool.add(_dump(chunk))
        if not people:
            raise nothing_in(root)
        self.name = f"history, {writer.first} to {writer.last}"
        #: As the directory was for most touches of a person: of somebody who left it says active.
        self.directory = [
            record
            for _, known in sorted(people.items())
            if (record := directory_record(known.most_common(1)[0][0])) is not None
        ]

    def chunks(self) -> Iterator[Chunk]:
        """See `Background`."""
        for value in self._spool:
            yield _load(value)


class _Writer:
    """Touches in the order of the log, as access events and context records.

    Attributes:
        first, last: local days.
    """

    def __init__(self) -> None:
        self.first, self.last = date.max, date.min
        self._opened: set[str] = set()
        self._closed: set[str] = set()

    def chunks(self, rows: list[Touch]) -> Iterator[Chunk]:
        """Context before the accesses it explains."""
        waiting: dict[str, list[bytes]] = {PARCEL_CONTEXT: [], ACCESS_EVENTS: []}
        for _, group in groupby(rows, key=lambda row: (row.src, row.off)):
            access = list(group)
            day = (_EPOCH + timedelta(milliseconds=access[0].time, minutes=access[0].tz)).date()
            self.first, self.last = min(self.first, day), max(self.last, day)
            for row in access:
                waiting[PARCEL_CONTEXT] += map(orjson.dumps, self._context(row))
            waiting[ACCESS_EVENTS].append(orjson.dumps(access_event(access)))
            if max(map(len, waiting.values())) >= CHUNK:
                yield from waiting.items()
                waiting = {PARCEL_CONTEXT: [], ACCESS_EVENTS: []}
        yield from ((topic, values) for topic, values in waiting.items() if values)

    def _context(self, row: Touch) -> Iterator[dict[str, Any]]:
        """What must be known of the parcel for relate to label the touch as it did."""
        who: Person = row.who
        record = {"time": _when(row.time - 1, row.tz), "carrier": who.carrier, "parcel": parcel_id(row)}
        if row.context and who.carrier not in self._opened:
            self._opened.add(who.carrier)
            yield record | {"parcel": "the first record", "kind": "accepted"}
        if not row.parcel:
            return
        if row.closed and row.parcel not in self._closed:
            self._closed.add(row.parcel)
            yield record | {"time": _when(row.closed, row.tz), "kind": "delivered"}
        if row.ghost:
            yield record | {"kind": "honeytoken", "feed": row.ghost}
        how = EXPLANATIONS[row.explanation]
        if how == "site":
            yield record | {"kind": _KINDS[how], "site": row.site or who.site}
        elif how in _KINDS and ACTIONS[row.action] != how:
            yield record | {"kind": _KINDS[how], "staff": [who.token], "ticket": row.reason.partition(":")[2]}


def access_event(rows: list[Touch]) -> dict[str, Any]:
    """The access a carrier could have sent, of all touches it became."""
    first = rows[0]
    who: Person = first.who
    event: dict[str, Any] = {
        "id": f"{first.src}-{first.off}",
        "time": _when(first.time, first.tz),
        "carrier": who.carrier,
        "actor": who.token,
        "action": ACTIONS[first.action],
        "parcels": [parcel_id(row) for row in rows if row.parcel or (row.failed and row.serial >= 0)],
        "records": sum(row.records for row in rows),
        "site": first.site,
        "device": first.device and f"device-{first.device:x}",
        "ip": first.place and f"network-{first.place:x}",
        "channel": CHANNELS[first.channel],
    }
    kind, _, ref = first.reason.partition(":")
    if kind:
        event["reason"] = {"kind": kind, "id": ref}
    if first.failed:
        event["outcome"] = "not_found"
        del event["records"]
    return {name: value for name, value in event.items() if value or name == "records"}


def parcel_id(row: Touch) -> str:
    """An id that stands for the parcel and, where the history knows, keeps its place in the carrier's number order."""
    # A token has digits in it, which must not be taken for a number of the carrier's: words after them see to that.
    return f"{row.parcel}.{row.serial:04d}" if row.serial >= 0 else f"{row.parcel}.unnumbered"


def directory_record(who: Person) -> bytes | None:
    """The directory's record of a person; None when it did not know him."""
    if who == Person(who.token, who.carrier):
        return None
    names = ("carrier", "role", "team", "site", "manager", "status", "service", "shifts")
    known = {name: value for name in names if (value := getattr(who, name))}
    return orjson.dumps({"actor": who.token, **known})


def _when(ms: int, offset: int) -> str:
    at = _EPOCH.astimezone(timezone(timedelta(minutes=offset))) + timedelta(milliseconds=ms)
    return at.isoformat(timespec="milliseconds")
