"""Each format makes of its records what docs/formats.md says, and says of others why it does not."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from streams.admit.translation import IGNORED, IgnoredError
from streams.admit.validate import REMEDIES, RefusalError, as_access_event
from streams.formats.base import Format
from streams.formats.catalogue import FORMATS
from streams.formats.mapping import Mapping, MappingError, Pattern, TimeFormat
from streams.settings import Settings
from tests.format_examples import (
    AT,
    AUDIT,
    EXAMPLES,
    HEADERS,
    IDS,
    NATIVE,
    URLS,
    csvlog,
    ecs,
    made,
    ocsf,
    trail,
)


def became(source: Format, value: bytes | dict[str, Any], headers: Any = ()) -> Any:
    """Fields of the only entry, or the reason why there are none."""
    [entry] = source.entries(value if isinstance(value, bytes) else orjson.dumps(value), headers)
    if isinstance(entry.outcome, RefusalError):
        assert entry.outcome.reason in REMEDIES
        return f"rejected, {entry.outcome.reason}"
    if isinstance(entry.outcome, IgnoredError):
        assert entry.outcome.reason in IGNORED
        return f"ignored, {entry.outcome.reason}"
    return entry.outcome


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_becomes_what_it_tells_of_and_nothing_else(name: str) -> None:
    example = EXAMPLES[name]
    fields = became(example.source, example.value, example.headers)
    assert fields == example.fields
    assert as_access_event(fields).actor == fields["actor"]


def test_every_format_has_an_example_and_is_a_setting() -> None:
    assert {name.split()[0] for name in EXAMPLES} == set(FORMATS)
    for name in FORMATS:
        assert Settings(input_format=name).input_format == name  # type: ignore[arg-type]  # the test is that it is one


@pytest.mark.parametrize(
    ("kind", "activity"), [(6001, 2), (6003, 2), (6005, 4)], ids=["web resources", "api", "datastore"]
)
def test_what_is_read_as_ocsf_is_ocsf(kind: int, activity: int) -> None:
    own: dict[int, dict[str, Any]] = {
        6001: {},
        6003: {"api": {"operation": "GetShipment"}, "resources": [{"uid": "VN1"}]},
        6005: {
            "query_info": {"uid": "q1", "query_string": "select 'VN1'"},
            "database": {"type_id": 1, "name": "tms"},
        },
    }
    event = ocsf(class_uid=kind, activity_id=activity, type_uid=kind * 100 + activity, **own[kind])
    if kind != 6001:
        del event["web_resources"]
    name = {6001: "web_resources_activity", 6003: "api_activity", 6005: "datastore_activity"}[kind]
    # The person of a Web Resources Activity is part of the profile `host`.
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0")).get_class_schema(name, profiles=["host"])
    jsonschema_rs.Draft202012Validator(schema).validate(event)
    fields = became(made("ocsf", IDS if kind == 6005 else None), event)
    assert (fields["actor"], fields["time"], fields["parcels"][0]) == ("nv0231", AT, "VN1")


CE, OCSF, ECS, TRAIL = made("cloudevents"), made("ocsf"), made("ecs", URLS), made("cloudtrail")
WEB, PG = made("weblog", URLS), made("pgaudit", IDS)
LINE = b'10.2.3.4 - nv0231 [24/Nov/2026:08:03:21 +0700] "%s" %s 512 "-" "Firefox"'
NOBODY = (LINE % (b"GET /shipments/VN1 HTTP/1.1", b"200")).replace(b"nv0231", b"-")


@pytest.mark.parametrize(
    ("source", "value", "headers", "expected"),
    [
        (CE, b"[]", [("content-type", b"application/cloudevents-batch+json")], "rejected, batch"),
        (CE, b" [{}]", [], "rejected, batch"),
        (CE, b"x", [("Content-Type", b"application/cloudevents+avro")], "rejected, not_this_format"),
        (CE, orjson.dumps(NATIVE), [], "rejected, not_this_format"),
        (CE, b"{}", [("ce_specversion", b"0.3"), *HEADERS[1:]], "rejected, not_this_format"),
        (CE, b"{}", HEADERS[:1] + HEADERS[2:], "rejected, missing_field"),
        (CE, b"\xff", HEADERS, "rejected, not_json"),
        (CE, b"[1]", HEADERS, "rejected, wrong_type"),
        (OCSF, ocsf(class_uid=4002), [], "ignored, other_class"),
        (OCSF, ocsf(activity_id=4), [], "ignored, other_operation"),
        (OCSF, {"a": 1}, [], "rejected, not_this_format"),
        (OCSF, ocsf(actor={}), [], "rejected, missing_field"),
        (OCSF, ocsf(time="now"), [], "rejected, invalid_time"),
        (OCSF, ocsf(time=1 << 62), [], "rejected, invalid_time"),
        (ECS, ecs(event={"kind": "metric"}), [], "ignored, other_class"),
        (ECS, ecs(event={"type": ["deletion"]}), [], "ignored, other_operation"),
        (ECS, ecs(url={"path": "/app.css"}), [], "ignored, no_pattern"),
        (ECS, {"message": "x"}, [], "rejected, not_this_format"),
        (ECS, ecs(**{"user.id": None}), [], "rejected, missing_field"),
        (TRAIL, trail(eventName="PutObject"), [], "ignored, other_operation"),
        (TRAIL, trail(eventSource="ec2.amazonaws.com"), [], "ignored, other_operation"),
        (TRAIL, trail(userIdentity={}), [], "rejected, missing_field"),
        (TRAIL, {"Records": 5}, [], "rejected, wrong_type"),
        (TRAIL, {"x": 5}, [], "rejected, not_this_format"),
        (WEB, LINE % (b"GET /app.css HTTP/1.1", b"200"), [], "ignored, no_pattern"),
        (WEB, LINE % (b"HEAD /shipments/VN1 HTTP/1.1", b"200"), [], "ignored, other_operation"),
        (WEB, b"nonsense", [], "rejected, not_this_format"),
        (WEB, b"\xff", [], "rejected, not_this_format"),
        (WEB, NOBODY, [], "rejected, missing_field"),
        (PG, csvlog("checkpoint starting: time"), [], "ignored, not_audit"),
        (PG, csvlog(AUDIT.replace("READ,SELECT", "DDL,DROP TABLE")), [], "ignored, other_operation"),
        (PG, csvlog("AUDIT: SESSION,1"), [], "rejected, not_this_format"),
        (PG, AUDIT.encode(), [], "rejected, not_this_format"),
        (PG, b"2026-11-24 08:03:21 +07 [1] LOG:  started", [], "ignored, not_audit"),
    ],
)  # fmt: skip
def test_what_tells_of_no_access_is_named(source: Format, value: Any, headers: Any, expected: str) -> None:
    assert became(source, value, headers) == expected


def test_a_failed_attempt_counts_as_one_whatever_the_format() -> None:
    denied = [
        became(OCSF, ocsf(status_id=2)),
        became(ECS, ecs(event={"type": ["access"]}, http={"response": {"status_code": 403}})),
        became(TRAIL, trail(errorCode="AccessDenied")),
        became(WEB, LINE % (b"GET /shipments/VN1 HTTP/1.1", b"404")),
        became(WEB, LINE % (b"GET /shipments/VN1 HTTP/1.1", b"302")),
    ]
    assert all(fields["outcome"] not in ("", "success") for fields in denied)
    assert "outcome" not in became(WEB, LINE % (b"GET /shipments/VN1 HTTP/1.1", b"304"))


def test_cloudtrail_gives_an_entry_for_each_record_and_knows_who_it_was() -> None:
    people = {
        "nv1": {"type": "IAMUser", "userName": "nv1", "principalId": "AIDA"},
        "nv2": {"type": "AssumedRole", "principalId": "AROA:nv2"},
        "u-3": {"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-3"}},
        "quicksight.amazonaws.com": {"type": "AWSService", "invokedBy": "quicksight.amazonaws.com"},
    }
    records = [trail(userIdentity=identity) for identity in people.values()]
    for value in (orjson.dumps({"Records": records}), orjson.dumps(records)):
        outcomes = [entry.outcome for entry in TRAIL.entries(value)]
        assert [fields["actor"] for fields in outcomes] == list(people)  # type: ignore[index]  # fields, as asserted
    assert became(TRAIL, {"detail-type": "AWS API Call via CloudTrail", "detail": trail()})["id"] == "t1"
    copy = trail(
        eventName="CopyObject", requestParameters={"x-amz-copy-source": "/labels/a%2FVN9.pdf", "key": "b"}
    )
    assert became(TRAIL, copy)["parcels"] == ["a/VN9.pdf"]
    assert became(TRAIL, copy)["action"] == "export"


def test_a_mapping_adjusts_a_format_to_the_source() -> None:
    mapping = Mapping(
        fields={"actor": "application_name"},
        constants={"system": "billing", "carrier": "other"},
        only={"object_name": ["public.shipments"]},
        patterns=[Pattern(r"'(?P<parcel>VN\d+)'", action="export", fields=["name"])],
    )
    fields = became(made("pgaudit", mapping), csvlog())
    assert (fields["actor"], fields["system"], fields["carrier"]) == ("psql", "billing", "other")
    assert (fields["action"], fields["fields"]) == ("export", ["name"])
    assert (
        became(made("pgaudit", mapping), csvlog(AUDIT.replace("public.shipments", "public.x")))
        == "ignored, not_selected"
    )


def test_a_time_zone_that_is_only_an_abbreviation_needs_the_mapping() -> None:
    line = csvlog(at="2026-11-24 08:03:21.120 ICT")
    assert became(made("pgaudit", IDS), line)["time"] == "2026-11-24T08:03:21.120"
    zoned = Mapping(patterns=IDS.patterns, time=TimeFormat(zone="Asia/Ho_Chi_Minh"))
    assert became(made("pgaudit", zoned), line)["time"] == AT


@pytest.mark.parametrize("name", ["ocsf", "ecs", "cloudtrail", "pgaudit"])
def test_a_log_that_does_not_say_whose_it_is_needs_the_carrier(name: str) -> None:
    with pytest.raises(MappingError, match="set input_carrier"):
        FORMATS[name]()


@pytest.mark.parametrize("hidden", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_no_odd_line_break_hides_what_stands_behind_it_in_a_statement(hidden: str) -> None:
    entry = f"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.shipments,select /*{hidden}*/ 'VN1',<not logged>"
    line = f"2026-11-24 08:03:21.120 +07 [12] nv0231@tms LOG:  {entry}".encode()
    for value in (csvlog(entry), line):
        [found] = made("pgaudit", IDS).entries(value)
        assert isinstance(found.outcome, dict)
        assert found.outcome["parcels"] == ["VN1"]


@pytest.mark.parametrize("path", [
    "/%73hipments/VN1", "/shipments/%56N1", "//shipments//VN1", "/x/../shipments/VN1", "/./shipments/VN1?q=%2e",
    "http://tms.example/shipments/VN1",
])  # fmt: skip
def test_a_path_is_read_as_the_server_resolves_it(path: str) -> None:
    """Whoever may read shipments may write the path as he likes, and must not go unseen for it."""
    line = f'10.2.3.4 - nv0231 [24/Nov/2026:08:03:21 +0700] "GET {path} HTTP/1.1" 200 12'.encode()
    assert became(made("weblog", URLS), line)["parcels"] == ["VN1"]
    if path.startswith("/"):
        assert became(made("ecs", URLS), ecs(url={"path": path}))["parcels"] == ["VN1"]


def test_a_long_comment_hides_no_statement() -> None:
    for length, expected in ((1 << 10, "ignored, no_pattern"), (1 << 17, "rejected, too_large")):
        entry = f"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.shipments,select /*{'x' * length}*/ now(),<not logged>"
        assert became(made("pgaudit", IDS), csvlog(entry)) == expected


def test_no_part_of_a_path_is_decoded_twice() -> None:
    mapping = Mapping(patterns=[Pattern(r"^/shipments/(?P<parcel>[^/?]+)")])
    line = b'10.2.3.4 - nv0231 [24/Nov/2026:08:03:21 +0700] "GET /shipments/a%2Fb%2556 HTTP/1.1" 200 12'
    assert became(made("weblog", mapping), line)["parcels"] == ["a/b%56"]


def test_a_header_without_a_value_is_as_if_it_were_not_there() -> None:
    headers: list[Any] = [("content-type", None), ("ce_subject", None), *HEADERS[:-1]]
    [found] = made("cloudevents").entries(orjson.dumps(NATIVE), headers)
    assert isinstance(found.outcome, dict)


def test_a_binary_event_that_is_refused_can_be_read_again_without_its_headers() -> None:
    for value in (b'{"actor":1}', b"\xff\xfe", b""):
        [entry] = CE.entries(value, HEADERS)
        [again] = CE.entries(entry.raw)
        assert str(again.outcome) == str(entry.outcome)
