"""Alerts as others read them: OCSF 1.8.0 Detection Finding (2004) in JSON, CloudEvents 1.0 headers on Kafka.

An alert names people and parcels by token alone. Nothing here reads a clock: the same alert gives
the same bytes.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import orjson

from detectors.base import Person
from detectors.episodes import Alert
from detectors.honeytoken import HoneyToken
from detectors.model_score import ModelScore
from streams.flow.topics import ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY

OCSF_VERSION = "1.8.0"
CATEGORY_UID = 2
CLASS_UID = 2004
#: OCSF has `actor` on a finding only under this profile.
PROFILES = ("host",)

SEVERITIES = {0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"}
CONFIDENCES = {0: "Unknown", 1: "Low", 2: "Medium", 3: "High"}
ACTIVITIES = {1: "Create", 2: "Update", 3: "Close"}
#: An update stays New: In Progress would say that somebody already looks into it.
STATUSES = {1: (1, "New"), 2: (1, "New"), 3: (4, "Resolved")}
#: A suppression is in force: the alert is kept and told to nobody.
SUPPRESSED = (3, "Suppressed")
#: OCSF risk levels, by the points from which they hold.
RISK_LEVELS = ((40, 4, "Critical"), (20, 3, "High"), (10, 2, "Medium"), (4, 1, "Low"), (0, 0, "Info"))
EVENT_TYPES = {
    1: "parcelwatch.alert.created",
    2: "parcelwatch.alert.updated",
    3: "parcelwatch.alert.closed",
}

#: What kind of analytic a detector is, as OCSF numbers them; most hold a person against what is usual.
STATISTICAL = (3, "Statistical")
RULE = (1, "Rule")
ANALYTICS = {HoneyToken.name: RULE, ModelScore.name: (4, "Learning (ML/DL)")}

MAX_SAMPLES = 20
#: Bytes an alert may have: receivers cut or refuse what is much larger. Sample parcels are left out beyond it.
LARGEST = 20_000
#: Rostered hours told of; no week needs more.
MAX_SHIFTS = 14
_EXACT_INT = 2**53
_PRODUCT = {
    "name": "parcelwatch",
    "uid": "parcelwatch",
    "vendor_name": "parcelwatch",
    "version": version("parcelwatch"),
}


def message_id(alert: Alert) -> str:
    """Id of this one message, the same on every replay: the finding's uid and the message's number in it."""
    return f"{alert.uid}-{alert.sequence}"


def render(alert: Alert) -> dict[str, Any]:
    """The alert as an OCSF 1.8.0 Detection Finding, profile `host`.

    `time` is the message's event time, `start_time` and `end_time` are those of the first and last
    contributing touch, all in ms since the epoch. `count` is the number of shipment records read in the
    episode. What was measured, and against which baseline, is in `evidences[0].data` (null where a value is
    no finite number): OCSF's `anomaly_analyses` would make text of the numbers. `unmapped` holds what OCSF
    has no place for: the Vietnamese sentence, the person's status and shifts. Encoded, the alert has at most
    `LARGEST` bytes: of at most 20 sample parcels, as many as find room.
    """
    finding = alert.finding
    status_id, status = SUPPRESSED if alert.suppressed else STATUSES[alert.activity]
    type_name = f"Detection Finding: {ACTIVITIES[alert.activity]}"
    analytic_id, analytic = RULE if alert.rule else ANALYTICS.get(alert.detector, STATISTICAL)
    event: dict[str, Any] = {
        "activity_id": alert.activity,
        "activity_name": ACTIVITIES[alert.activity],
        "category_uid": CATEGORY_UID,
        "category_name": "Findings",
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + alert.activity,
        "type_name": type_name,
        "severity_id": finding.severity,
        "severity": SEVERITIES[finding.severity],
        "status_id": status_id,
        "status": status,
        # OCSF 1.8.0: a Close "likely would not" be an alertable signal.
        "is_alert": alert.activity != 3 and not alert.suppressed,
        "confidence_id": finding.confidence,
        "confidence": CONFIDENCES[finding.confidence],
        "time": alert.at,
        "start_time": alert.first,
        "end_time": alert.last,
        "duration": alert.last - alert.first,
        "timezone_offset": alert.utc_offset,
        "count": alert.records,
        "message": finding.en,
        **_risk(alert),
        "actor": {"user": _user(alert.person)},
        "finding_info": {
            "uid": alert.uid,
            "title": alert.summary,
            "desc": finding.en,
            "types": ["Personal data leak"],
            "analytic": {
                "type_id": analytic_id,
                "type": analytic,
                "uid": alert.rule or f"parcelwatch.{alert.detector}",
                "name": alert.detector,
                "desc": alert.summary,
                "version": alert.version,
            },
            "created_time": alert.opened,
            "modified_time": alert.at,
            "first_seen_time": alert.first,
            "last_seen_time": alert.last,
            "data_sources": [ACCESS_EVENTS, PARCEL_CONTEXT, STAFF_DIRECTORY],
            **_related(alert),
        },
        "evidences": [
            {
                "name": f"parcelwatch.{alert.detector}",
                "data": {
                    "measures": _numbers(finding.measures),
                    "baseline": _numbers(finding.baseline),
                    "score": _number(finding.score),
                    "evidence": _number(finding.evidence),
                    "window_seconds": finding.window,
                },
            }
        ],
        "observables": [
            {
                "name": "actor.user.uid",
                "type_id": 31,
                "type": "User Object: uid",
                "value": alert.person.token,
            }
        ],
        "metadata": {
            "version": OCSF_VERSION,
            "profiles": list(PROFILES),
            "product": _PRODUCT,
            "uid": message_id(alert),
            "correlation_uid": alert.uid,
            "sequence": alert.sequence,
            "tenant_uid": alert.person.carrier,
        },
        "unmapped": {"message_vi": finding.vi, **_staff(alert.person)},
    }
    _add_samples(event, alert.samples[:MAX_SAMPLES])
    return event


def encode(alert: Alert) -> bytes:
    """The alert as the value of a Kafka record: UTF-8 JSON of `render`."""
    return orjson.dumps(render(alert))


def headers(alert: Alert, produced_at_ms: int) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 headers (Kafka protocol binding, binary mode) of the alert's record.

    Args:
        alert: what the record's value says.
        produced_at_ms: broker timestamp, ms since the epoch, of the source record that triggered this
            message; readers measure the delay from leak to alert against it. It is no part of the decision.
    """
    time = datetime.fromtimestamp(alert.at / 1000, UTC).isoformat(timespec="milliseconds")
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": message_id(alert),
        "ce_source": f"/parcelwatch/{quote(alert.person.carrier, safe='')}",
        "ce_type": EVENT_TYPES[alert.activity],
        "ce_subject": alert.uid,
        "ce_time": time.replace("+00:00", "Z"),
        "ce_producedat": str(produced_at_ms),
        "content-type": "application/json",
    }
    return [(name, value.encode()) for name, value in attributes.items()]


