"""What analysts decide, for tests of the control topic: the fields of a verdict and of a switch that is on."""

from __future__ import annotations

from datetime import UTC, datetime

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
TOKEN = "k1.zUWsn7pwkUjqzZAaUPQFsWESksu3KFqo0w"
VERDICT = {
    "actor": TOKEN,
    "detector": "bulk_read",
    "alert": "a" * 32,
    "value": "benign",
    "by": "an",
    "why": "r",
}
ON = {"actor": TOKEN, "value": "on", "until": "2026-12-01T00:00:00Z", "why": "case 812", "by": "an"}
