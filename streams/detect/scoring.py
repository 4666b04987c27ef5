"""Models in the stream: every person's hour is scored, in one batch a carrier, when the hour of order time ends."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from detectors.base import Touch
from detectors.model_score import Why
from models.drift import drift
from models.features import HOUR_FEATURES, Bucket, Diary
from models.model import Floats, ModelPair
from streams.detect.actors import Actor
from streams.detect.controls import Controls
from streams.flow.control import ACTIVE, SHADOW

NEVER = 1 << 62
#: Hours that drift is measured over, and the fewest that say something.
RECENT, FEWEST = 4_000, 500


class ModelSource(Protocol):
    """Where models come from."""

    def get(self, sha: str) -> ModelPair | None:
        """The model of that SHA-256; None when it cannot be had."""


class NoModels:
    """For runs without models."""

    def get(self, sha: str) -> ModelPair | None:
        return None


class Surprise(NamedTuple):
    """What the active model says of one person's hour."""

    token: str
    actor: Actor
    model: str
    day: int
    surprise: float
    why: list[Why]


class Scoring:
    """Diaries of the people of one partition, and what models make of them.

    Args:
        controls: which models are in force.
        source: the models.
        note: surprise below which nothing is passed on.
    """

    def __init__(self, controls: Controls, source: ModelSource, note: float) -> None:
        self._controls = controls
        self._source = source
        self._note = note
        self._open: dict[int, set[str]] = {}
        self._recent: dict[str, deque[npt.NDArray[np.float32]]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._counts = {ACTIVE: (0, 0), SHADOW: (0, 0)}

    @property
    def due(self) -> int:
        """Order time (ms) at which the next open hour ends."""
        return min(self._open, default=NEVER)

    def resume(self, token: str, actor: Actor) -> None:
        """Take note of a stored person's open hour."""
        if actor.diary is not None and actor.diary.ends:
            self._open.setdefault(actor.diary.ends, set()).add(token)

    def see(self, token: str, actor: Actor, touch: Touch) -> int:
        """Write a touch into the person's diary, if a model wants to know; when that hour ends (ms)."""
        diary = actor.diary
        if diary is None:
            models = self._controls.models(touch.who.carrier)
            if not (models.active or models.shadow):
                return NEVER
            diary = actor.diary = Diary()
        if touch.st >= diary.ends:
            diary.turn(touch)
            self._open.setdefault(diary.ends, set()).add(token)
        diary.now.add(touch)
        return diary.ends

    def close(self, people: Iterable[tuple[str, Actor]]) -> list[Surprise]:
        """An hour is over for all who did something in it; what surprises the active models.

        Args:
            people: as `ended` named them.
        """
        buckets: dict[str, list[tuple[str, Actor, Bucket]]] = defaultdict(list)
        for token, actor in people:
            assert actor.diary is not None, "only who has a diary has an open hour"
            bucket = actor.diary.close()
            if bucket is not None and actor.who is not None and not actor.who.service:
                buckets[actor.who.carrier].append((token, actor, bucket))
        found: list[Surprise] = []
        for carrier, rows in sorted(buckets.items()):
            models = self._controls.models(carrier)
            # Rows of numpy: lists of floats would take hundreds of megabytes on many partitions.
            self._recent[carrier].extend(np.array(bucket.hour_vector, np.float32) for _, _, bucket in rows)
            self._score(models.shadow, SHADOW, rows)
            found += self._score(models.active, ACTIVE, rows)
        return found

    def ended(self, due: int) -> list[str]:
        """Who did something in the hour that ends at `due`."""
        return sorted(self._open.pop(due))

    def _score(self, sha: str, mode: str, rows: list[tuple[str, Actor, Bucket]]) -> list[Surprise]:
        pair = self._source.get(sha) if sha else None
        if pair is None:
            return []
        hours = np.array([bucket.hour_vector for _, _, bucket in rows])
        days = np.array([bucket.day_vector for _, _, bucket in rows])
        by_hour, by_day = pair.hour.surprise(hours), pair.day.surprise(days)
        surprises = np.maximum(by_hour, by_day)
        high = np.flatnonzero(surprises >= self._note)
        scored, surprising = self._counts[mode]
        self._counts[mode] = (scored + len(rows), surprising + len(high))
        found = []
        for n in high:
            token, actor, bucket = rows[n]
            model, vector = (pair.hour, hours[n]) if by_hour[n] > by_day[n] else (pair.day, days[n])
            found.append(
                Surprise(
                    token, actor, sha, bucket.day, round(float(surprises[n]), 4), _why(model.explain(vector))
                )
            )
        return found

    def take_counts(self, mode: str) -> tuple[int, int]:
        """Hours scored in that mode since the last call, and those of them from `note` on."""
        counts, self._counts[mode] = self._counts[mode], (0, 0)
        return counts

    def drift(self) -> float:
        """Highest population stability index of any feature of an active model, chance taken off; 0 when unknown."""
        highest = 0.0
        for carrier, recent in self._recent.items():
            pair = self._source.get(sha) if (sha := self._controls.models(carrier).active) else None
            if pair is not None and len(recent) >= FEWEST:
                rows: Floats = np.array(recent, np.float64)
                moved = drift(pair.hour.reference, rows, HOUR_FEATURES)
                highest = max([highest, *(one.psi - one.chance for one in moved)])
        return highest


def _why(reasons: Iterable[Why]) -> list[Why]:
    return [(name, round(more, 3), round(value, 3), round(usual, 3)) for name, more, value, usual in reasons]
