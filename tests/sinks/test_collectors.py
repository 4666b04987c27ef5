"""Splunk, Elasticsearch and Sentinel get alerts in batches, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from streams.sinks.base import Outcome
from tests.sinks.apis import SECRET, Start, serving
from tests.sinks.collectors import COLLECTORS, Azure, Collector, Elastic, Splunk
from tests.sinks.notices import TEST_MESSAGE, delivery


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with serving() as begin:
        yield begin


every_kind = pytest.mark.parametrize("kind", COLLECTORS.values(), ids=COLLECTORS)
THREE = [delivery(uid=f"u{number}") for number in range(3)]
POISONED = {"u1-1"}


async def outcomes(api: Collector, secret: str = SECRET, **more: object) -> list[Outcome]:
    found = list(await api.sink(secret, **more).deliver(THREE))
    assert len(found) == 3
    for hidden in (secret, "127.0.0.1", "0901234567", "token-"):
        assert hidden not in repr(found)
    return found


def ids(api: Collector) -> list[str]:
    if isinstance(api, Splunk):
        return [event["fields"]["message_id"] for event in api.events]
    if isinstance(api, Elastic):
        return list(api.documents)
    assert isinstance(api, Azure)
    return [row["MessageId"] for row in api.rows]


@every_kind
async def test_every_alert_of_a_batch_arrives_once(start: Start, kind: type[Collector]) -> None:
    api = await start(kind)
    assert [found.kind for found in await outcomes(api)] == ["delivered"] * 3
    assert ids(api) == ["u0-1", "u1-1", "u2-1"]
    [tested] = await api.sink().deliver([TEST_MESSAGE])
    assert tested.kind == "delivered"


@every_kind
async def test_a_wrong_secret_delivers_nothing_and_is_told(start: Start, kind: type[Collector]) -> None:
    api = await start(kind)
    found = await outcomes(api, secret="wr0ng" + "k" * 27)
    assert {one.kind for one in found} == {"retry"}
    expected = {Splunk: (403, "code 4"), Elastic: (401, "not let in"), Azure: (401, "invalid_client")}[kind]
    assert found[0].status == expected[0]
    assert expected[1] in found[0].detail
    assert ids(api) == []


@every_kind
async def test_a_busy_collector_is_left_alone_as_long_as_it_asks(start: Start, kind: type[Collector]) -> None:
    api = await start(kind)
    api.trouble = [web.json_response({"text": "x", "code": 9}, status=429, headers={"Retry-After": "60"})]
    assert {(one.kind, one.status, one.after) for one in await outcomes(api)} == {("retry", 429, 60.0)}
    assert {one.kind for one in await outcomes(api)} == {"delivered"}


@every_kind
async def test_a_collector_that_hangs_is_given_up_in_time(start: Start, kind: type[Collector]) -> None:
    api = await start(kind)
    api.trouble = [None]
    found = await outcomes(api, timeout=0.2)
    assert {(one.kind, one.detail) for one in found} == {("retry", "no complete answer within 0.2 s")}


@every_kind
@pytest.mark.parametrize("status", [307, 500, 502, 503])
async def test_trouble_of_the_collector_is_tried_again(
    start: Start, kind: type[Collector], status: int
) -> None:
    api = await start(kind)
    api.trouble = [web.Response(status=status, text=f"<html>{SECRET}", headers={"Location": api.url})]
    assert {one.kind for one in await outcomes(api)} == {"retry"}
    assert len(api.requests) == 1


@every_kind
@pytest.mark.parametrize("text", ["<html>Please sign in</html>", "", "[]", '{"items":[]}', '{"code":"0"}'])
async def test_a_page_that_says_200_has_taken_nothing(start: Start, kind: type[Collector], text: str) -> None:
    api = await start(kind)
    api.trouble = [web.Response(status=200, text=text)]
    assert {one.kind for one in await outcomes(api)} == {"retry"}


@pytest.mark.parametrize("kind", [Splunk, Elastic])
async def test_one_poisoned_alert_keeps_no_other_from_arriving(start: Start, kind: type[Collector]) -> None:
    api = await start(kind)
    api.poison = POISONED
    found = await outcomes(api)
    assert [one.kind for one in found] == ["delivered", "refused", "delivered"]
    assert sorted(ids(api)) == ["u0-1", "u2-1"]


async def test_splunk_gets_the_alert_byte_for_byte_where_the_settings_say(start: Start) -> None:
    api = await start(Splunk)
    await api.sink(index="leaks").deliver(THREE[:1])
    [event] = api.events
    assert THREE[0].body in api.requests[0][2]
    assert (event["index"], event["sourcetype"], event["time"]) == (
        "leaks", "parcelwatch:alert", THREE[0].occurred / 1000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, 6, "refused"), (400, 7, "retry"), (400, 10, "retry"), (503, 9, "retry"), (401, 3, "retry"),
     (400, 99, "retry")],
)  # fmt: skip
async def test_splunks_codes_decide(start: Start, status: int, code: int, kind: str) -> None:
    api = await start(Splunk)
    api.trouble = [web.json_response({"text": "own words", "code": code}, status=status)]
    [found] = await api.sink().deliver(THREE[:1])
    assert (found.kind, found.status) == (kind, status)
    assert "own words" not in found.detail


async def test_what_elastic_has_already_is_delivered(start: Start) -> None:
    """As after a crash between the answer and its record."""
    api = await start(Elastic)
    await outcomes(api)
    assert {(one.kind, one.status) for one in await outcomes(api)} == {("delivered", 409)}
    assert len(api.documents) == 3


async def test_elastic_that_is_busy_with_some_items_gets_those_again(start: Start) -> None:
    api = await start(Elastic)
    items = [{"create": {"status": status}} for status in (201, 429, 503)]
    api.trouble = [web.json_response({"errors": True, "items": items})]
    assert [one.kind for one in await outcomes(api)] == ["delivered", "retry", "retry"]


async def test_elastic_gets_the_alert_in_ecs(start: Start) -> None:
    api = await start(Elastic)
    await outcomes(api)
    document = api.documents["u0-1"]
    assert document["@timestamp"] == "2026-11-18T11:16:40.123Z"
    assert (
        document["event"] | {"kind": "alert", "id": "u0-1", "severity": 4, "risk_score": 22.0}
        == document["event"]
    )
    assert document["rule"]["name"] == "bulk_read"
    assert document["user"] == {"id": "k1.staff", "roles": ["call_centre"]}
    assert document["data_stream"] == {
        "type": "logs", "dataset": "parcelwatch.alerts", "namespace": "default",
    }  # fmt: skip
    assert document["parcelwatch"]["measures"] == {"count": 280.0}


async def test_azure_is_asked_for_one_token_by_many_attempts(start: Start) -> None:
    api = await start(Azure)
    sink = api.sink()
    found = await asyncio.gather(*(sink.deliver([one]) for one in THREE))
    assert [one.kind for [one] in found] == ["delivered"] * 3
    assert len(api.tokens) == 1


async def test_a_token_is_renewed_before_it_ends_and_when_it_is_revoked(start: Start) -> None:
    api = await start(Azure)
    now = [1_000.0]
    sink = api.sink(clock=lambda: now[0])
    await sink.deliver(THREE[:1])
    now[0] += api.lasts - 300 - 1
    await sink.deliver(THREE[1:2])
    assert len(api.tokens) == 1
    now[0] += 2
    await sink.deliver(THREE[2:])
    assert len(api.tokens) == 2
    api.tokens.append("of somebody else")  # ours is no longer the one that is valid
    [found] = await sink.deliver([delivery(uid="u9")])
    assert (found.kind, ids(api)[-1]) == ("delivered", "u9-1")


async def test_what_is_too_large_for_azure_goes_in_parts(start: Start) -> None:
    """The server takes two rows at a time."""
    api = await start(Azure)
    assert [one.kind for one in await outcomes(api)] == ["delivered"] * 3
    sent = [path for _, path, _ in api.requests if "dataCollectionRules" in path]
    assert len(sent) == 3


async def test_azure_gets_columns_and_the_whole_alert(start: Start) -> None:
    api = await start(Azure)
    await api.sink().deliver(THREE[:1])
    [row] = api.rows
    assert (row["TimeGenerated"], row["Activity"], row["UserId"], row["Records"]) == (
        "2026-11-18T11:16:40.123Z", "opened", "k1.staff", 1281,
    )  # fmt: skip
    assert row["Alert"]["finding_info"]["uid"] == "u0"
