"""What parcelwatch remembers of one person: the state of every detector, and the episodes that are open."""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.base import Detector, Person
from detectors.episodes import Episode
from detectors.sigma import PREFIX
from detectors.sigma import State as RulesState
from models.features import Diary
from streams.flow.events import START, Position


class Actor(msgspec.Struct):
    """One person, decoded.

    Attributes:
        pos: position of the last row applied.
        day: latest local day seen, counted from 1970-01-01; 0 before the first.
        due: order time (ms) at which to look whether something is to be done though the person does nothing; 0: never.
        utc_offset: minutes, of the latest touch.
        who: the person as of the latest touch.
        states: one a detector, in the catalogue's order.
        episodes: open ones by detector name.
        diary: what models are told of the person; None where no model is in force.
        touches: of the present local day. level: how much the person does a day, see `models.peers`.
        rules: what Sigma rules remember; None while none has a window open.
    """

    pos: Position
    day: int
    due: int
    utc_offset: int
    who: Person | None
    states: list[Any]
    episodes: dict[str, Episode]
    diary: Diary | None = None
    touches: int = 0
    level: int = 0
    rules: RulesState | None = None


class _Stored(msgspec.Struct, array_like=True):
    pos: Position
    day: int
    due: int
    utc_offset: int
    who: Person | None
    states: dict[str, Any]
    episodes: dict[str, Episode]
    diary: Diary | None = None
    touches: int = 0
    level: int = 0
    rules: RulesState | None = None


class _Loaded(_Stored, array_like=True):
    states: dict[str, msgspec.Raw]


class ActorCodec:
    """Encodes people with the states of the given detectors; a state of other parameters is left behind.

    Args:
        detectors: the catalogue.
    """

    def __init__(self, detectors: tuple[Detector[Any], ...]) -> None:
        self._detectors = detectors
        self._names = {detector.name for detector in detectors}
        # The tag's hash alone: with the names, keys would take a tenth of what a person may.
        self._tags = [detector.tag[-8:] for detector in detectors]
        self._decoders = [msgspec.msgpack.Decoder(detector.state_type).decode for detector in detectors]
        self._load = msgspec.msgpack.Decoder(_Loaded).decode
        self._dump = msgspec.msgpack.Encoder().encode

    def _told(self, name: str) -> bool:
        return name in self._names or name.startswith(PREFIX)

    def initial(self) -> Actor:
        """A person never seen."""
        return Actor(START, 0, 0, 0, None, [detector.initial() for detector in self._detectors], {})

    def encode(self, actor: Actor) -> bytes:
        """Bytes of a person; equal people give equal bytes."""
        states = dict(zip(self._tags, actor.states, strict=True))
        return self._dump(
            _Stored(
                actor.pos, actor.day, actor.due, actor.utc_offset, actor.who, states, actor.episodes, actor.diary,
                actor.touches, actor.level, actor.rules,
            )
        )  # fmt: skip

    def decode(self, raw: bytes) -> Actor:
        """A person from bytes; detectors that are new or changed begin afresh."""
        stored = self._load(raw)
        states = [
            decode(stored.states[tag]) if tag in stored.states else detector.initial()
            for tag, decode, detector in zip(self._tags, self._decoders, self._detectors, strict=True)
        ]
        episodes = {name: episode for name, episode in stored.episodes.items() if self._told(name)}
        return Actor(
            stored.pos, stored.day, stored.due, stored.utc_offset, stored.who, states, episodes, stored.diary,
            stored.touches, stored.level, stored.rules,
        )  # fmt: skip
