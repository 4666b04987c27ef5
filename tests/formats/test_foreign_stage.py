"""Foreign records in the pipeline: every entry accounted for, whatever is refused can be readmitted, once."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from streams.flow.events import decode_block
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG
from streams.formats.base import Format
from streams.history.pipeline import Pipeline
from streams.privacy.tokens import Keyring
from tests.format_examples import EXAMPLES, HEADERS, NATIVE, made, trail

NOW = 1795482300000
TRAIL = made("cloudtrail")


class Stream:
    """A pipeline of one partition that reads a format; its records and what became of them."""

    def __init__(self, source: Format | None, batch: int = 5_000) -> None:
        self.keys = Keyring()
        self.keys.add_carrier("vnx")
        self.pipeline = Pipeline(
            self.keys, partitions=1, arrived=lambda: NOW, translator=source, keep_logs=True, batch=batch
        )

    def send(self, *values: bytes | None, headers: Any = ()) -> None:
        for value in values:
            self.pipeline.append((ACCESS_EVENTS, 0), None, value, headers)
        self.pipeline.flow()

    def finish(self) -> None:
        self.pipeline.finish()

    @property
    def counts(self) -> dict[str, int]:
        counts = self.pipeline.counts()[ACCESS_EVENTS]
        parts = sum(counts.get(name, 0) for name in ("admitted", "rejected", "duplicate"))
        assert counts.get("received", 0) == parts
        return {name: n for name, n in counts.items() if n and not name.startswith("corrected/")}

    @property
    def touches(self) -> list[Any]:
        self.finish()
        blocks = [decode_block(record.value or b"") for record in self.pipeline.logs[ACTOR_LOG, 0]]
        return [(touch, block.people[touch.who]) for block in blocks for touch in block.touches]

    def refused(self) -> list[tuple[dict[str, Any], bytes]]:
        """Rejections, and what each sealed."""
        found = [orjson.loads(record.value or b"") for record in self.pipeline.rejected]
        return [(one, self.keys.unseal(base64.b64decode(one["sealed"]))) for one in found]


def records(*entries: dict[str, Any]) -> bytes:
    return orjson.dumps({"Records": entries})


def test_every_entry_of_an_array_has_rows_of_its_own_and_is_counted() -> None:
    stream = Stream(TRAIL)
    entries = [
        trail(eventID=f"t{n}", requestParameters={"bucketName": "b", "key": f"VN{n}"}) for n in range(3)
    ]
    stream.send(records(*entries, trail(eventName="PutObject"), entries[0]), records())
    assert stream.counts == {
        "received": 4, "admitted": 3, "duplicate": 1,
        "ignored": 2, "ignored/other_operation": 1, "ignored/not_selected": 1,
    }  # fmt: skip
    touches = [touch for touch, _ in stream.touches]
    assert [touch.records for touch in touches] == [1, 1, 1]
    assert len({(touch.src, touch.off, touch.idx) for touch in touches}) == 3


def test_what_is_refused_of_an_array_is_sealed_alone_and_admitted_when_sent_again() -> None:
    stream = Stream(TRAIL)
    good, bad = trail(eventID=""), trail(eventID="", userIdentity={})
    stranger = trail(eventTime="2030-01-01T00:00:00Z")
    stream.send(records(good, bad, stranger))
    assert (stream.counts["admitted"], stream.counts["rejected"]) == (1, 2)
    [(rejection, sealed)] = stream.refused()
    assert rejection["detail"].startswith("2 of 3 entries were refused, the first: ")
    assert "userIdentity" in rejection["where"]
    assert orjson.loads(sealed) == [bad, stranger]
    stream.send(sealed)
    assert stream.counts["admitted"] == 1, "the good one came once"
    assert stream.counts["rejected"] == 4


def test_a_refused_binary_event_is_admitted_without_headers_once_its_carrier_has_keys() -> None:
    stream = Stream(made("cloudevents"))
    stream.send(orjson.dumps({**NATIVE, "carrier": "new"}), headers=HEADERS)
    [(rejection, sealed)] = stream.refused()
    assert rejection["reason"] == "unknown_carrier"
    stream.keys.add_carrier("new")
    stream.send(sealed, sealed)
    assert stream.counts["admitted"] == stream.counts["duplicate"] == 1


def test_null_and_oversized_values_are_rejected_by_name() -> None:
    stream = Stream(TRAIL)
    stream.send(None, b"[" + b" " * (1 << 20) + b"]")
    assert [one["reason"] for one, _ in stream.refused()] == ["null_value", "too_large"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_foreign_record_leads_to_the_touches_its_native_event_leads_to(name: str) -> None:
    example = EXAMPLES[name]
    foreign, native = Stream(example.source), Stream(None)
    native.keys = foreign.keys
    native.pipeline = Pipeline(foreign.keys, partitions=1, arrived=lambda: NOW, keep_logs=True)
    foreign.send(example.value, headers=example.headers)
    native.send(orjson.dumps(example.fields))
    assert foreign.touches == native.touches
    assert len(foreign.touches) == len(example.fields["parcels"])


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_change_nothing(batch: int) -> None:
    values = [records(*(trail(eventID=f"{n}-{m}") for m in range(n % 4)), {"x": 1}) for n in range(20)]
    one, other = Stream(TRAIL, batch), Stream(TRAIL)
    for stream in (one, other):
        stream.send(*values)
    assert one.counts == other.counts
    assert [(t.off, t.idx) for t, _ in one.touches] == [(t.off, t.idx) for t, _ in other.touches]
