"""The shapes of leaks: for each, the accesses of one episode of a real person of the log."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from streams.admit.validate import DAY, MINUTE
from streams.evaluation.hands import Task, act, begin, elsewhere, exports, views
from streams.evaluation.log import HOUR
from streams.evaluation.scene import Act, Scene
from streams.simulator.leaker import new_device
from streams.simulator.world import spread

#: An id that ends in a number: what enumeration counts through.
NUMBERED = re.compile(r"(.*?)(\d{3,15})")


Maker = Callable[[Scene, Task], list[Act] | None]


def bulk_read(scene: Scene, task: Task) -> list[Act] | None:
    """Parcel after parcel, each new to the person, within 10 to 60 minutes of his working day."""
    length = task.rng.randint(max(10, task.size // 60), 60) * MINUTE
    start = begin(scene, task, length)
    return views(scene, task, scene.fresh(task.rng, task.person, start, task.size), start, length)


def bulk_export(scene: Scene, task: Task) -> list[Act] | None:
    """One to four export calls within an hour of his working day; the rows are the volume."""
    start = begin(scene, task, HOUR)
    return exports(scene, task, start, HOUR, task.rng.randint(1, 4))


def off_hours(scene: Scene, task: Task) -> list[Act] | None:
    """One to three exports two hours or more from any hour the person works at, or on a weekday he never worked."""
    person, rng, day = task.person, task.rng, task.days[0]
    busy = scene.busy_hours(person)
    quiet = [hour for hour in range(24) if not busy & {(hour + n) % 24 for n in range(-2, 3)}]
    free = sorted(set(range(7)) - {on % 7 for on in scene.shifts(person)})
    if free and rng.random() < 0.5:
        weekday = rng.choice(free)
        day, hours = day + (weekday - day) % 7, sorted(busy)
        if day > max(scene.shifts(person)):
            return None
    else:
        hours = quiet
    if not hours:
        return None
    start = scene.midnight(person, day) + rng.choice(hours) * HOUR + rng.randint(0, 30) * MINUTE
    return exports(scene, task, start, 30 * MINUTE, rng.randint(1, 3))


def unrelated_parcel(scene: Scene, task: Task) -> list[Act] | None:
    """A few parcels a day, handled by nobody close to the person, amid his ordinary work of up to six days."""
    days = task.days[: min(6, task.size)]
    acts: list[Act] = []
    for n, day in enumerate(days):
        count = task.size * (n + 1) // len(days) - task.size * n // len(days)
        start, end = scene.shifts(task.person)[day]
        parcels = scene.strange(task.rng, task.person, start, count)
        made = views(scene, task, parcels, start, end - start)
        if made is None:
            return None
        acts += made
    return acts


def low_and_slow(scene: Scene, task: Task) -> list[Act] | None:
    """The same surplus of parcels new to the person on each of ten to twenty working days."""
    acts: list[Act] = []
    for day in task.days[: task.rng.randint(10, 20)]:
        start, end = scene.shifts(task.person)[day]
        made = views(scene, task, scene.fresh(task.rng, task.person, start, task.size), start, end - start)
        if made is None:
            return None
        acts += made
    return acts


def enumeration(scene: Scene, task: Task) -> list[Act] | None:
    """Ids counted up or guessed; three to five in ten do not exist and are answered with not found."""
    rng = task.rng
    length = rng.randint(20, 90) * MINUTE
    start = begin(scene, task, length)
    # By what stands before the number and how many digits it has: within one of these, ids are counted up.
    series: dict[tuple[str, int], set[int]] = {}
    for parcel in scene.ids(scene.before(start).tolist()):
        if match := NUMBERED.fullmatch(parcel):
            series.setdefault((match[1], len(match[2])), set()).add(int(match[2]))
    hits = task.size - round(task.size * rng.uniform(0.3, 0.5))
    enough = [key for key in sorted(series) if len(series[key]) >= hits]
    if not enough:
        return None
    prefix, digits = rng.choice(enough)
    known = sorted(series[prefix, digits])
    first = rng.randint(0, len(known) - hits)
    counted = rng.random() < 0.7
    asked = set(known[first : first + hits] if counted else rng.sample(known, hits))
    misses = _missing(rng, min(asked), max(asked), series[prefix, digits], task.size - hits)
    style = scene.style(task.person, start)
    every = sorted(asked | misses)
    if not counted:
        rng.shuffle(every)
    return [
        act(
            scene,
            task,
            ms,
            "view" if number in asked else "search",
            (f"{prefix}{number:0{digits}d}",),
            style,
            found=number in asked,
        )
        for number, ms in zip(every, spread(rng, len(every), start, start + length), strict=True)
    ]


def _missing(rng: random.Random, low: int, high: int, known: set[int], count: int) -> set[int]:
    """Numbers between low and high, or a little above, that are not known."""
    found: set[int] = set()
    top = high
    while len(found) < count:
        number = rng.randint(low, top)
        if number in known or number in found:
            top += 1
        else:
            found.add(number)
    return found


def sequence(scene: Scene, task: Task) -> list[Act] | None:
    """Search, reveal, then export or print, then a second look from a device never seen; each step small."""
    rng, start = task.rng, begin(scene, task, 100 * MINUTE)
    found = scene.strange(rng, task.person, start, task.size) or scene.fresh(
        rng, task.person, start, task.size
    )
    if found is None:
        return None
    acts = views(scene, task, found[:12], start, 15 * MINUTE, action="search") or []
    acts += views(scene, task, found, start + 16 * MINUTE, 24 * MINUTE, action="reveal") or []
    taken = start + 45 * MINUTE
    if rng.random() < 0.5:
        style = scene.style(task.person, taken, "export")
        acts.append(act(scene, task, taken, "export", (), style, records=task.size * rng.randint(2, 6)))
    else:
        acts += views(scene, task, found, taken, 15 * MINUTE, action="print") or []
    desk = scene.style(task.person, start)
    away = elsewhere(rng, desk)
    acts.append(act(scene, task, start + 70 * MINUTE, "login", (), away, records=0))
    again = found[: rng.randint(5, 10)]
    return acts + (views(scene, task, again, start + 71 * MINUTE, 20 * MINUTE, style=away) or [])


def borrowed_login(scene: Scene, task: Task) -> list[Act] | None:
    """A second device, at another site where the log names sites, while the account's owner is at work at his own."""
    rng = task.rng
    length = rng.randint(20, 60) * MINUTE
    start = begin(scene, task, length)
    style = scene.style(task.person, start)
    others = [site for site in scene.log.sites if site != style.site]
    style = elsewhere(rng, style)._replace(site=rng.choice(others) if others else "")
    login = act(scene, task, start, "login", (), style, records=0)
    parcels = scene.fresh(rng, task.person, start, task.size)
    seen = views(scene, task, parcels, start + MINUTE, length, style=style)
    return None if seen is None else [login, *seen]


