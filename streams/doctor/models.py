"""Checks of the models in force: those the control topic names must be usable from this folder."""

from __future__ import annotations

from streams.doctor.check import Check, green, red, yellow
from streams.kafka.control import ControlError, read
from streams.kafka.decisions import models
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import TopicError, admin_client
from streams.settings import Settings

_NONE = green("models", "none in force")


def check_models(settings: Settings, timeout: float = 3.0) -> list[Check]:
    """Can every model that is active or in shadow be loaded here?

    Args:
        settings: of the deployment to look at.
        timeout: seconds to wait for the broker's first answer.
    """
    try:
        with admin_client(settings, timeout):
            entries = [entry for entry in read(settings) if entry.record.kind == "model"]
    except (ControlError, SendError, TopicError):
        return [
            yellow("models", "not asked: the control topic cannot be read", "make the broker answer first")
        ]
    if not entries:
        return [_NONE]
    # Here and not above: scikit-learn takes a second to import, and where no model is in force nothing needs it.
    from models.registry import ModelError, Registry

    registry = Registry(settings.models_path)
    checks = []
    for carrier in sorted({entry.record.carrier for entry in entries}):
        standing = models(entries, carrier)
        for mode, sha in (("active", standing.active), ("shadow", standing.shadow)):
            if not sha:
                continue
            try:
                registry.load(sha)
            except ModelError as exc:
                checks.append(
                    red(f"model {carrier}", f"{mode}: {exc}", "the detectors go on without it meanwhile")
                )
            else:
                checks.append(green(f"model {carrier}", f"{mode} {sha[:12]} can be used"))
    return checks or [_NONE]
