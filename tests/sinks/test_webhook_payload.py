"""A webhook's secret can be changed without a missed alert, and an alert can be told without its contents."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from streams.receivers import WebhookReceiver
from streams.sinks.http import Request
from streams.sinks.webhook import LARGEST_BODY, WebhookSink
from tests.receivers import SECRET
from tests.sinks.notices import TEST_MESSAGE, delivery

OLD = "whsec_" + base64.b64encode(bytes(24)).decode()
STRANGE = "whsec_" + base64.b64encode(b"x" * 24).decode()


def request(message: Any = None, **more: Any) -> Request:
    receiver = WebhookReceiver(url=SecretStr("https://soc.example/"), secret=SecretStr(SECRET), **more)
    return WebhookSink("soc", receiver).request([message or delivery()])


def test_while_a_secret_changes_both_verify() -> None:
    sent = request(previous_secrets=(SecretStr(OLD),))
    for secret in (SECRET, OLD):
        assert Webhook(secret).verify(sent.body, dict(sent.headers))["type"] == "parcelwatch.alert.created"
    assert len(sent.headers["webhook-signature"].split()) == 2
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(STRANGE).verify(sent.body, dict(sent.headers))


def test_an_old_secret_no_longer_verifies_once_it_is_taken_out() -> None:
    sent = request()
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(OLD).verify(sent.body, dict(sent.headers))


def test_a_thin_payload_says_which_alert_and_where_it_is_and_nothing_more() -> None:
    sent = request(payload="thin", link="https://parcelwatch.example/alerts/{uid}")
    body = Webhook(SECRET).verify(sent.body, dict(sent.headers))
    uid = delivery().uid
    assert body["data"] == {
        "id": f"{uid}-1", "uid": uid, "severity_id": 4, "severity": "High", "time": 1_795_000_600_123,
        "link": f"https://parcelwatch.example/alerts/{uid}",
    }  # fmt: skip
    assert "k1." not in sent.body.decode()


def test_a_thin_test_message_can_be_sent() -> None:
    assert json.loads(request(TEST_MESSAGE, payload="thin").body)["data"]["id"] == TEST_MESSAGE.id


@pytest.mark.parametrize(("size", "thin"), [(1_000, False), (LARGEST_BODY, True)])
def test_a_body_is_below_what_standard_webhooks_asks_for(size: int, thin: bool) -> None:
    message = delivery(summary="x" * size)
    sent = request(message)
    assert len(sent.body) < LARGEST_BODY
    assert ("message" not in json.loads(sent.body)["data"]) is thin
