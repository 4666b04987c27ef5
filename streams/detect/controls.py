"""What people decided about detection, as it stands at one point of the log: kept whole by every partition."""

from __future__ import annotations

from collections import Counter

import msgspec

from detectors.base import Person
from detectors.sigma import Engine, RuleSet
from streams.flow.control import CONTROL_KINDS, suppressible
from streams.flow.events import START, Control, Position

VERDICT, SUPPRESS, WATCH, STRICTNESS, MODEL, RULES = range(len(CONTROL_KINDS))
#: What the limits are multiplied with for a person on the watchlist.
WATCHED_LIMITS = 0.5
#: Suppressions, and watched people, in force at once: each kind is stored in one value. Beyond it those that would end
#: first make room, so that rather too much is told than too little.
MOST = 10_000


class Models(msgspec.Struct, array_like=True):
    """Models of a carrier by SHA-256: the one that has a say, and the one that is only tried out; empty for none."""

    active: str = ""
    shadow: str = ""


class ControlState(msgspec.Struct, array_like=True):
    """As stored.

    Attributes:
        pos: position of the last control record applied.
        suppressed: end (ms) by carrier, person (token or empty) and detector (or empty).
        watched: end (ms) by person.
        strictness, models, rules: by carrier.
    """

    pos: Position = START
    suppressed: dict[str, int] = {}
    watched: dict[str, int] = {}
    strictness: dict[str, float] = {}
    models: dict[str, Models] = {}
    rules: dict[str, RuleSet] = {}


class Controls:
    """The decisions in force in one partition of the actor log.

    Args:
        state: as stored, or fresh.

    Attributes:
        engines: a carrier's Sigma rules, ready to run; empty while none are loaded.
        verdicts: those that took effect, by detector and value, until they are exported; nothing rests on them.
    """

    def __init__(self, state: ControlState) -> None:
        self.state = state
        self.engines = {carrier: Engine(rules) for carrier, rules in state.rules.items()}
        self.verdicts: Counter[tuple[str, str]] = Counter()

    def apply(self, row: Control) -> bool:
        """Take in a control record that is no verdict; False when it was applied before."""
        here = (row.st, row.src, row.off, row.idx)
        state = self.state
        if here <= state.pos:
            return False
        state.pos = here
        if row.kind == SUPPRESS:
            _switch(state.suppressed, _scope(row.carrier, row.actor, row.detector), row, row.st)
        elif row.kind == WATCH:
            _switch(state.watched, row.actor, row, row.st)
        elif row.kind == STRICTNESS:
            state.strictness[row.carrier] = float(row.value)
        elif row.kind == RULES:
            self._rules(row)
        else:
            self._model(row)
        return True

    def _rules(self, row: Control) -> None:
        self.state.rules.pop(row.carrier, None)
        self.engines.pop(row.carrier, None)
        if row.rules is not None and row.rules.rules:
            self.state.rules[row.carrier] = row.rules
            self.engines[row.carrier] = Engine(row.rules)

    def _model(self, row: Control) -> None:
        models = self.state.models.setdefault(row.carrier, Models())
        mode, _, digest = row.value.partition(":")
        if mode == "shadow":
            models.shadow = digest
        else:
            models.active = digest
            if models.shadow == digest:
                models.shadow = ""

    def suppressed(self, person: Person, detector: str, at: int) -> bool:
        """Whether an alert of this detector on this person is told to nobody at `at` (event time, ms)."""
        ends = self.state.suppressed
        if not ends or not suppressible(detector):
            return False
        carrier, token = person.carrier, person.token
        scopes = ((carrier, token, detector), (carrier, token, ""), (carrier, "", detector))
        return any(ends.get(_scope(*scope), 0) > at for scope in scopes)

    def watched(self, token: str, at: int) -> bool:
        """Whether a person is on the watchlist at `at` (event time, ms)."""
        return self.state.watched.get(token, 0) > at

    def strictness(self, carrier: str) -> float:
        """Factor on every limit of the carrier's detectors."""
        return self.state.strictness.get(carrier, 1.0)

    def models(self, carrier: str) -> Models:
        """The carrier's models."""
        return self.state.models.get(carrier, _NONE)

    def shas(self) -> set[str]:
        """Every model in force."""
        return {sha for models in self.state.models.values() for sha in (models.active, models.shadow) if sha}


_NONE = Models()


def _scope(carrier: str, actor: str, detector: str) -> str:
    return f"{carrier}|{actor}|{detector}"


def _switch(ends: dict[str, int], key: str, row: Control, now: int) -> None:
    ends.pop(key, None)
    if row.value == "on" and row.until > now:
        ends[key] = row.until
        if len(ends) > MOST:
            _make_room(ends, now)


def _make_room(ends: dict[str, int], now: int) -> None:
    """Drop what has ended, and of the others, if they are still too many, a hundredth: not one look a record."""
    for ended in [other for other, until in ends.items() if until <= now]:
        del ends[ended]
    if len(ends) > MOST:
        soonest = sorted(ends, key=lambda other: (ends[other], other))
        for other in soonest[: len(ends) - MOST + MOST // 100]:
            del ends[other]
