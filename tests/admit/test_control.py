"""Control records: what each kind must say, and where admit sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.flow.events import Control, decode_block
from streams.flow.topics import ACTOR_LOG, CONTROL
from streams.history.pipeline import Pipeline
from streams.privacy.tokens import Keyring
from tests.law_harness import RING
from tests.senders import CARRIER, DAY, MONDAY, decision, stamp

NOW = MONDAY + DAY
UNTIL = stamp(NOW + DAY)
SUPPRESS = {"kind": "suppress", "actor": "p1", "value": "on", "until": UNTIL}
VERDICT = {"kind": "verdict", "actor": "p1", "detector": "bulk_read", "alert": "a" * 32, "value": "benign"}


def taken(*values: bytes, ring: Keyring = RING) -> Pipeline:
    """Three partitions that took these control records."""
    made = Pipeline(ring, partitions=3, arrived=lambda: NOW, keep_logs=True)
    made.feed(CONTROL, values)
    made.finish()
    return made


def rows(made: Pipeline) -> list[list[Control]]:
    """What reached each partition of the actor log."""
    return [
        [row for record in made.logs[ACTOR_LOG, p] for row in decode_block(record.value or b"").controls]
        for p in range(3)
    ]


def the_row(made: Pipeline) -> Control:
    """The one that reached one partition."""
    [row] = [row for reached in rows(made) for row in reached]
    return row


def test_a_decision_on_a_person_reaches_his_partition_and_one_on_many_every_one() -> None:
    everybody = SUPPRESS | {"actor": "", "detector": "bulk_read"}
    made = taken(decision(NOW, **SUPPRESS), decision(NOW, **VERDICT), decision(NOW, **everybody))
    assert sorted(len(found) for found in rows(made)) == [1, 1, 3]
    assert made.counts()[CONTROL]["admitted"] == 3


def test_a_clear_staff_id_becomes_the_token_alerts_have() -> None:
    token = RING.cipher(CARRIER).staff("p1")
    clear, same = (the_row(taken(decision(NOW, **SUPPRESS | {"actor": who}))) for who in ("p1", token))
    assert clear == same
    assert clear.actor == token


def test_a_token_that_is_none_of_the_carriers_people_is_refused() -> None:
    """What is kept by token alone would reach into another carrier, or be kept of nobody."""
    ring = Keyring()
    for carrier in (CARRIER, "other"):
        ring.add_carrier(carrier)
    for actor in (
        ring.cipher("other").staff("p1"),
        ring.cipher(CARRIER).parcel("P1"),
        "k1." + "0912345678" * 3,
    ):
        made = taken(decision(NOW, **VERDICT | {"actor": actor}), ring=ring)
        assert made.counts()[CONTROL].get("rejected/invalid_control") == 1
        refused = json.loads(made.rejected[0].value or b"")
        assert refused["where"] == "$.actor"
        assert actor not in str(refused)
        assert rows(made) == [[], [], []]


def test_a_token_made_under_an_older_key_becomes_the_one_that_touches_have() -> None:
    ring = Keyring()
    ring.add_carrier(CARRIER)
    old = ring.cipher(CARRIER).staff("p1")
    ring.rotate(CARRIER)
    made = taken(decision(NOW, **SUPPRESS | {"actor": old}), ring=ring)
    assert the_row(made).actor == ring.cipher(CARRIER).staff("p1") != old


def test_no_decision_outlasts_ninety_days_from_its_arrival_whatever_time_it_claims() -> None:
    ahead = NOW + 400 * DAY
    made = taken(decision(ahead, **SUPPRESS | {"until": stamp(ahead + 90 * DAY)}))
    assert made.counts()[CONTROL].get("rejected/time_in_future") == 1
    a_little = NOW + DAY // 2
    made = taken(decision(a_little, **SUPPRESS | {"until": stamp(a_little + 90 * DAY)}))
    assert json.loads(made.rejected[0].value or b"")["where"] == "$.until"


def test_an_end_that_is_no_time_is_refused_by_its_own_name() -> None:
    made = taken(decision(NOW, **SUPPRESS | {"until": "tomorrow"}))
    assert json.loads(made.rejected[0].value or b"")["where"] == "$.until"


def test_a_decision_sent_twice_counts_once() -> None:
    made = taken(*[decision(NOW, id="c1", **SUPPRESS)] * 2)
    assert made.counts()[CONTROL]["duplicate"] == 1


@pytest.mark.parametrize(
    ("record", "where"),
    [
        (VERDICT | {"value": "guilty"}, "$.value"),
        (VERDICT | {"alert": ""}, "$.alert"),
        (VERDICT | {"alert": "0912345678"}, "$.alert"),
        (VERDICT | {"actor": ""}, "$.actor"),
        (SUPPRESS | {"value": "off", "detector": "0912345678"}, "$.detector"),
        (SUPPRESS | {"value": "off", "alert": "0912345678"}, "$.alert"),
        (VERDICT | {"detector": ""}, "$.detector"),
        (SUPPRESS | {"actor": ""}, "$.actor"),
        (SUPPRESS | {"until": ""}, "$.until"),
        (SUPPRESS | {"why": " "}, "$.why"),
        (SUPPRESS | {"value": "maybe"}, "$.value"),
        (SUPPRESS | {"detector": "honeytoken"}, "$.detector"),
        (SUPPRESS | {"detector": "horoscope"}, "$.detector"),
        (SUPPRESS | {"until": stamp(NOW - DAY)}, "$.until"),
        (SUPPRESS | {"until": stamp(NOW + 91 * DAY)}, "$.until"),
        (SUPPRESS | {"kind": "watch", "actor": ""}, "$.actor"),
        ({"kind": "strictness", "value": "0"}, "$.value"),
        ({"kind": "strictness", "value": "nan"}, "$.value"),
        ({"kind": "strictness", "value": "very"}, "$.value"),
        ({"kind": "model", "value": "active:beef"}, "$.value"),
    ],
)
def test_what_a_kind_must_say_is_asked_for_by_name(record: dict[str, Any], where: str) -> None:
    made = taken(decision(NOW, **record))
    assert made.counts()[CONTROL].get("rejected/invalid_control") == 1
    assert json.loads(made.rejected[0].value or b"")["where"] == where
    assert rows(made) == [[], [], []]
