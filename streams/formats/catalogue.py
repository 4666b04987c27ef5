"""Every input format, one line each; and the one the settings name."""

from __future__ import annotations

from pathlib import Path

from streams.formats.base import Format
from streams.formats.cloudevents import CloudEvents
from streams.formats.cloudtrail import CloudTrail
from streams.formats.ecs import Ecs
from streams.formats.mapped import Mapped
from streams.formats.mapping import Mapping, MappingError
from streams.formats.native import Native
from streams.formats.ocsf import Ocsf
from streams.formats.pgaudit import PgAudit
from streams.formats.weblog import WebLog
from streams.settings import Settings, SettingsError

FORMATS: dict[str, type[Format]] = {
    kind.name: kind for kind in (Native, CloudEvents, Ocsf, Ecs, CloudTrail, WebLog, PgAudit, Mapped)
}


def make_format(name: str, mapping: Path | None = None, carrier: str = "") -> Format:
    """A format by name.

    Args:
        mapping: file of what is particular to the source.
        carrier: code of the carrier, where the log does not say.

    Raises:
        MappingError: no such format, a mapping that cannot be used, or none where one is needed.
    """
    if name not in FORMATS:
        raise MappingError(f"there is no format {name!r}; the formats are {', '.join(FORMATS)}")
    return FORMATS[name](Mapping.load(mapping) if mapping else None, carrier)


def input_format(settings: Settings) -> Format | None:
    """What access events come in; None for the native format, which needs no translation.

    Raises:
        SettingsError: the format's settings cannot be used.
    """
    if settings.input_format == Native.name:
        return None
    try:
        return make_format(settings.input_format, settings.input_mapping, settings.input_carrier)
    except MappingError as exc:
        raise SettingsError(f"setting input_format = {settings.input_format!r}: {exc}") from None
