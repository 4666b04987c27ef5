"""Whose time it is and whom it is about is the same for every command that decides."""

from __future__ import annotations

from datetime import UTC, datetime

from streams.commands import decision
from streams.privacy.tokens import Keyring
from streams.settings import Settings


def test_a_token_of_an_older_key_is_taken_for_the_same_person() -> None:
    ring = Keyring()
    ring.add_carrier("vnx")
    old = ring.cipher("vnx").staff("nv0231")
    ring.rotate("vnx")
    assert decision.staff_token(ring, "vnx", old) == ring.cipher("vnx").staff("nv0231") != old


def test_a_time_is_the_carriers_where_its_zone_is_known_and_an_alerts_else() -> None:
    settings = Settings.model_validate({"carriers": {"vnx": {"time_zone": "Asia/Ho_Chi_Minh"}}})
    at = datetime(2026, 11, 24, 1, 3, tzinfo=UTC)
    assert decision.shown(at, decision.zone_of(settings, "vnx", 0)) == "2026-11-24 08:03 +07:00"
    assert decision.shown(at, decision.zone_of(settings, "abc", -330)) == "2026-11-23 19:33 -05:30"
    assert decision.shown(at, decision.zone_of(settings, "abc")) == "2026-11-24 01:03 +00:00"
