"""TheHive 5: one alert an episode, kept up to date while the episode grows and when it closes.

Source: https://docs.strangebee.com/thehive/api-docs/ and the types of thehive4py 2.
"""

from __future__ import annotations

import string
from typing import Any

from streams.sinks.notice import Language, Notice, clip

TYPE, SOURCE = "parcelwatch", "parcelwatch"
#: TheHive's severities (1 low to 4 critical) by OCSF's; its own default is 2.
SEVERITIES = (2, 1, 1, 2, 3, 4, 4)
LONGEST_TITLE = 512
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


def alert(notice: Notice, language: Language) -> dict[str, Any]:
    """The alert as it is made.

    Args:
        notice: what is told.
        language: of title and description.
    """
    tags = {"detector": notice.detector, "carrier": notice.carrier, "site": notice.site, "role": notice.role}
    return {
        "type": TYPE,
        "source": SOURCE,
        "sourceRef": reference(notice),
        **changes(notice, language),
        "date": notice.occurred,
        "tags": ["parcelwatch", *(f"{name}:{value}" for name, value in tags.items() if value)],
        # Amber: tokens stand for people; for the organisation alone.
        "tlp": 2,
        "pap": 2,
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
