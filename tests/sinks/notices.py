"""Alerts for the tests of receivers: one as the pipeline writes it, and any that could be."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from detectors.base import Finding, Person
from detectors.episodes import Alert
from streams.flow.ocsf import EVENT_TYPES, encode, message_id
from streams.sinks.base import Delivery

PARCELS = ("k1.parcel1", "k1.parcel2")


def alert(activity: int = 1, **more: Any) -> Alert:
    """An alert as detect makes it."""
    fields: dict[str, Any] = {
        "uid": "0900774f3df9b94d11258228dd752040",
        "activity": activity,
        "sequence": activity,
        "detector": "bulk_read",
        "version": "bulk_read-b3f4c6b1",
        "summary": "Reads many parcels new to the person within an hour.",
        "person": Person("k1.staff", "vnx", role="call_centre", site="HN-03"),
        "finding": Finding(
            severity=4,
            confidence=2,
            score=5.1,
            evidence=280.0,
            since=1_795_000_000_000,
            window=3600,
            measures={"count": 280.0},
            baseline={"own_high": 7.0},
            parcels=PARCELS,
            vi="Đã xem 280 bưu gửi mới trong 1 giờ.",
            en="Read 280 parcels new to this person within 1 hour.",
        ),
        "opened": 1_795_000_000_000,
        "first": 1_795_000_000_000,
        "last": 1_795_000_600_000,
        "at": 1_795_000_600_123,
        "utc_offset": 420,
        "records": 1281,
        "samples": PARCELS,
        "risk": 22.4,
    }
    return Alert(**fields | more)


def delivery(activity: int = 1, **more: Any) -> Delivery:
    """The alert as tell hands it to a receiver."""
    return as_delivery(alert(activity, **more))


def as_delivery(made: Alert) -> Delivery:
    """An alert of detect, as tell hands it to a receiver."""
    return Delivery(
        id=message_id(made),
        uid=made.uid,
        type=EVENT_TYPES[made.activity],
        occurred=made.at,
        recorded=made.at / 1000,
        body=encode(made),
    )


#: What `parcelwatch tell test` sends.
TEST_MESSAGE = Delivery(
    id="test-0123456789abcdef",
    uid="test",
    type="parcelwatch.test",
    occurred=1_795_000_000_123,
    recorded=1_795_000_000.123,
    body=b'{"message":"A test message of parcelwatch; nothing has happened."}',
)

#: Texts that a log may bring in to be taken for markup, another field, another line or another address.
HOSTILE = (
    "<!channel> <https://evil.example|click> & &amp; *bold* _it_ `code` [link](https://evil.example) "
    "=cmd|' /C calc'!A1 a=b c\\d e|f\r\n<14>1 - - - - - CEF:0|x|x|x|x|x|10|\x00\x1b[31m\u202e {{DATE(x)}} @everyone"
)

_texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="&<>|\\=\"'\n\r\t\x00\u202e😀ệ*_[]()`#", min_size=0, max_size=300),
    st.sampled_from(["&" * 5000, "😀" * 5000, "\\" * 5000, '"' * 5000, "=" * 5000, "ệ" * 5000, HOSTILE]),
)
_anything = st.one_of(
    _texts, st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.just([]), st.just({}), st.just([1])
)


def _objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.fixed_dictionaries({}, optional=fields), _anything)


_bodies = _objects(
    message=_anything,
    severity_id=st.one_of(st.integers(-1, 7), _anything),
    start_time=_anything,
    end_time=st.one_of(st.integers(0, 253_402_300_799_999), _anything),
    timezone_offset=st.one_of(st.integers(-2000, 2000), _anything),
    count=_anything,
    risk_score=_anything,
    actor=_objects(
        user=_objects(
            uid=_anything,
            org=_objects(uid=_anything, ou_uid=_anything),
            groups=st.lists(_objects(name=_anything, type=st.sampled_from(["role", "team"])), max_size=3),
        )
    ),
    finding_info=_objects(
        title=_anything, uid=_anything, analytic=_objects(name=_anything, version=_anything)
    ),
    resources=st.one_of(st.lists(_objects(uid=_anything), max_size=25), _anything),
    unmapped=_objects(message_vi=_anything),
)

#: Any delivery that tell could hand over, and some whose body it should not have.
deliveries = st.builds(
    Delivery,
    id=st.from_regex(r"[A-Za-z0-9_:-]{1,200}", fullmatch=True),
    uid=st.text(min_size=1, max_size=200),
    type=st.sampled_from([*EVENT_TYPES.values(), "parcelwatch.test"]),
    occurred=st.integers(0, 253_402_300_799_999),
    recorded=st.floats(0, 1e10),
    body=st.one_of(
        _bodies.map(msgspec.json.encode), st.binary(max_size=50), st.just(b'{"message":"\\ud800"}')
    ),
)