def service_account(scene: Scene, task: Task) -> list[Act] | None:
    """A machine's account in human hands: office hours, a browser, pauses for reading, one parcel at a time."""
    rng, person = task.rng, task.person
    start = scene.midnight(person, task.days[0]) + rng.randint(9 * 60, 14 * 60) * MINUTE
    # A browser as everybody's: the style of a colleague at a desk, on a device of its own.
    desks = [style for style in scene.log.styles if style.channel == "ui"]
    style = rng.choice(desks)
    style = elsewhere(rng, style)
    parcels = scene.fresh(rng, person, start, task.size)
    return views(scene, task, parcels, start, task.size * 75_000, style=style)


def leaver(scene: Scene, task: Task) -> list[Act] | None:
    """An account that should be silent logs in and reads for an hour or two."""
    rng, person = task.rng, task.person
    start = scene.midnight(person, task.days[0]) + rng.randint(8 * 60, 20 * 60) * MINUTE
    style = rng.choice([style for style in scene.log.styles if style.channel == "ui"] or scene.log.styles)
    record = scene.log.staff[person]
    style = style._replace(device=new_device(rng), site=record.site and style.site and record.site)
    parcels = scene.fresh(rng, person, start, task.size)
    length = rng.randint(40, 120) * MINUTE
    seen = views(scene, task, parcels, start + MINUTE, length, style=style)
    return None if seen is None else [act(scene, task, start, "login", (), style, records=0), *seen]


def label_unsealing(scene: Scene, task: Task) -> list[Act] | None:
    """Hidden label data revealed or printed at a site the parcels never pass."""
    rng, length = task.rng, 90 * MINUTE
    start = begin(scene, task, length)
    parcels = scene.strange(rng, task.person, start, task.size)
    if parcels is None:
        return None
    return [
        seen._replace(action=rng.choice(("reveal", "reveal", "print")))
        for seen in views(scene, task, parcels, start, length) or []
    ]


def long_delivered(scene: Scene, task: Task) -> list[Act] | None:
    """Parcels delivered at least three weeks ago, which nobody has a reason to open any more."""
    rng, length = task.rng, task.rng.randint(30, 120) * MINUTE
    start = begin(scene, task, length)
    log = scene.log
    old = sorted(parcel for parcel, ms in log.delivered.items() if ms < start - 21 * DAY)
    if len(old) < task.size:
        return None
    return views(scene, task, rng.sample(old, task.size), start, length)


def crowd(scene: Scene, task: Task) -> list[Act] | None:
    """One parcel that is the talk of the house: everybody in `others` looks at it once on one working day."""
    rng, day = task.rng, task.days[0]
    start = scene.shifts(task.person)[day][0]
    parcel = scene.fresh(rng, task.person, start, 1)
    if parcel is None:
        return None
    acts = []
    for person in (task.person, *task.others):
        shift = scene.shifts(person)[day]
        acts += views(scene, task._replace(person=person), parcel, shift[0], shift[1] - shift[0]) or []
    return acts
