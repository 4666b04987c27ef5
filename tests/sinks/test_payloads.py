"""What each kind of receiver is sent: the documented shape and limits, whatever an alert says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from detectors.base import Person
from streams.sinks import pagerduty, slack, syslog, teams, thehive
from streams.sinks.base import Delivery
from streams.sinks.notice import Language, read
from tests.example_alerts import example_alerts
from tests.sinks.notices import HOSTILE, PARCELS, TEST_MESSAGE, as_delivery, deliveries, delivery

languages: st.SearchStrategy[Language] = st.sampled_from(["vi", "en"])
any_alert = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEY = "k" * 32


def octets(payload: Any) -> int:
    return len(json.dumps(payload, ensure_ascii=False).encode())


@any_alert
@given(deliveries, languages)
def test_any_alert_is_a_pagerduty_event(message: Delivery, language: Language) -> None:
    event = pagerduty.event(read(message), KEY, language)
    assert event["routing_key"] == KEY
    assert 1 <= len(event["dedup_key"]) <= 255
    assert (event["event_action"] == "resolve") == (message.type == "parcelwatch.alert.closed")
    assert octets(event) < 512 * 1024
    if event["event_action"] == "trigger":
        payload = event["payload"]
        assert 1 <= len(payload["summary"]) <= 1024
        assert payload["source"]
        assert payload["severity"] in ("critical", "error", "warning", "info")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payload["timestamp"])


@any_alert
@given(deliveries, languages)
def test_any_alert_is_a_slack_message(message: Delivery, language: Language) -> None:
    payload = slack.message(read(message), language)
    assert len(payload["blocks"]) <= 50
    texts = [payload["text"]]
    for block in payload["blocks"]:
        limit = {"header": 150, "section": 3000}[block["type"]]
        fields = block.get("fields", [])
        assert len(fields) <= 10
        assert all(0 < len(field["text"]) <= 2000 for field in fields)
        texts += [field["text"] for field in fields]
        if "text" in block:
            assert 0 < len(block["text"]["text"]) <= limit
            texts.append(block["text"]["text"])
        assert all(part["type"] == "plain_text" for part in [*fields, block.get("text", *fields[:1])])
    for text in texts:
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text)
    assert octets(payload) <= 13_000


@any_alert
@given(deliveries, languages)
def test_any_alert_is_a_card_for_teams(message: Delivery, language: Language) -> None:
    payload = teams.message(read(message), language)
    assert octets(payload) <= 28 * 1024
    [attachment] = payload["attachments"]
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    for element in card["body"]:
        assert element["type"] == "RichTextBlock"  # the one that reads no Markdown
        assert all(run["type"] == "TextRun" and run["text"] for run in element["inlines"])


@any_alert
@given(deliveries, languages)
def test_any_alert_is_an_alert_of_thehive(message: Delivery, language: Language) -> None:
    payload = thehive.alert(read(message), language)
    assert (payload["type"], payload["source"]) == ("parcelwatch", "parcelwatch")
    assert payload["sourceRef"]
    assert 1 <= len(payload["title"]) <= 512
    assert payload["description"]
    assert payload["severity"] in (1, 2, 3, 4)
    assert isinstance(payload["date"], int)
    data = [observable["data"] for observable in payload["observables"]]
    assert len(data) == len(set(data))
    assert all(data)


_EXTENSION = re.compile(r"(?:^| )([a-zA-Z0-9]+)=((?:[^\\=]|\\[\\=])*?)(?=(?: [a-zA-Z0-9]+=)|$)")


def parsed(message: bytes) -> tuple[dict[str, str], list[str], dict[str, str]]:
    """A strict reader of RFC 5424 and CEF."""
    found = re.fullmatch(
        r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>[!-~]{1,255}) (?P<app>\S+) - (?P<id>\S{1,32}) - (?P<msg>CEF:.*)",
        message.decode(),
    )
    assert found
    header = re.match(r"CEF:0((?:\|(?:[^|\\]|\\[|\\])*){6})\|(.*)", found["msg"])
    assert header
    fields = re.split(r"(?<!\\)(?:\\\\)*\|", header[1])[1:]
    extension = header[2]
    pairs = dict(_EXTENSION.findall(extension))
    assert " ".join(f"{key}={value}" for key, value in pairs.items()) == extension
    return found.groupdict(), fields, {key: re.sub(r"\\(.)", r"\1", value) for key, value in pairs.items()}


@any_alert
@given(deliveries, languages)
@example(replace(TEST_MESSAGE, uid="\n<8>1 - - - - - ", type="parcelwatch.alert.created", body=b"null"), "en")
def test_any_alert_is_one_syslog_message(message: Delivery, language: Language) -> None:
    content = syslog.message(read(message), language, "soc-1")
    assert len(content) <= 8192
    head, fields, pairs = parsed(content)
    assert 0 <= int(head["pri"]) <= 191
    assert int(fields[-1]) in range(11)
    assert len(pairs.get("msg", "")) <= 1023
    assert pairs["act"] in ("opened", "grew", "closed", "test")


def test_a_siem_reads_back_from_cef_what_the_alert_said() -> None:
    content = syslog.message(read(delivery(uid="u" * 32)), "vi", "-")
    head, fields, pairs = parsed(content)
    assert (head["pri"], head["time"], head["id"]) == ("107", "2026-11-18T11:16:40.123Z", "opened")
    assert fields[3:] == ["bulk_read", "Reads many parcels new to the person within an hour.", "8"]
    assert pairs["externalId"] == "u" * 32
    assert (pairs["suid"], pairs["cnt"], pairs["cs3"], pairs["cs3Label"]) == (
        "k1.staff",
        "1281",
        "HN-03",
        "site",
    )
    assert pairs["msg"] == "Đã xem 280 bưu gửi mới trong 1 giờ."


def test_nothing_a_log_brings_in_becomes_another_field_line_or_markup() -> None:
    notice = read(delivery(person=Person("k1.staff", "vnx", site=HOSTILE)))
    content = syslog.message(notice, "en", "-")
    assert b"\n" not in content
    assert b"\r" not in content
    _, _, pairs = parsed(content)
    assert pairs["cs3"].startswith("<!channel> <https://evil.example|click> & &amp; *bold*")
    assert "b" not in pairs
    assert "a" not in pairs
    text = json.dumps(slack.message(notice, "en"))
    assert "<!channel>" not in text
    assert "&lt;!channel&gt;" in text
    markdown = thehive.alert(notice, "en")["description"]
    assert "[link](" not in markdown
    assert "*bold*" not in markdown.replace("\\*", "")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_people_read_their_language(language: Language) -> None:
    text, word = {
        "vi": ("Đã xem 280 bưu gửi mới trong 1 giờ.", "Nhân viên"),
        "en": ("Read 280 parcels new to this person within 1 hour.", "Person"),
    }[language]
    notice = read(delivery())
    for payload in (slack.message(notice, language), teams.message(notice, language)):
        shown = json.dumps(payload, ensure_ascii=False)
        assert text in shown
        assert word in shown
    assert text in pagerduty.event(notice, KEY, language)["payload"]["summary"]
    assert text.rstrip(".") in thehive.alert(notice, language)["description"].replace("\\", "")
    assert text.encode() in syslog.message(notice, language, "-")


@pytest.mark.parametrize("detector", sorted(example_alerts()))
def test_no_sentence_of_a_detector_is_cut(detector: str) -> None:
    for made in example_alerts()[detector]:
        notice = read(as_delivery(made))
        whole = json.dumps(slack.message(notice, "vi")["blocks"], ensure_ascii=False)
        whole += json.dumps(teams.message(notice, "vi"), ensure_ascii=False)
        whole += syslog.message(notice, "en", "-").decode() + thehive.alert(notice, "en")["description"]
        if notice.stage != "closed":
            whole += pagerduty.event(notice, KEY, "vi")["payload"]["summary"]
        assert "…" not in whole
        assert notice.detector == detector
        assert all(notice.texts.values())


def test_one_episode_is_one_incident_from_its_beginning_to_its_end() -> None:
    events = [pagerduty.event(read(delivery(activity)), KEY, "en") for activity in (1, 2, 3)]
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "resolve"]
    assert len({event["dedup_key"] for event in events}) == 1
    assert events[0]["payload"]["severity"] == "error"
    details = events[0]["payload"]["custom_details"]
    assert (details["person"], details["sample_parcels"]) == ("k1.staff", list(PARCELS))


def test_times_are_told_by_the_persons_clock() -> None:
    facts = dict(read(delivery()).facts("en"))
    assert facts["From"] == "2026-11-18 18:06:40+07:00"
    assert facts["Records read"] == "1,281"


def test_a_test_message_opens_nothing_that_a_later_one_would_be_taken_for() -> None:
    notice = read(TEST_MESSAGE)
    assert pagerduty.event(notice, KEY, "en")["dedup_key"] == TEST_MESSAGE.id
    assert pagerduty.event(notice, KEY, "en")["payload"]["severity"] == "info"
    assert thehive.alert(notice, "en")["sourceRef"] == TEST_MESSAGE.id
    assert b" test - CEF:0|" in syslog.message(notice, "en", "-")


def test_an_alert_nobody_can_read_is_still_told_of() -> None:
    broken = read(Delivery(
        id="u9-1", uid="u9", type="parcelwatch.alert.created", occurred=1, recorded=1.0, body=b"{"
    ))  # fmt: skip
    assert (broken.uid, broken.stage) == ("u9", "opened")
    assert "cannot be read here" in broken.text("en")
    assert ("Alert", "u9") in broken.facts("en")
