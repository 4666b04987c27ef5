"""One whole alert, made by a detector out of an invented day, as the topic has it."""

from __future__ import annotations

import json

from msgspec.structs import replace

from detectors.bulk_read import BulkRead
from detectors.testing import Watch, at, office, views
from streams.flow import ocsf


def alert_example() -> str:
    """The first alert on a clerk of an ordinary office who opens 400 parcels in half an hour; three samples shown."""
    watch = Watch(BulkRead(), office(BulkRead()))
    alert = watch.see(*views(at(hour=10), parcels=400, minutes=30))[0]
    shown = replace(alert, samples=alert.samples[:3], risk=4.0, reasons=("bulk_read",))
    return f"```json\n{json.dumps(ocsf.render(shown), ensure_ascii=False, indent=1)}\n```"
