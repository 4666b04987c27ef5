"""Which page has which generated parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from streams.reference.alert import alert_example
from streams.reference.commands import commands_part
from streams.reference.events import KINDS, fields_table
from streams.reference.markdown import replaced
from streams.reference.settings import settings_tables
from streams.reference.topics import topics_settings, topics_table

#: Generated parts by page and name.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings_tables},
    "topics.md": {"topics": topics_table, "topic settings": topics_settings},
    "events.md": {name: partial(fields_table, kind) for name, kind in KINDS.items()},
    "alerts.md": {"alert": alert_example},
    "commands.md": {"commands": commands_part},
}


def pages(docs: Path) -> dict[Path, str]:
    """Text of each page with its generated parts anew.

    Args:
        docs: folder of the documentation.

    Raises:
        PageError: a page lacks the place for a part.
    """
    made = {}
    for name, parts in PARTS.items():
        text = (docs / name).read_text("utf-8")
        for part, content in parts.items():
            text = replaced(name, text, part, content())
        made[docs / name] = text
    return made
