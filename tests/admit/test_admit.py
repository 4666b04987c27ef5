"""What admit lets out says who and which only in tokens, and why only as far as it can explain."""

from __future__ import annotations

import json

from detectors.base import EXPLANATIONS
from streams.flow.events import decode_block
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, PARCEL_CONTEXT, PARCEL_LOG
from streams.history.pipeline import Pipeline
from streams.privacy.tokens import Keyring

TIME = "2026-03-02T08:00:00+07:00"
NOW = 1772413260000
CLEAR = ("staff-canary", "parcel-canary", "ticket-canary", "0912345678")


def admitted(*reasons: dict[str, str]) -> Pipeline:
    """One view for each reason, of a parcel with a ticket and a call."""
    keys = Keyring()
    keys.add_carrier("vnx")
    made = Pipeline(keys, partitions=1, arrived=lambda: NOW, keep_logs=True)
    about = {"time": TIME, "carrier": "vnx", "parcel": "parcel-canary"}
    context = [
        {**about, "kind": "ticket_opened", "ticket": "ticket-canary"},
        {**about, "kind": "call", "ticket": "0912345678"},
    ]
    made.feed(PARCEL_CONTEXT, [json.dumps(record).encode() for record in context])
    view = {"carrier": "vnx", "actor": "staff-canary", "action": "view", "parcels": ["parcel-canary"]}
    made.feed(
        ACCESS_EVENTS,
        [
            json.dumps({**view, "time": TIME.replace("00+", "30+"), "reason": reason}).encode()
            for reason in reasons
        ],
    )
    made.finish()
    made.checkpoint()
    return made


def explanations(made: Pipeline) -> list[str]:
    blocks = [decode_block(record.value or b"") for record in made.logs[ACTOR_LOG, 0]]
    return [EXPLANATIONS[touch.explanation] for block in blocks for touch in block.touches]


def test_no_reason_or_ticket_leaves_admit_in_clear() -> None:
    """People write phone numbers and names into such fields, and call ids often are phone numbers."""
    made = admitted(
        {"kind": "ticket", "id": "ticket-canary"},
        {"kind": "call", "id": "0912345678"},
        {"kind": "asked by 0912345678", "id": "0912345678"},
        {"kind": "other", "id": "parcel-canary"},
    )
    kept = [record.value or b"" for topic in (PARCEL_LOG, ACTOR_LOG) for record in made.logs[topic, 0]]
    kept += [value for store in made.stores.values() for value in store.values()]
    assert len(explanations(made)) == 4
    assert not [text for text in CLEAR if any(text.encode() in value for value in kept)]


def test_a_ticket_still_explains_by_its_id_and_only_by_its_own() -> None:
    made = admitted({"kind": "ticket", "id": "ticket-canary"}, {"kind": "ticket", "id": "another"})
    assert explanations(made) == ["ticket", ""]
