"""What admit lets out says who and which only in tokens, and why only as far as it can explain."""

from __future__ import annotations

import json
from collections.abc import Iterable

from detectors.base import EXPLANATIONS, Touch
from streams.flow.events import decode_block
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, PARCEL_CONTEXT, PARCEL_LOG
from streams.history.pipeline import Pipeline
from streams.privacy.cipher import SERIALS
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


def touches(made: Pipeline) -> list[Touch]:
    blocks = [decode_block(record.value or b"") for record in made.logs[ACTOR_LOG, 0]]
    return [touch for block in blocks for touch in block.touches]


def seen(*events: dict[str, object], context: Iterable[dict[str, object]] = ()) -> list[Touch]:
    """What reaches detect of these accesses, each a second after the one before."""
    keys = Keyring()
    keys.add_carrier("vnx")
    made = Pipeline(keys, partitions=1, arrived=lambda: NOW, keep_logs=True)
    about = {"time": TIME.replace("08:00", "07:59"), "carrier": "vnx", "parcel": "VN1"}
    made.feed(PARCEL_CONTEXT, [json.dumps({**about, **record}).encode() for record in context])
    view = {"carrier": "vnx", "actor": "nv1", "action": "view", "parcels": ["VN1"]}
    made.feed(
        ACCESS_EVENTS,
        [
            json.dumps({**view, "time": TIME.replace("00+", f"{second:02}+"), **event}).encode()
            for second, event in enumerate(events)
        ],
    )
    made.finish()
    return touches(made)


def test_devices_and_networks_are_told_apart_without_being_told() -> None:
    one, same, other = seen(
        {"device": "d-canary", "ip": "10.1.2.3"},
        {"device": "d-canary", "ip": "10.1.2.77"},
        {"device": "d2", "ip": "10.1.3.3"},
    )
    assert one.device == same.device != other.device
    assert one.place == same.place != other.place
    assert all(0 < mark < 1 << 32 for mark in (one.device, other.device, one.place, other.place))


def test_what_is_not_said_of_device_network_and_channel_is_nothing() -> None:
    [touch] = seen({"channel": "teletext"})
    assert (touch.device, touch.place, touch.channel) == (0, 0, 0)


def test_neighbouring_numbers_are_neighbours_still_and_nothing_more_is_let_out() -> None:
    ids = ["EE123456785VN", "EE123456794VN", "VN0000007", "VN0000010", "no number"]
    first, second, third, fourth, none = (touch.serial for touch in seen(*({"parcels": [i]} for i in ids)))
    assert (second - first) % SERIALS == 1
    assert (fourth - third) % SERIALS == 3
    assert none == -1
    again, *_ = (touch.serial for touch in seen(*({"parcels": [i]} for i in ids[2:3])))
    assert again != third, "under another key the same number stands elsewhere"


def test_a_failed_access_shows_no_parcel_but_where_it_was_looked_for() -> None:
    shown, missed = seen({"parcels": ["VN5"]}, {"parcels": ["VN6"], "outcome": "not_found"})
    assert (missed.failed, missed.parcel, missed.records) == (True, "", 0)
    assert (missed.serial - shown.serial) % SERIALS == 1
    assert not shown.failed


def test_a_honeytoken_is_known_by_its_feed_and_a_closed_parcel_by_when_it_was_closed() -> None:
    [ghost] = seen({}, context=[{"kind": "honeytoken", "feed": "shop-7"}])
    assert (ghost.ghost, ghost.closed) == ("shop-7", 0)
    [closed] = seen({}, context=[{"kind": "delivered"}])
    assert (closed.ghost, closed.closed) == ("", closed.time - 60_000)


def test_a_crowd_of_onlookers_is_counted_from_four_on() -> None:
    crowds = [touch.crowd for touch in seen(*({"actor": f"nv{n}"} for n in range(8)))]
    assert crowds == [0] * 4 + [4, 5, 6, 7]


def test_who_belongs_to_a_parcel_is_no_onlooker() -> None:
    team = [{"actor": f"nv{n}"} for n in range(8)]
    assigned = [{"kind": "assigned", "staff": ["nv0", "nv1", "nv2", "nv3"]}]
    assert [touch.crowd for touch in seen(*team, context=assigned)] == [0] * 8
    scans = [{**one, "action": "scan"} for one in team]
    assert [touch.crowd for touch in seen(*scans, {"actor": "nv9"})] == [0] * 9
