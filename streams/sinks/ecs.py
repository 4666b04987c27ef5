"""Alerts in the Elastic Common Schema, for Elastic Security and whatever else reads ECS.

Source: https://www.elastic.co/docs/reference/ecs (9.4)
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from streams.sinks.base import Delivery
from streams.sinks.notice import Notice, read

VERSION = "9.4.0"
ACTIONS = {"opened": "leak-opened", "grew": "leak-grew", "closed": "leak-closed", "test": "test"}


class _Evidence(msgspec.Struct):
    data: dict[str, Any] = {}


class _Detail(msgspec.Struct):
    evidences: list[_Evidence] = []
    confidence: Any = None
    status: Any = None


_detail = msgspec.json.Decoder(_Detail)


def document(delivery: Delivery) -> dict[str, Any]:
    """The alert as an ECS document.

    What ECS has no field for stands under `parcelwatch`. What the alert does not say is left out. People and
    parcels are tokens.
    """
    notice = read(delivery)
    try:
        detail = _detail.decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = _Detail()
    measured = detail.evidences[0].data if detail.evidences else {}
    view = {
        "@timestamp": _moment(notice.occurred),
        "ecs": {"version": VERSION},
        "message": notice.text("en"),
        "event": {
            "kind": "alert",
            "category": ["database", "threat"],
            "type": ["access"],
            "id": notice.id,
            "action": ACTIONS[notice.stage],
            "module": "parcelwatch",
            "dataset": "parcelwatch.alerts",
            "severity": notice.severity,
            "risk_score": float(notice.risk),
            "start": _moment(notice.started),
            "end": _moment(notice.ended),
            "duration": (notice.ended - notice.started) * 1_000_000,  # ECS counts nanoseconds
        },
        "rule": {
            "id": f"parcelwatch.{notice.detector}" if notice.detector else "",
            "name": notice.detector,
            "description": notice.title,
            "version": notice.version,
            "ruleset": "parcelwatch",
        },
        "user": {"id": notice.person, "roles": [notice.role] if notice.role else []},
        "related": {"user": [notice.person] if notice.person else []},
        "organization": {"id": notice.carrier},
        "observer": {"vendor": "parcelwatch", "product": "parcelwatch", "type": "data-leak-detection"},
        "parcelwatch": _own(notice, detail, measured),
    }
    return {name: kept for name, value in view.items() if (kept := _filled(value))}


def _own(notice: Notice, detail: _Detail, measured: dict[str, Any]) -> dict[str, Any]:
    return {
        "episode": notice.uid,
        "message_vi": notice.texts["vi"],
        "severity": notice.severity_name("en"),
        "confidence": detail.confidence if isinstance(detail.confidence, str) else "",
        "status": detail.status if isinstance(detail.status, str) else "",
        "site": notice.site,
        "records": notice.records,
        "parcels": list(notice.parcels),
        "measures": _numbers(measured.get("measures")),
        "baseline": _numbers(measured.get("baseline")),
    }


def _numbers(values: object) -> dict[str, float]:
    # As floats throughout: Elasticsearch takes a field's type from the first value it sees.
    if not isinstance(values, dict):
        return {}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: kept for name, inner in value.items() if (kept := _filled(inner)) not in ("", None, [], {})
        }
    return value


def _moment(ms: int) -> str:
    if not ms:
        return ""
    moment = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
