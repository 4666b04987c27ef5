"""Whatever a format is given, it gives entries: events, its own refusals, or what is of no concern; never an error."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.admit.translation import IGNORED, Entry, IgnoredError
from streams.admit.validate import REMEDIES, RefusalError, as_access_event
from streams.formats.mapping import Mapping, TimeFormat
from tests.format_examples import EXAMPLES, HEADERS, Example, made

WILD = Mapping(fields={"time": "a.0.b", "actor": "b", "parcels": "a", "records": "c", "reason.id": "d"},
               time=TimeFormat("unix", "+07:00"), each="a")  # fmt: skip
CASES = {**EXAMPLES, "mapping, any paths": Example(made("mapping", WILD), b'{"a":[{"b":1}],"c":2}', {})}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
KEYS = st.sampled_from(["a", "b", "c", "a.b", "Records", "data"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
named = pytest.mark.parametrize("name", CASES)


def check(example: Example, value: bytes, headers: Any = ()) -> None:
    entries = example.source.entries(value, headers)
    assert entries or b"[" in value, "only an empty list of entries is none"
    for entry in entries:
        raw, outcome = entry
        if isinstance(outcome, dict):
            try:
                as_access_event(outcome)
            except RefusalError as refusal:
                outcome = refusal
        if isinstance(outcome, RefusalError):
            assert outcome.reason in REMEDIES
            # What is sealed is read as it was the first time: readmitting can mend what a setting got wrong.
            again: list[Entry] = example.source.entries(raw)
            if b"Records" in raw:  # a file within a file is nobody's format
                continue
            assert len(again) == 1
            assert type(again[0].outcome) in (type(entry.outcome), dict)
        elif isinstance(outcome, IgnoredError):
            assert outcome.reason in IGNORED
        else:
            assert isinstance(outcome, dict)


@named
@FUZZ
@given(value=st.binary(max_size=200), binary=st.booleans())
def test_random_bytes(name: str, value: bytes, binary: bool) -> None:
    check(CASES[name], value, HEADERS if binary else ())


@named
@FUZZ
@given(document=JSON)
def test_random_json(name: str, document: Any) -> None:
    check(CASES[name], msgspec.json.encode(_small(document)))


@named
@FUZZ
@given(data=st.data())
def test_good_records_with_a_member_replaced(name: str, data: st.DataObject) -> None:
    example = CASES[name]
    if not example.value.startswith(b"{"):
        return
    document = msgspec.json.decode(example.value)
    inner = document
    for _ in range(data.draw(st.integers(0, 4))):
        choices = [
            v
            for v in (inner.values() if isinstance(inner, dict) else inner)
            if isinstance(v, dict | list) and v
        ]
        if not choices:
            break
        inner = data.draw(st.sampled_from(choices))
    keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    inner[data.draw(st.sampled_from(keys))] = _small(data.draw(JSON))
    check(example, msgspec.json.encode(document), example.headers)


@named
@FUZZ
@given(data=st.data())
def test_good_records_with_bytes_changed(name: str, data: st.DataObject) -> None:
    example = CASES[name]
    value = bytearray(example.value)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        if data.draw(st.booleans()):
            value[at] = data.draw(st.integers(0, 255))
        else:
            del value[at : at + data.draw(st.integers(1, 30))]
        if not value:
            break
    check(example, bytes(value), example.headers)


@named
@pytest.mark.parametrize("value", [
    b"", b"null", b"[" * 5_000, b'{"a":' * 5_000, b'{"class_uid":6001,"a":' + b"9" * 5_000 + b"}", b"\xed\xa0\x80",
    b'{"specversion":"1.0","id":"\\ud800","source":"x","type":"t","data":{}}', b'"' * 999, b"[]", b'{"Records":[]}',
    b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
])  # fmt: skip
def test_what_breaks_readers(name: str, value: bytes) -> None:
    check(CASES[name], value, CASES[name].headers)
    check(CASES[name], value)


def _small(value: Any) -> Any:
    """Numbers within what the encoder writes."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(-(1 << 63), min(value, (1 << 64) - 1))
    if isinstance(value, list):
        return [_small(one) for one in value]
    if isinstance(value, dict):
        return {key: _small(one) for key, one in value.items()}
    return value
