"""What an alert says, read for the channels that people and consoles watch: one-line texts in one language."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import msgspec

from streams.receivers.base import Language
from streams.sinks.base import Delivery

__all__ = ["Language", "Notice", "Stage", "clip", "line", "read"]

#: What the message says of its episode.
Stage = Literal["opened", "grew", "closed", "test"]

#: Longest text and longest name that is read, in characters; detectors write a few hundred.
LONGEST_TEXT, LONGEST_NAME = 4000, 200
#: Observables that are read; alerts hold at most 20 sample parcels.
MOST_PARCELS = 20

_STAGES: dict[str, Stage] = {
    "parcelwatch.alert.created": "opened",
    "parcelwatch.alert.updated": "grew",
    "parcelwatch.alert.closed": "closed",
}
_SEVERITIES: dict[Language, tuple[str, ...]] = {
    "en": ("Unknown", "Informational", "Low", "Medium", "High", "Critical", "Fatal"),
    "vi": (
        "Không rõ", "Thông tin", "Thấp", "Trung bình", "Cao", "Nghiêm trọng", "Đặc biệt nghiêm trọng",
    ),
}  # fmt: skip
_HEADLINES: dict[Language, dict[Stage, str]] = {
    "en": {
        "opened": "New leak alert, severity {severity}: {detector}",
        "grew": "Leak alert has grown, severity {severity}: {detector}",
        "closed": "Leak alert closed, nothing was added since: {detector}",
        "test": "Test message of parcelwatch",
    },
    "vi": {
        "opened": "Cảnh báo rò rỉ mới, mức {severity}: {detector}",
        "grew": "Cảnh báo rò rỉ tăng thêm, mức {severity}: {detector}",
        "closed": "Cảnh báo rò rỉ đã đóng, không phát sinh thêm: {detector}",
        "test": "Tin thử của parcelwatch",
    },
}
_LABELS: dict[Language, tuple[str, ...]] = {
    "en": ("Person", "Role", "Carrier", "Site", "Records read", "Risk points", "From", "Until", "Alert"),
    "vi": (
        "Nhân viên", "Vai trò", "Đơn vị chuyển phát", "Bưu cục", "Số bản ghi đã đọc", "Điểm rủi ro",
        "Từ", "Đến", "Mã cảnh báo",
    ),
}  # fmt: skip
_UNREADABLE: dict[Language, str] = {
    "en": "The details of this alert cannot be read here; its record in the alerts topic has them.",
    "vi": "Không đọc được chi tiết của cảnh báo này; xem bản ghi trong topic alerts.",
}
#: Times later than this cannot be told in every time zone: the end of the year 9999 less two days.
_LATEST = 253_402_128_000_000


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message about one alert, as people are told of it. Texts are clean single lines, empty when absent.

    Attributes:
        id: of this message, the same at every attempt.
        uid: of the episode.
        stage: opened, grew or closed; test for what `parcelwatch tell test` sends.
        severity: 0 unknown, 1 informational to 6 fatal, as OCSF numbers them.
        title: what the detector looks for, English.
        texts: what happened, by language.
        occurred, started, ended: event times of the message and of the first and last touch, ms since 1970.
        offset: minutes the person's local time is east of UTC.
        detector, version: who says so.
        person, carrier, site, role: whom it is about; the person as a token.
        records: shipment records read.
        risk: points against the person.
        parcels: at most 20 of the parcels, as tokens, each once.
    """

    id: str
    uid: str
    stage: Stage
    severity: int
    title: str
    texts: dict[Language, str]
    occurred: int
    started: int
    ended: int
    offset: int
    detector: str
    version: str
    person: str
    carrier: str
    site: str
    role: str
    records: int
    risk: int
    parcels: tuple[str, ...]

    def text(self, language: Language) -> str:
        """What happened, in a language, or in the other when it says nothing in this one."""
        return self.texts[language] or self.texts["en"] or self.texts["vi"]

    def severity_name(self, language: Language) -> str:
        """The severity in a word."""
        return _SEVERITIES[language][self.severity]

    def headline(self, language: Language) -> str:
        """What kind of message this is, in one line."""
        return _HEADLINES[language][self.stage].format(
            severity=self.severity_name(language), detector=self.detector or "?"
        )

    def facts(self, language: Language) -> list[tuple[str, str]]:
        """What a reader wants to know beside the text, as (label, value); what is absent is left out."""
        if self.stage == "test":
            return []
        values = (
            self.person, self.role, self.carrier, self.site, f"{self.records:,}" if self.records else "",
            str(self.risk), self.local(self.started), self.local(self.ended), self.uid,
        )  # fmt: skip
        return [(label, value) for label, value in zip(_LABELS[language], values, strict=True) if value]

    def local(self, moment: int) -> str:
        """A moment (ms since 1970) as the person's clock showed it, with its offset; empty for 0."""
        if not moment:
            return ""
        zone = timezone(timedelta(minutes=self.offset))
        return datetime.fromtimestamp(moment / 1000, zone).isoformat(" ", "seconds")

    def utc(self) -> str:
        """When it occurred, RFC 3339 in UTC with milliseconds."""
        moment = datetime.fromtimestamp(self.occurred / 1000, UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")


def read(delivery: Delivery) -> Notice:
    """The notice that a delivery carries.

    Never fails: what the alert does not say, or says in another shape than docs/alerts.md, is absent, and what
    is told then is at least that there is an alert, which, and how far it has come.
    """
    try:
        alert = msgspec.json.decode(delivery.body)
        unreadable = False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        alert, unreadable = {}, True
    texts: dict[Language, str] = {
        "en": line(_at(alert, "message"), LONGEST_TEXT),
        "vi": line(_at(alert, "unmapped", "message_vi"), LONGEST_TEXT),
    }
    groups = _at(alert, "actor", "user", "groups")
    roles = [_at(g, "name") for g in groups if _at(g, "type") == "role"] if isinstance(groups, list) else []
    return Notice(
        id=delivery.id,
        uid=line(delivery.uid) or delivery.id,
        stage=_STAGES.get(delivery.type, "test"),
        severity=_whole(_at(alert, "severity_id"), 6),
        title=line(_at(alert, "finding_info", "title")),
        texts=dict(_UNREADABLE) if unreadable else texts,
        occurred=_whole(delivery.occurred, _LATEST),
        started=_whole(_at(alert, "start_time"), _LATEST),
        ended=_whole(_at(alert, "end_time"), _LATEST),
        offset=_whole(_at(alert, "timezone_offset"), 14 * 60, least=-12 * 60),
        detector=line(_at(alert, "finding_info", "analytic", "name")),
        version=line(_at(alert, "finding_info", "analytic", "version")),
        person=line(_at(alert, "actor", "user", "uid")),
        carrier=line(_at(alert, "actor", "user", "org", "uid")),
        site=line(_at(alert, "actor", "user", "org", "ou_uid")),
        role=line(roles[0]) if roles else "",
        records=_whole(_at(alert, "count"), 2**53),
        risk=_whole(_at(alert, "risk_score"), 2**53),
        parcels=_parcels(_at(alert, "resources")),
    )


def line(value: object, longest: int = LONGEST_NAME) -> str:
    """A text as one clean line: no control or invisible character, none that turns the reading order round.

    >>> line(" a\\r\\n b\\x00\\u202e c "), line(7)
    ('a b c', '')
    """
    if not isinstance(value, str):
        return ""
    kept = "".join(
        char if char.isprintable() or char.isspace() else ""
        for char in value[: 2 * longest]
        if unicodedata.category(char) not in ("Cf", "Cs")
    )
    return clip(" ".join(kept.split()), longest)


def clip(text: str, longest: int, escape: Callable[[str], str] = str) -> str:
    """The text, escaped a character at a time, in at most so many characters; what is cut off leaves an ellipsis.

    No escape sequence is ever cut in two.

    >>> clip("a & b", 8, lambda char: "&amp;" if char == "&" else char), clip("abcd", 3)
    ('a &amp;…', 'ab…')
    """
    pieces = [escape(char) for char in text[: longest + 1]]
    if sum(map(len, pieces)) <= longest:
        return "".join(pieces)
    room = longest - 1
    kept = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def _at(value: Any, *path: str) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _whole(value: object, most: int, least: int = 0) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    return number if least <= number <= most else 0


def _parcels(resources: object) -> tuple[str, ...]:
    if not isinstance(resources, list):
        return ()
    tokens = [line(_at(resource, "uid")) for resource in resources[:MOST_PARCELS]]
    return tuple(dict.fromkeys(token for token in tokens if token))
