"""PagerDuty, Slack, Teams and TheHive get each alert, and what goes wrong there loses none."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from streams.sinks.base import Outcome
from tests.sinks.apis import KINDS, SECRET, Api, PagerDuty, Slack, Start, Teams, TheHive, serving
from tests.sinks.notices import PARCELS, TEST_MESSAGE, delivery

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with serving() as begin:
        yield begin


async def outcome(api: Api, activity: int = 1, secret: str = SECRET, **more: object) -> Outcome:
    [found] = await api.sink(secret, **more).deliver([delivery(activity)])
    assert secret not in repr(found)
    assert "127.0.0.1" not in repr(found)
    return found


@every_kind
async def test_an_alert_is_delivered_from_beginning_to_end(start: Start, kind: type[Api]) -> None:
    api = await start(kind)
    outcomes = [await outcome(api, activity) for activity in (1, 2, 3)]
    assert {found.kind for found in outcomes} == {"delivered"}
    [tested] = await api.sink().deliver([TEST_MESSAGE])
    assert tested.kind == "delivered"


@every_kind
async def test_a_wrong_key_is_no_delivery(start: Start, kind: type[Api]) -> None:
    found = await outcome(await start(kind), secret="wr0ng" + "k" * 27)
    expected = {
        PagerDuty: ("refused", 400),
        Slack: ("retry", 404),
        Teams: ("retry", 401),
        TheHive: ("retry", 401),
    }
    assert (found.kind, found.status) == expected[kind]


@every_kind
async def test_a_throttling_service_says_for_how_long(start: Start, kind: type[Api]) -> None:
    api = await start(kind)
    api.trouble = [web.Response(status=429, headers={"Retry-After": "30"})]
    found = await outcome(api)
    assert (found.kind, found.status, found.after) == ("retry", 429, 30.0)
    assert (await outcome(api)).kind == "delivered"


@every_kind
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_service_in_trouble_is_tried_again(start: Start, kind: type[Api], status: int) -> None:
    api = await start(kind)
    api.trouble = [web.Response(status=status, text=f"<html>{SECRET}</html>")]
    assert (await outcome(api)).kind == "retry"
    assert (await outcome(api)).kind == "delivered"


@every_kind
async def test_a_service_that_hangs_is_given_up_in_time(start: Start, kind: type[Api]) -> None:
    api = await start(kind)
    api.trouble = [None]
    found = await outcome(api, timeout=0.2)
    assert (found.kind, found.detail) == ("retry", "no complete answer within 0.2 s")


@every_kind
async def test_a_redirect_is_not_followed(start: Start, kind: type[Api]) -> None:
    api = await start(kind)
    api.trouble = [web.Response(status=307, headers={"Location": api.url})]
    assert (await outcome(api)).kind == "retry"
    assert len(api.requests) == 1


@pytest.mark.parametrize("kind", [PagerDuty, Slack, TheHive])
async def test_a_login_page_that_says_200_has_not_taken_the_alert(start: Start, kind: type[Api]) -> None:
    api = await start(kind)
    api.trouble = [web.Response(status=200, text="<html>Please sign in</html>")]
    assert (await outcome(api)).kind == "retry"


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [(400, "invalid_payload", "refused"), (403, "invalid_token", "retry"), (404, "no_team", "retry"),
     (410, "channel_is_archived", "gone"), (500, "rollup_error", "retry")],
)  # fmt: skip
async def test_slack_says_in_a_word_what_is_wrong(start: Start, status: int, word: str, kind: str) -> None:
    api = await start(Slack)
    api.trouble = [web.Response(status=status, text=word)]
    found = await outcome(api)
    assert (found.kind, found.detail) == (kind, f"HTTP {status}: {word}")


async def test_what_slack_says_besides_is_not_repeated(start: Start) -> None:
    api = await start(Slack)
    api.trouble = [web.Response(status=403, text=f"no {SECRET} here")]
    assert (await outcome(api)).detail.startswith("HTTP 403: not let in")


async def test_pagerduty_resolves_the_incident_it_opened(start: Start) -> None:
    api = await start(PagerDuty)
    for activity in (1, 2, 3):
        await outcome(api, activity)
    bodies = [body for _, _, body in api.requests]
    assert [body["event_action"] for body in bodies] == ["trigger", "trigger", "resolve"]
    assert len({body["dedup_key"] for body in bodies}) == 1


async def test_one_episode_is_one_alert_in_thehive_and_analysts_tags_stay(start: Start) -> None:
    api = await start(TheHive)
    await outcome(api, 1)
    [kept] = api.alerts.values()
    assert [observable["data"] for observable in kept["observables"]] == ["k1.staff", *PARCELS]
    kept |= {"status": "InProgress", "tags": ["looked-into"]}
    await outcome(api, 2)
    assert "grown" in kept["title"]
    await outcome(api, 3)
    assert "closed" in kept["title"]
    assert (len(api.alerts), kept["status"], kept["tags"]) == (1, "InProgress", ["looked-into"])


async def test_an_alert_that_thehive_has_already_is_delivered_and_not_changed(start: Start) -> None:
    """As after a crash between the answer and its record."""
    api = await start(TheHive)
    await outcome(api, 1)
    await outcome(api, 2)
    again = await outcome(api, 1)
    assert (again.kind, again.detail) == ("delivered", "HTTP 400: the alert is there already")
    assert "grown" in next(iter(api.alerts.values()))["title"]


async def test_growth_makes_the_alert_in_thehive_that_never_came_through(start: Start) -> None:
    api = await start(TheHive)
    assert (await outcome(api, 2)).status == 201
    assert len(api.alerts) == 1


async def test_an_alert_that_thehive_does_not_take_is_not_called_delivered(start: Start) -> None:
    api = await start(TheHive)
    api.trouble = [
        web.json_response({"type": "CreateError", "message": "Observable already exists"}, status=400)
    ]
    found = await outcome(api)
    assert (found.kind, found.detail) == ("refused", "HTTP 400: TheHive does not take the alert")


@pytest.mark.parametrize("nonsense", ["<html>", "[1]", "{}", '[{"_id": "../user"}]', '[{"id": "~1"}]'])
async def test_a_look_up_answered_with_nonsense_is_tried_again(start: Start, nonsense: str) -> None:
    api = await start(TheHive)
    api.trouble = [web.Response(status=400), web.Response(text=nonsense)]
    assert (await outcome(api, 2)).kind == "retry"
    assert [method for method, _, _ in api.requests] == ["POST", "POST"]


async def test_thehive_is_told_for_which_organisation(start: Start) -> None:
    api = await start(TheHive)
    await outcome(api, organisation="soc", tlp=3)
    assert api.organisations == ["soc"]
    assert next(iter(api.alerts.values()))["tlp"] == 3
