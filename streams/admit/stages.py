"""Which stage reads which inbound topic."""

from __future__ import annotations

from typing import Any

from streams.admit.access import AccessStage
from streams.admit.context import ContextStage
from streams.admit.control import ControlStage
from streams.admit.foreign import ForeignAccessStage
from streams.admit.staff import StaffStage
from streams.admit.stage import AdmitStage
from streams.admit.translation import Translator

_STAGES: dict[str, type[AdmitStage]] = {
    stage.topic: stage for stage in (StaffStage, ContextStage, AccessStage, ControlStage)
}


def admit_stage(topic: str, *args: Any, translator: Translator | None = None) -> AdmitStage:
    """The stage of one partition of an inbound topic; arguments as `AdmitStage` has them.

    Args:
        translator: of the format that access events come in; None for the native one.
    """
    if translator is not None and topic == AccessStage.topic:
        return ForeignAccessStage(*args, translator=translator)
    return _STAGES[topic](*args)
