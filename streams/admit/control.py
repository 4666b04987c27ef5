"""Control records go straight to the actor log, to every partition they concern.

They carry no order time: the merge lets each take effect where it stands in the log, at the order time reached there.
So a decision of today neither waits for an old log to catch up nor pushes it ahead.
"""

from __future__ import annotations

import math
import re
from zlib import crc32

from detectors import DETECTORS
from streams.admit.stage import AdmitStage, Parts
from streams.admit.validate import RefusalError
from streams.flow.control import (
    CONTROL_KINDS,
    LOOSEST,
    MODEL_MODES,
    STRICTEST,
    SWITCH,
    VERDICTS,
    ControlRecord,
    suppressible,
)
from streams.flow.events import CONTROL_SOURCE, Control
from streams.flow.stage import Record
from streams.flow.topics import ACTOR_LOG, CONTROL
from streams.privacy.tokens import looks_like_token

_KIND_CODES = {name: code for code, name in enumerate(CONTROL_KINDS)}
_MODEL = re.compile(rf"off|({'|'.join(mode for mode in MODEL_MODES if mode != 'off')}):[0-9a-f]{{64}}")
_DETECTORS = frozenset(detector.name for detector in DETECTORS) | {"risk", "model"}


class ControlStage(AdmitStage):
    """One partition of control."""

    topic = CONTROL
    record_type = ControlRecord
    source_kind = CONTROL_SOURCE
    downstream = ACTOR_LOG
    orders = False

    def admit(self, event: ControlRecord, record: Record, parts: Parts, notes: list[str]) -> bool:
        carrier = event.carrier
        cipher = self._directory.cipher(carrier)
        time = self._clock.read(event.time)[0]
        until = self._clock.read(event.until)[0] if event.until else 0
        _check(event, until)
        if event.id and self._ids.repeats(carrier + "/" + event.id, record.offset):
            return False
        actor = event.actor
        if actor and not looks_like_token(actor):
            actor = cipher.staff(actor)
        row = Control(
            0, self.source, record.offset, 0, time, _KIND_CODES[event.kind], carrier, actor, event.detector,
            event.alert, event.value, until,
        )  # fmt: skip
        concerned = (
            [parts[crc32(actor.encode()) % self._partitions]] if event.kind == "verdict" else list(parts)
        )
        for block, *_ in concerned:
            block.controls.append(row)
        return True


def _check(event: ControlRecord, until: int) -> None:
    """Whether the record says what its kind needs.

    Raises:
        RefusalError: invalid_control.
    """

    def need(holds: object, field: str, detail: str) -> None:
        if not holds:
            raise RefusalError("invalid_control", detail, f"$.{field}", event.carrier)

    kind, value = event.kind, event.value
    need(not event.detector or event.detector in _DETECTORS, "detector", "there is no detector of this name")
    if kind == "verdict":
        need(value in VERDICTS, "value", f"a verdict is one of {', '.join(VERDICTS)}")
        for field in ("actor", "detector", "alert"):
            need(getattr(event, field), field, f"a verdict names the {field}")
    elif kind in ("suppress", "watch"):
        need(value in SWITCH, "value", "the value is on or off")
        if kind == "watch":
            need(event.actor, "actor", "a watch names a person")
        else:
            need(event.actor or event.detector, "actor", "a suppression names a person, a detector, or both")
            need(suppressible(event.detector), "detector", "a honeytoken cannot be suppressed")
        if value == "on":
            need(until, "until", "it must end: until is missing")
            need(event.why.strip(), "why", "it must be said why")
    elif kind == "strictness":
        need(LOOSEST <= _number(value) <= STRICTEST, "value", f"a factor from {LOOSEST} to {STRICTEST}")
    else:
        need(_MODEL.fullmatch(value), "value", "the value is shadow:SHA256, active:SHA256 or off")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
