"""One good record of each input format, with what it becomes; for tests of formats."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from streams.formats.base import Format
from streams.formats.catalogue import FORMATS
from streams.formats.mapping import Mapping, Pattern

HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e1"),
    ("ce_source", b"/tms"),
    ("ce_type", b"vn.parcel.read"),
    ("content-type", b"application/json"),
]
NATIVE = {
    "time": "2026-11-24T08:03:21.120+07:00", "carrier": "vnx", "actor": "nv0231", "action": "view", "parcels": ["VN1"],
}  # fmt: skip
URLS = Mapping(patterns=[Pattern(r"^/shipments/(?P<parcel>\w+)")])
IDS = Mapping(patterns=[Pattern(r"'(?P<parcel>VN\d+)'")])
STATEMENT = "select * from shipments\nwhere id in ('VN1','VN2')"
AUDIT = f'AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.shipments,"{STATEMENT}",<not logged>,2'


def ocsf(**more: Any) -> dict[str, Any]:
    """Web Resources Activity: somebody reads two shipments."""
    return {
        "class_uid": 6001, "category_uid": 6, "activity_id": 2, "type_uid": 600102, "severity_id": 1,
        "time": 1795482201120, "timezone_offset": 420, "status_id": 1,
        "metadata": {"version": "1.8.0", "uid": "e1", "product": {"name": "tms", "vendor_name": "carrier"}},
        "actor": {"user": {"uid": "nv0231"}}, "src_endpoint": {"ip": "10.2.3.4"},
        "web_resources": [{"uid": "VN1", "url_string": "https://tms/shipments/VN1"}, {"uid": "VN2"}],
        **more,
    }  # fmt: skip


def ecs(**more: Any) -> dict[str, Any]:
    """Somebody opens a page of a shipment; some keys dotted, as Elasticsearch gives them back."""
    return {
        "@timestamp": "2026-11-24T01:03:21.120Z", "ecs": {"version": "9.4.0"},
        "event": {"id": "e1", "kind": "event", "category": ["web"], "type": ["access"], "outcome": "success"},
        "user.id": "nv0231", "source": {"ip": "10.2.3.4"}, "service": {"name": "tms"},
        "url": {"path": "/shipments/VN1"}, **more,
    }  # fmt: skip


def trail(**more: Any) -> dict[str, Any]:
    """One record of CloudTrail: an object is read."""
    return {
        "eventVersion": "1.09", "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventID": "t1",
        "eventTime": "2026-11-24T01:03:21Z", "sourceIPAddress": "10.2.3.4",
        "userIdentity": {"type": "AssumedRole", "principalId": "AROAEXAMPLE:nv0231"},
        "requestParameters": {"bucketName": "labels", "key": "VN1.pdf"}, **more,
    }  # fmt: skip


def csvlog(message: str = AUDIT, at: str = "2026-11-24 08:03:21.120 +07") -> bytes:
    """A line of PostgreSQL 16's csvlog, which has 26 columns."""
    quoted = '"' + message.replace('"', '""') + '"'
    return (
        f'{at},"nv0231","tms",1234,"10.2.3.4:50122",6563aa.4d2,7,"SELECT",2026-11-24 08:00:00 +07,3/15,0,LOG,00000,'
        f'{quoted},,,,,,,,,"psql","client backend",,0'
    ).encode()


class Example(NamedTuple):
    """A record, the headers it comes with, and the fields it becomes."""

    source: Format
    value: bytes
    fields: dict[str, Any]
    headers: list[tuple[str, bytes]] = []  # noqa: RUF012  # never mutated


def made(name: str, mapping: Mapping | None = None) -> Format:
    """A format for the carrier vnx."""
    return FORMATS[name](mapping, "vnx")


READ = {"carrier": "vnx", "actor": "nv0231", "action": "view", "parcels": ["VN1"], "ip": "10.2.3.4"}
AT = "2026-11-24T08:03:21.120+07:00"
EXAMPLES = {
    "native": Example(made("native"), orjson.dumps({**NATIVE, "name": "Lan"}), NATIVE),
    "cloudevents binary": Example(made("cloudevents"), orjson.dumps(NATIVE), {**NATIVE, "id": "/tms#e1"}, HEADERS),
    "cloudevents structured": Example(
        made("cloudevents"),
        orjson.dumps({"specversion": "1.0", "id": "e1", "source": "/tms", "type": "t", "time": AT,
                      "data": {k: v for k, v in NATIVE.items() if k != "time"}}),
        {**NATIVE, "id": "/tms#e1"},
        [("content-type", b"application/cloudevents+json; charset=UTF-8")],
    ),
    "ocsf": Example(
        made("ocsf"), orjson.dumps(ocsf()),
        {**READ, "time": AT, "id": "e1", "parcels": ["VN1", "VN2"], "system": "tms", "channel": "ui"},
    ),
    "ecs": Example(
        made("ecs", URLS), orjson.dumps(ecs()),
        {**READ, "time": "2026-11-24T01:03:21.120Z", "id": "e1", "system": "tms", "outcome": "success"},
    ),
    "cloudtrail": Example(
        made("cloudtrail"), orjson.dumps({"Records": [trail()]}),
        {**READ, "time": "2026-11-24T01:03:21Z", "id": "t1", "action": "download", "parcels": ["VN1.pdf"],
         "system": "s3:labels", "channel": "api"},
    ),
    "weblog": Example(
        made("weblog", URLS),
        b'10.2.3.4 - nv0231 [24/Nov/2026:08:03:21 +0700] "GET /shipments/VN1?tab=2 HTTP/1.1" 200 512 "-" "Firefox"',
        {**READ, "time": "2026-11-24T08:03:21+07:00", "channel": "ui"},
    ),
    "pgaudit csvlog": Example(
        made("pgaudit", IDS), csvlog(),
        {**READ, "time": AT, "id": "6563aa.4d2/7", "parcels": ["VN1", "VN2"], "records": 2, "system": "tms"},
    ),
    "pgaudit line": Example(
        made("pgaudit", IDS), f"2026-11-24 08:03:21.120 +07 [1234] nv0231@tms LOG:  {AUDIT}".encode(),
        {"carrier": "vnx", "actor": "nv0231", "action": "view", "time": AT, "parcels": ["VN1", "VN2"], "records": 2,
         "system": "tms"},
    ),
    "pgaudit jsonlog": Example(
        made("pgaudit", IDS),
        orjson.dumps({"timestamp": "2026-11-24 08:03:21.120 +07", "user": "nv0231", "dbname": "tms",
                      "remote_host": "10.2.3.4", "session_id": "6563aa.4d2", "line_num": 7, "message": AUDIT}),
        {**READ, "time": AT, "id": "6563aa.4d2/7", "parcels": ["VN1", "VN2"], "records": 2, "system": "tms"},
    ),
    "mapping": Example(
        made("mapping", Mapping(fields={"time": "ts", "actor": "user.login", "parcels": "ids", "action": "op"},
                                values={"action": {"OPEN": "view"}})),
        orjson.dumps({"ts": AT, "user": {"login": 231}, "ids": ["VN1", 2], "op": "OPEN", "phone": "0912345678"}),
        {"carrier": "vnx", "time": AT, "actor": "231", "action": "view", "parcels": ["VN1", "2"]},
    ),
}  # fmt: skip
