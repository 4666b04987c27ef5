"""Commands run as from a console, and the audit file they leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from streams.privacy.audit import FILE_NAME

#: Runs `parcelwatch` with these arguments.
Run = Callable[..., Result]


def audit(data: Path) -> list[dict[str, object]]:
    """What a data folder's audit file says, oldest first."""
    path = data / FILE_NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
