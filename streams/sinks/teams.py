"""Microsoft Teams: an Adaptive Card to the webhook of a Workflow.

Source: https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams and
https://adaptivecards.io/explorer/RichTextBlock.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from streams.receivers import TeamsReceiver
from streams.sinks.base import Delivery
from streams.sinks.http import HttpSink, Request
from streams.sinks.notice import Language, Notice, clip, read

#: The version every Teams client shows.
CARD_VERSION = "1.4"
#: Teams takes 28 KB in all. With these lengths, in characters, a card has fewer, whatever they are.
LONGEST_TEXT, LONGEST_FACT = 3000, 200


def message(notice: Notice, language: Language) -> dict[str, Any]:
    """The message that a workflow "When a Teams webhook request is received" posts.

    Args:
        notice: what is told.
        language: of everything a reader sees.
    """
    colour = "Attention" if notice.severity >= 4 else "Warning" if notice.severity == 3 else "Default"
    body = [_runs(_run(notice.headline(language), weight="Bolder", size="Medium", color=colour))]
    if text := notice.text(language):
        body.append(_runs(_run(text)))
    body += [
        _runs(_run(f"{label}: ", weight="Bolder"), _run(clip(value, LONGEST_FACT)))
        for label, value in notice.facts(language)
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "lang": language,
        "body": body,
        "msteams": {"width": "Full"},
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _runs(*runs: dict[str, Any]) -> dict[str, Any]:
    # Not a TextBlock or FactSet: those read Markdown, a RichTextBlock does not.
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **look: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": clip(text, LONGEST_TEXT), **look}


class TeamsSink(HttpSink):
    """One Teams chat or channel, by the webhook of its workflow.

    Args:
        name: its name in the settings.
        receiver: where it is; whoever knows the URL may post.
        clock: seconds since 1970.
    """

    def __init__(self, name: str, receiver: TeamsReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self._language = receiver.language

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The message. A workflow answers 202 when it begins; whether the card was posted it does not say."""
        [delivery] = deliveries
        return Request(self.url, msgspec.json.encode(message(read(delivery), self._language)))