def _add_samples(event: dict[str, Any], samples: tuple[str, ...]) -> None:
    """Add the parcels, each as a resource and an observable, as long as the event stays within `LARGEST`."""
    resources: list[dict[str, Any]] = []
    room = LARGEST - len(orjson.dumps(event)) - len(',"resources":[]')
    for parcel in samples:
        resource = {"uid": parcel, "type": "Shipment record", "role_id": 1, "role": "Target"}
        observable = {"name": "resources[].uid", "type_id": 10, "type": "Resource UID", "value": parcel}
        room -= len(orjson.dumps((resource, observable)))
        if room < 0:
            break
        resources.append(resource)
        event["observables"].append(observable)
    if resources:
        event["resources"] = resources


def _risk(alert: Alert) -> dict[str, Any]:
    level_id, level = next((number, name) for points, number, name in RISK_LEVELS if alert.risk >= points)
    risk: dict[str, Any] = {"risk_level_id": level_id, "risk_level": level, "risk_score": round(alert.risk)}
    if alert.reasons:
        risk["risk_details"] = "By weight: " + ", ".join(alert.reasons)
    return risk


def _related(alert: Alert) -> dict[str, Any]:
    events = [{"uid": uid, "title": detector, "type": "Detection Finding"} for uid, detector in alert.related]
    return {"related_events": events, "related_events_count": len(events)} if events else {}


def _user(person: Person) -> dict[str, Any]:
    user: dict[str, Any] = {
        "uid": person.token,
        "type_id": 4 if person.service else 1,
        "type": "Service" if person.service else "User",
        "org": {"uid": person.carrier},
    }
    if person.site:
        user["org"]["ou_uid"] = person.site
    groups = [
        {"name": name, "type": kind} for kind, name in (("role", person.role), ("team", person.team)) if name
    ]
    if groups:
        user["groups"] = groups
    if person.manager:
        user["ldap_person"] = {"manager": {"uid": person.manager}}
    return user


def _staff(person: Person) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if person.status:
        known["staff_status"] = person.status
    if person.shifts:
        known["staff_shifts"] = list(person.shifts[:MAX_SHIFTS])
    return known


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | None:
    """The value as JSON can carry it: whole numbers without a fraction, what is not finite as null."""
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < _EXACT_INT else value
