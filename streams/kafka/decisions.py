"""What the records of the control topic amount to: verdicts, what is suppressed and watched, which model scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import sqrt
from typing import NamedTuple

from streams.flow.control import ControlRecord
from streams.kafka.alert_log import Episode
from streams.kafka.control import Entry, moment

#: A detector is mature when its false-positive ratio is below this (domain: 10-15 %).
MATURE, NEARLY = 0.10, 0.15
#: Verdicts below which nothing is said of a detector: the interval is not to be trusted with so few.
FEWEST = 10
#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959964
UNKNOWN = "(unknown)"


def latest_verdicts(entries: Iterable[Entry]) -> dict[str, ControlRecord]:
    """The verdict that counts on each alert, by the alert's uid: the latest."""
    found: dict[str, ControlRecord] = {}
    for entry in entries:
        if entry.record.kind == "verdict":
            # Taken out first, so that the order of the dict is that of the latest verdicts.
            found.pop(entry.record.alert, None)
            found[entry.record.alert] = entry.record
    return found


class Switch(NamedTuple):
    """A suppression or a watch that was given.

    Attributes:
        entry: the record that gave it.
        ended_by: the later record of the same scope that lifted or replaced it, if any.
    """

    entry: Entry
    ended_by: ControlRecord | None

    def state(self, now: datetime) -> str:
        """in force, ended (its time is over), lifted or replaced."""
        if self.ended_by is not None and moment(self.ended_by.time) < moment(self.entry.record.until):
            return "lifted" if self.ended_by.value == "off" else "replaced"
        return "in force" if now < moment(self.entry.record.until) else "ended"


def scope(record: ControlRecord) -> tuple[str, str, str]:
    """What a suppression or watch is about: carrier, actor, detector; one in force a scope."""
    return record.carrier, record.actor, record.detector


def switches(entries: Iterable[Entry], kind: str) -> list[Switch]:
    """Every suppression (`suppress`) or watch (`watch`) ever given, oldest first."""
    given: list[Switch] = []
    open_at: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        record = entry.record
        if record.kind != kind:
            continue
        before = open_at.pop(scope(record), None)
        if before is not None:
            given[before] = given[before]._replace(ended_by=record)
        if record.value == "on" and record.until:
            open_at[scope(record)] = len(given)
            given.append(Switch(entry, None))
    return given


class Models(NamedTuple):
    """Which models a carrier has.

    Attributes:
        active: SHA-256 of the model that has a say, or empty.
        shadow: SHA-256 of the model that scores without a say, or empty; shadowing leaves the active one active.
        before: SHA-256 of those that were active before, oldest first, without what was rolled back.
    """

    active: str = ""
    shadow: str = ""
    before: tuple[str, ...] = ()

    @property
    def rollback(self) -> str:
        """The model a rollback makes active; empty when there is none."""
        return self.before[-1] if self.before else ""


def models(entries: Iterable[Entry], carrier: str) -> Models:
    """Which models a carrier has, from its control records alone.

    >>> from streams.flow.control import ControlRecord
    >>> def after(*values):
    ...     return models([Entry(ControlRecord("", "vnx", "model", value=v), 0, 0, 0) for v in values], "vnx")
    >>> after("active:a", "active:b", "shadow:c")
    Models(active='b', shadow='c', before=('a',))
    >>> after("active:a", "active:b", "active:c", "active:b").rollback
    'a'
    >>> after("active:a", "off").rollback
    'a'
    """
    stack: list[str] = []
    on, shadow = False, ""
    for entry in entries:
        if entry.record.kind != "model" or entry.record.carrier != carrier:
            continue
        mode, _, sha = entry.record.value.partition(":")
        if mode == "active":
            # Going back to an earlier one undoes those after it: a second rollback goes further back.
            stack = [*stack[: stack.index(sha)], sha] if sha in stack else [*stack, sha]
            on, shadow = True, "" if shadow == sha else shadow
        elif mode == "shadow":
            shadow = sha
        else:
            on = False
    return Models(stack[-1], shadow, tuple(stack[:-1])) if on else Models("", shadow, tuple(stack))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a ratio (Wilson 1927, the score interval): holds for small numbers too.

    >>> [round(end, 3) for end in wilson(1, 10)]
    [0.018, 0.404]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if not of:
        return 0.0, 1.0
    share, z2 = hits / of, Z95 * Z95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 / (1 + z2 / of) * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


class Standing(NamedTuple):
    """How good a detector is by the verdicts on its alerts.

    Attributes:
        detector: its name.
        alerts: episodes it has told of.
        true, false, benign: how many of them were judged so.
    """

    detector: str
    alerts: int
    true: int
    false: int
    benign: int

    @property
    def judged(self) -> int:
        """Episodes with a verdict."""
        return self.true + self.false + self.benign

    @property
    def ratio(self) -> float | None:
        """Share of the judged that were no leak: false ones and benign ones, which cost as much time."""
        return (self.false + self.benign) / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `ratio`."""
        return wilson(self.false + self.benign, self.judged)

    @property
    def mark(self) -> str:
        """Whether it is mature, as far as the verdicts allow to say."""
        if self.ratio is None:
            return "no verdicts"
        low, high = self.interval
        if self.judged < FEWEST or (low <= MATURE and high >= NEARLY):
            return "too few verdicts"
        return "mature" if high < NEARLY else "not mature"


def report(verdicts: Mapping[str, ControlRecord], episodes: Mapping[str, Episode]) -> list[Standing]:
    """How each detector stands, by name. A verdict counts also when its alert is no longer in the topic."""
    detector_of = {uid: record.detector or UNKNOWN for uid, record in verdicts.items()}
    detector_of |= {uid: episode.detector for uid, episode in episodes.items()}
    values = {uid: record.value for uid, record in verdicts.items()}
    standings = []
    for name in sorted(set(detector_of.values())):
        uids = [uid for uid, detector in detector_of.items() if detector == name]
        judged = [values.get(uid) for uid in uids]
        standings.append(
            Standing(
                name,
                len(uids),
                judged.count("true_positive"),
                judged.count("false_positive"),
                judged.count("benign"),
            )
        )
    return standings
