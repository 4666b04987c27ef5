"""A honeytoken is parcelwatch's own: planting some does not make a carrier one that sends context."""

from __future__ import annotations

import json

import pytest

from streams.flow.events import decode_block
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, PARCEL_CONTEXT
from streams.history.pipeline import Pipeline
from streams.privacy.tokens import Keyring


@pytest.mark.parametrize(("kind", "sends"), [("honeytoken", False), ("arrived", True)])
def test_only_a_carriers_own_records_say_that_it_sends_context(kind: str, sends: bool) -> None:
    keys = Keyring()
    keys.add_carrier("vnx")
    pipeline = Pipeline(keys, partitions=1, arrived=lambda: 1772413260000, keep_logs=True)
    record = {"time": "2026-03-02T07:00:00+07:00", "carrier": "vnx", "parcel": "VN1", "kind": kind}
    pipeline.feed(PARCEL_CONTEXT, [json.dumps(record).encode()])
    event = {"time": "2026-03-02T08:00:00+07:00", "carrier": "vnx", "actor": "nv1", "action": "view"}
    pipeline.feed(ACCESS_EVENTS, [json.dumps({**event, "parcels": ["VN2"]}).encode()])
    pipeline.finish()
    blocks = [decode_block(entry.value or b"") for entry in pipeline.logs[ACTOR_LOG, 0]]
    assert [touch.context for block in blocks for touch in block.touches] == [sends]
