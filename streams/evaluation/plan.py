"""Which episodes are injected: the shapes a log can carry, who does them, when, and how large."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streams.admit.validate import DAY
from streams.evaluation import shapes
from streams.evaluation.hands import Task
from streams.evaluation.log import AccessLog
from streams.evaluation.scene import Act, Scene
from streams.evaluation.shapes import Maker
from streams.simulator.leaker import magnitude

#: What somebody needs to be known by before he leaks: active days in the warm-up, and in the test part.
KNOWN_DAYS, TEST_DAYS = 10, 5
#: Nobody works in more hours of the day than this: it is a machine.
MOST_HOURS = 18
#: At most this share of the people with enough history does anything.
MOST_PEOPLE = 0.6
#: An account is dormant after so many days without an access.
DORMANT = 21
#: The hard variant's sizes, against the domain's.
HARD = 0.25
#: Numbers there must be in one run of ids for somebody to try them in order.
SERIES = 100
_TRIES = 25


@dataclass(frozen=True)
class Shape:
    """A shape of the domain's table.

    Attributes:
        make: makes the accesses of an episode.
        size: least and most parcels (rows, for exports; parcels a day, for low_and_slow; people, for crowd).
        days: most working days it takes.
        who: whose account: worker, service, or idle (left or dormant).
        needs: names of what the log must have, see `lacks`.
    """

    make: Maker
    size: tuple[int, int]
    days: int = 1
    who: str = "worker"
    needs: tuple[str, ...] = ()


SHAPES: dict[str, Shape] = {
    "bulk_read": Shape(shapes.bulk_read, (100, 2_000), needs=("parcels",)),
    "bulk_export": Shape(shapes.bulk_export, (500, 50_000)),
    "off_hours": Shape(shapes.off_hours, (20, 5_000)),
    "unrelated_parcel": Shape(shapes.unrelated_parcel, (5, 30), days=6, needs=("parcels",)),
    "low_and_slow": Shape(shapes.low_and_slow, (15, 40), days=20, needs=("parcels",)),
    "enumeration": Shape(shapes.enumeration, (150, 600), needs=("parcels", "numbered", "series")),
    "sequence": Shape(shapes.sequence, (10, 40), needs=("parcels", "devices")),
    "borrowed_login": Shape(shapes.borrowed_login, (50, 200), needs=("parcels", "devices")),
    "service_account": Shape(
        shapes.service_account, (40, 150), who="service", needs=("parcels", "channels", "services")
    ),
    "leaver": Shape(shapes.leaver, (30, 300), who="idle", needs=("parcels", "directory")),
    "label_unsealing": Shape(shapes.label_unsealing, (8, 40), needs=("parcels", "context", "sites")),
    "long_delivered": Shape(shapes.long_delivered, (10, 40), needs=("parcels", "deliveries")),
    "crowd": Shape(shapes.crowd, (12, 40), who="crowd", needs=("parcels", "directory")),
}
#: A ghost parcel is one the carrier planted; a log cannot say which of its parcels are.
NEVER = {"honeytoken": "a log names no ghost parcels; plant some and touch one to try it"}


class Episode(NamedTuple):
    """One injected leak.

    Attributes:
        shape: name.
        people: numbers in the log.
        acts: its accesses, in order of time.
        start, end: event time (ms) of the first and the last.
        records: shipment records it takes.
    """

    shape: str
    people: frozenset[int]
    acts: tuple[Act, ...]
    start: int
    end: int
    records: int


@dataclass
class Plan:
    """What is injected.

    Attributes:
        episodes: in the order of `SHAPES`.
        left_out: shapes that have none, with the reason.
        short: shapes that have fewer than asked for, with the reason.
    """

    episodes: list[Episode] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)


def lacks(log: AccessLog) -> dict[str, str]:
    """What the log does not have, by the names that `Shape.needs` uses, in words."""
    series = Counter(
        (match[1], len(match[2])) for parcel in log.parcels if (match := shapes.NUMBERED.fullmatch(parcel))
    )
    numbered = series.total()
    has = {
        "parcels": (len(log.parcels) > 0, "the log names no parcels"),
        "numbered": (numbered * 10 >= len(log.parcels) * 9, "parcel ids do not end in a number"),
        "series": (
            max(series.values(), default=0) >= SERIES,
            f"no {SERIES} parcel ids differ in their last digits alone, so there is nothing to count up",
        ),
        "devices": (log.devices, "the log names no devices"),
        "sites": (len(log.sites) > 1, "the log names no sites, or one only"),
        "channels": (any(s.channel == "ui" for s in log.styles), "the log knows no channel ui"),
        "services": (any(r.service for r in log.staff.values()), "no directory declares a service account"),
        "directory": (bool(log.staff), "there is no staff directory"),
        "context": (log.has_context, "there is no parcel context"),
        "deliveries": (
            any(ms < log.time[-1] - 28 * DAY for ms in log.delivered.values()),
            "no parcel context names deliveries more than four weeks before the log's end",
        ),
    }
    return {name: why for name, (there, why) in has.items() if not there}


def workers(scene: Scene) -> list[int]:
    """People with enough history, who keep hours: candidates for most shapes."""
    log = scene.log
    found = []
    for person in range(len(log.people)):
        record = log.staff.get(person)
        if record is not None and (record.service or record.status == "left"):
            continue
        days = scene.shifts(person)
        known = sum(day < log.test_day for day in days)
        if (
            known >= KNOWN_DAYS
            and len(days) - known >= TEST_DAYS
            and len(scene.busy_hours(person)) <= MOST_HOURS
        ):
            found.append(person)
    return found


def make_plan(scene: Scene, seed: int, each: int, scale: float = 1.0) -> Plan:
    """Plan the episodes of a seed.

    Args:
        scene: the log.
        seed: the same seed draws the same people, days and hours at every scale, as far as there are parcels enough.
        each: episodes of each shape, where enough people can be found.
        scale: factor on the sizes of the domain's table.
    """
    log, plan = scene.log, Plan()
    missing = lacks(log)
    rng = random.Random(f"{seed}/people")  # noqa: S311 - reproducible, nothing secret
    able = workers(scene)
    rng.shuffle(able)
    possible: list[str] = []
    for name, shape in SHAPES.items():
        why = "; ".join(missing[need] for need in shape.needs if need in missing)
        if why:
            plan.left_out[name] = why
        else:
            possible.append(name)
    plan.left_out.update(NEVER)
    pools = {"worker": able, "service": _services(log), "idle": _idle(scene)}
    busy: set[int] = set()
    worker_shapes = sum(SHAPES[name].who == "worker" for name in possible)
    fair = max(1, int(len(able) * MOST_PEOPLE) // max(1, worker_shapes))
    made = dict.fromkeys(possible, 0)
    # In turns, so that a shape late in the table gets people too.
    for number in range(each):
        for name in possible:
            shape = SHAPES[name]
            if shape.who == "worker" and number >= fair:
                continue
            own = random.Random(f"{seed}/{name}/{number}")  # noqa: S311 - as above
            episode = _make(scene, name, shape, pools.get(shape.who, able), busy, own, scale)
            if episode is not None:
                busy |= episode.people
                made[name] += 1
                plan.episodes.append(episode)
    for name, count in made.items():
        if not count:
            plan.left_out[name] = "nobody suitable with enough history, days and parcels"
        elif count < each:
            plan.short[name] = f"{count} of {each}: a person does one episode at most, and most people none"
    order = {name: n for n, name in enumerate(SHAPES)}
    plan.episodes.sort(key=lambda episode: (order[episode.shape], episode.start))
    return plan


def _make(
    scene: Scene,
    name: str,
    shape: Shape,
    pool: Sequence[int],
    busy: set[int],
    rng: random.Random,
    scale: float,
) -> Episode | None:
    full = magnitude(rng, *shape.size)
    size = max(2, round(full * scale))
    free = [person for person in pool if person not in busy]
    for person in rng.sample(free, min(_TRIES, len(free))):
        days = _days(scene, shape, person, rng)
        if not days:
            continue
        others: tuple[int, ...] = ()
        if shape.who == "crowd":
            present = [p for p in free if p != person and days[0] in scene.shifts(p)]
            # At most a quarter of those who are free, or nobody would be left for the other shapes.
            size = min(size, len(free) // 4)
            if size < 2 or len(present) < size:
                continue
            others = tuple(rng.sample(present, size - 1))
        acts = shape.make(scene, Task(person, days, size, rng, others))
        if acts and all(_local_day(act) >= scene.log.test_day for act in acts):
            acts.sort(key=lambda act: act.time)
            return Episode(
                name,
                frozenset((person, *others)),
                tuple(acts),
                acts[0].time,
                acts[-1].time,
                sum(act.records for act in acts),
            )
    return None


def _local_day(act: Act) -> int:
    return (act.time + act.offset * 60_000) // DAY


def _days(scene: Scene, shape: Shape, person: int, rng: random.Random) -> list[int]:
    """Local days of the test part to do it on, the last day of the log left free for the alert to come."""
    log = scene.log
    last = int(log.day.max())
    if shape.who == "idle":
        silent = max(scene.shifts(person), default=log.test_day - DORMANT)
        # A gap in the middle would need the person to be dormant: only those who never return are taken.
        first = max(log.test_day, silent + DORMANT)
        return [rng.randrange(first, last)] if first < last else []
    if shape.who == "service":
        return [rng.randrange(log.test_day, last)]
    days = [
        day
        for day, (start, end) in sorted(scene.shifts(person).items())
        if log.test_day <= day < last and end - start >= 2 * 3_600_000
    ]
    if shape.days == 1:
        return [rng.choice(days)] if days else []
    if len(days) < min(shape.days, TEST_DAYS):
        return []
    first = rng.randrange(max(1, len(days) - shape.days + 1))
    return days[first : first + shape.days]


def _services(log: AccessLog) -> list[int]:
    active = set(np.unique(log.person).tolist())
    return [person for person, record in log.staff.items() if record.service and person in active]


def _idle(scene: Scene) -> list[int]:
    """Accounts that have left, or have been silent for weeks when the test part ends."""
    log = scene.log
    last = int(log.day.max())
    return [
        person
        for person, record in log.staff.items()
        if not record.service
        and (record.status == "left" or max(scene.shifts(person), default=0) + DORMANT < last)
    ]
