"""TheHive 5: one alert an episode, kept up to date while the episode grows and when it closes.

Source: https://docs.strangebee.com/thehive/api-docs/ and the types of thehive4py 2.
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from streams.receivers import TheHiveReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request
from streams.sinks.notice import Language, Notice, clip, read

TYPE, SOURCE = "parcelwatch", "parcelwatch"
#: TheHive's severities (1 low to 4 critical) by OCSF's; its own default is 2.
SEVERITIES = (2, 1, 1, 2, 3, 4, 4)
LONGEST_TITLE = 512
#: Statuses with which TheHive says that there is such an alert, or that it does not take this one.
NOT_MADE = frozenset({400, 409})
_ALERT_ID = re.compile(r"~?[A-Za-z0-9_-]{1,64}")
_PUNCTUATION = frozenset(string.punctuation)


def escape(char: str) -> str:
    """A character so that Markdown takes it for itself."""
    return f"\\{char}" if char in _PUNCTUATION else char


def reference(notice: Notice) -> str:
    """The sourceRef: with type and source it is unique in TheHive, so one episode is one alert."""
    return notice.id if notice.stage == "test" else notice.uid


def changes(notice: Notice, language: Language) -> dict[str, Any]:
    """What every message of an episode says anew: title, description, severity.

    Tags, status and assignee are the analysts' and are never touched after the alert is made: that an episode
    has gone quiet does not mean that anybody has looked into it.

    Args:
        notice: what is told.
        language: of title and description; the description is Markdown.
    """
    lines = [
        clip(notice.text(language), 2 * len(notice.text(language)) + 1, escape),
        "",
        *(f"- **{label}**: {''.join(map(escape, value))}" for label, value in notice.facts(language)),
    ]
    return {
        "title": clip(notice.headline(language), LONGEST_TITLE),
        "description": "\n".join(lines).strip() or notice.headline(language),
        "severity": 1 if notice.stage == "test" else SEVERITIES[notice.severity],
    }


def alert(notice: Notice, language: Language, tlp: int = 2, pap: int = 2) -> dict[str, Any]:
    """The alert as it is made.

    Args:
        notice: what is told.
        language: of title and description.
        tlp, pap: how far it may be passed on and acted upon; amber by default.
    """
    tags = {"detector": notice.detector, "carrier": notice.carrier, "site": notice.site, "role": notice.role}
    return {
        "type": TYPE,
        "source": SOURCE,
        "sourceRef": reference(notice),
        **changes(notice, language),
        "date": notice.occurred,
        "tags": ["parcelwatch", *(f"{name}:{value}" for name, value in tags.items() if value)],
        "tlp": tlp,
        "pap": pap,
        "observables": observables(notice),
    }


def observables(notice: Notice) -> list[dict[str, Any]]:
    """Person and sample parcels, as tokens; each once, since TheHive refuses an alert that names one twice."""
    named = {notice.person: "staff"} if notice.person else {}
    named |= {parcel: "parcel" for parcel in notice.parcels if parcel != notice.person}
    return [{"dataType": "other", "data": token, "tags": [kind]} for token, kind in named.items()]


def lookup(notice: Notice) -> dict[str, Any]:
    """The query that finds the alert of the same episode."""
    known = {"type": TYPE, "source": SOURCE, "sourceRef": reference(notice)}
    filters = [{"_eq": {"_field": field, "_value": value}} for field, value in known.items()]
    return {
        "query": [
            {"_name": "listAlert"},
            {"_name": "filter", "_and": filters},
            {"_name": "page", "from": 0, "to": 1},
        ]
    }


class TheHiveSink(HttpSink):
    """One organisation in TheHive.

    Every message is first offered as a new alert, so that none is missed when the one before did not come
    through. TheHive takes no second one of the same episode; then the one that is there is looked up, and a
    message that tells of growth or of the end changes it. Whether that alert was looked into, closed or made
    a case of, stays as the analysts left it.

    Args:
        name: its name in the settings.
        receiver: where it is, and its API key.
        clock: seconds since 1970.
    """

    newest_only = True

    def __init__(self, name: str, receiver: TheHiveReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self._language = receiver.language
        self._tlp, self._pap = receiver.tlp, receiver.pap
        self._headers = {"authorization": f"Bearer {receiver.api_key.get_secret_value()}"}
        if receiver.organisation:
            self._headers["x-organisation"] = receiver.organisation
        self._api = self.url / "api" / "v1"

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The alert as a new one."""
        [delivery] = deliveries
        return self._call("alert", alert(read(delivery), self._language, self._tlp, self._pap))

    async def exchange(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Offer the alert; when there is one of this episode, find it and change it."""
        notice = read(deliveries[0])
        made = await self.post(self.request(deliveries))
        if made.status not in NOT_MADE:
            return [self._confirmed(made)]
        found = await self.post(self._call("query", lookup(notice)))
        alerts = _objects(found.body)
        if not 200 <= found.status < 300:
            return [self.verdict(found)]
        if alerts is None:
            return [
                Outcome("retry", f"HTTP {found.status} with an answer that is not TheHive's", found.status)
            ]
        if not alerts:
            # Not there and not taken either: what was sent is to blame.
            return [Outcome("refused", f"HTTP {made.status}: TheHive does not take the alert", made.status)]
        if notice.stage in ("opened", "test"):
            return [Outcome("delivered", f"HTTP {made.status}: the alert is there already", made.status)]
        id_ = alerts[0].get("_id")
        if not isinstance(id_, str) or not _ALERT_ID.fullmatch(id_):
            return [Outcome("retry", f"HTTP {found.status} with an alert without id", found.status)]
        change = self._call(f"alert/{id_}", changes(notice, self._language), "PATCH")
        return [self.verdict(await self.post(change))]

    def _call(self, path: str, body: Mapping[str, Any], method: str = "POST") -> Request:
        return Request(self._api / path, msgspec.json.encode(body), self._headers, method)

    def _confirmed(self, answer: Answer) -> Outcome:
        """TheHive's yes is the alert it made; a login page is none."""
        outcome = self.verdict(answer)
        if outcome.kind == "delivered" and not _objects(b"[%b]" % answer.body):
            return Outcome("retry", f"{outcome.detail} with an answer that is not TheHive's", outcome.status)
        return outcome


def _objects(body: bytes) -> list[dict[str, Any]] | None:
    """A JSON array of objects, or None when it is something else."""
    try:
        return msgspec.json.decode(body, type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
