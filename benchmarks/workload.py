"""What both systems are fed: one seeded stream of a carrier's access events; any prefix of it is a workload.

A carrier of 5,040 staff in teams of 20, three shifts, 200 events a person and day: 1,000,000 events are one
day. Each parcel is handled within one team, in about four events by three people. One event in 2,900 begins a
leak: 70 % read 150 parcels of other teams in 40 minutes, 20 % export 5,000 records in one call, 10 % export
500 outside their shift.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random

CARRIER = "vnx"
TEAM = 20
EVENTS_PER_PERSON_DAY = 200
LEAK_PER_EVENT = 1 / 2900
BULK_PARCELS = 150
BULK_SECONDS = 2400
LOCAL = timezone(timedelta(hours=7))
START = datetime(2026, 3, 2, 6, tzinfo=LOCAL)

#: (cumulative share, action, fields shown, system, channel); what is left over is a plain update.
ACTIONS = (
    (0.45, "scan", '["code","route"]', "courier-app", "device"),
    (0.75, "view", '["name","phone","address"]', "tms-web", "ui"),
    (0.85, "search", '["name","address"]', "tms-web", "ui"),
    (0.93, "call", '["name","phone"]', "call-centre", "ui"),
    (0.97, "print", '["name","phone","address","cod"]', "label-print", "ui"),
    (1.00, "update", '["status"]', "tms-web", "ui"),
)
BULK = ("view", '["name","phone","address"]', "tms-web", "ui")
EXPORT = ("export", '["name","phone","address","cod"]', "tms-web", "ui")


@dataclass(frozen=True)
class Workload:
    """The stream's parameters; equal parameters give equal bytes.

    Attributes:
        staff: staff members; a multiple of 60, so that three shifts have whole teams.
        seed: seed of every random draw.
    """

    staff: int = 5040
    seed: int = 1

    def __post_init__(self) -> None:
        if self.staff < 60 or self.staff % 60:
            raise ValueError(
                f"staff = {self.staff}: give a positive multiple of 60 (three shifts of teams of 20)"
            )

    def events(self) -> Iterator[bytes]:
        """Native access events as JSON, about 300 bytes each, in event-time order, without end."""
        rng = Random(self.seed)
        draw = rng.random
        per_second = self.staff * EVENTS_PER_PERSON_DAY / 86_400
        teams = self.staff // TEAM
        handled = [0] * teams
        bulk: list[tuple[float, int, int]] = []  # (event number at which it is due, actor, parcels left)
        bulk_gap = BULK_SECONDS / BULK_PARCELS * per_second
        for number in itertools.count():
            second = number / per_second
            shift = int(second // 28_800) % 3
            if bulk and bulk[0][0] <= number:
                due, actor, left = heapq.heappop(bulk)
                if left > 1:
                    heapq.heappush(bulk, (due + bulk_gap, actor, left - 1))
                yield self._event(number, second, actor, BULK, [self._foreign(rng, handled, actor)], 1)
                continue
            team = int(draw() * (teams // 3)) * 3 + shift
            actor = team * TEAM + int(draw() * TEAM)
            if draw() < LEAK_PER_EVENT:
                shape = draw()
                if shape < 0.7:
                    heapq.heappush(bulk, (number + 1, actor, BULK_PARCELS))
                elif shape < 0.9:
                    yield self._event(number, second, actor, EXPORT, [], 5_000)
                    continue
                else:
                    yield self._event(number, second, (actor + TEAM) % self.staff, EXPORT, [], 500)
                    continue
            share = draw()
            action = next(row for row in ACTIONS if share <= row[0])
            handled[team] += 1
            newest = team * 10_000_000 + handled[team] // 4
            parcels = [newest - min(int(draw() * 10), handled[team] // 4)]
            if action[1] == "search" and share > 0.83:
                parcels = [max(newest - k, team * 10_000_000) for k in range(5)]
            yield self._event(number, second, actor, action[1:], parcels, len(parcels))

    def probe(self, number: int, second: float, serial: int) -> bytes:
        """An export of 20,000 records by the `serial`-th person, which must alert at once."""
        return self._event(number, second, serial * 7 % self.staff, EXPORT, [], 20_000, prefix="probe")

    def seconds_at(self, number: int) -> float:
        """Event time of the event with this number, in seconds since the stream began."""
        return number / (self.staff * EVENTS_PER_PERSON_DAY / 86_400)

    @staticmethod
    def _foreign(rng: Random, handled: list[int], actor: int) -> int:
        team = rng.randrange(len(handled))
        if team == actor // TEAM:
            team = (team + 1) % len(handled)
        return team * 10_000_000 + rng.randrange(handled[team] // 4 + 1)

    @staticmethod
    def _event(
        number: int,
        second: float,
        actor: int,
        action: tuple[str, ...],
        parcels: list[int],
        records: int,
        *,
        prefix: str = "e",
    ) -> bytes:
        name, fields, system, channel = action
        ids = ",".join([f'"VN{parcel:010d}"' for parcel in parcels])
        reason = f',"reason":{{"kind":"ticket","id":"T{number}"}}' if name == "call" else ""
        time = (START + timedelta(seconds=second)).isoformat(timespec="milliseconds")
        staff = f"nv{actor:05d}"
        site = actor // TEAM
        return (
            f'{{"id":"{prefix}{number}","time":"{time}","carrier":"{CARRIER}","actor":"{staff}",'
            f'"action":"{name}","parcels":[{ids}],"records":{records},"fields":{fields},'
            f'"system":"{system}","channel":"{channel}","site":"S-{site:03d}",'
            f'"ip":"10.{site >> 8}.{site & 255}.{actor % TEAM + 1}","device":"d{actor:05d}",'
            f'"session":"s{actor:05d}-{int(second // 28_800)}"{reason},"outcome":"success"}}'
        ).encode()


def cached(workload: Workload, count: int, folder: Path) -> Path:
    """A file with at least `count` events, one a line, written once.

    Any file of the same workload that is long enough serves, since every prefix of the stream is a workload.
    """
    stem = f"events-{workload.staff}-{workload.seed}-"
    sizes = sorted(int(path.stem.removeprefix(stem)) for path in folder.glob(f"{stem}*.ndjson"))
    for size in sizes:
        if size >= count:
            return folder / f"{stem}{size}.ndjson"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}{count}.ndjson"
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb", buffering=1 << 20) as out:
        out.writelines(value + b"\n" for value in itertools.islice(workload.events(), count))
    os.replace(unfinished, path)
    return path


def read(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Events `start` to `stop` (exclusive) of a cached file.

    Raises:
        ValueError: the file holds fewer than `stop` events.
    """
    got = start
    with path.open("rb", buffering=1 << 20) as lines:
        for line in itertools.islice(lines, start, stop):
            got += 1
            yield line[:-1]
    if got < stop:
        raise ValueError(f"{path} holds {got} events, not {stop}; delete it so that it is written anew")
