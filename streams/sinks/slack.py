"""Slack, incoming webhook with blocks.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from streams.receivers import SlackReceiver
from streams.sinks.base import Delivery, Outcome
from streams.sinks.http import Answer, HttpSink, Request
from streams.sinks.notice import Language, Notice, clip, read

#: Longest texts, in characters. Slack takes 150 in a header, 3,000 in a section and 2,000 in a field, but cuts a
#: message off at about 13 kB in all; so sections and fields stay shorter than they may be.
LONGEST_HEADER, LONGEST_SECTION, LONGEST_FIELD, LONGEST_FALLBACK = 150, 1200, 120, 300
#: What Slack says in one word when it does not take a message.
ERRORS = frozenset(
    {
        b"action_prohibited", b"channel_is_archived", b"channel_not_found", b"invalid_payload", b"invalid_token",
        b"no_active_hooks", b"no_service", b"no_service_id", b"no_team", b"no_text",
        b"posting_to_general_channel_denied", b"rollup_error", b"team_disabled", b"too_many_attachments",
        b"user_not_found",
    }
)  # fmt: skip
_CONTROL = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(char: str) -> str:
    """A character so that Slack takes it for itself: no mention, link or entity comes of it."""
    return _CONTROL.get(char, char)


def message(notice: Notice, language: Language) -> dict[str, Any]:
    """The message: headline, text and facts as plain text, so that nothing in them is markup.

    Args:
        notice: what is told.
        language: of everything a reader sees.
    """
    headline = notice.headline(language)
    text = notice.text(language)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(headline, LONGEST_HEADER)}]
    if text:
        blocks.append({"type": "section", "text": _plain(text, LONGEST_SECTION)})
    facts = [_plain(f"{label}: {value}", LONGEST_FIELD) for label, value in notice.facts(language)]
    if facts:
        blocks.append({"type": "section", "fields": facts})
    return {
        # What notifications show.
        "text": clip(f"{headline}. {text}".strip(), LONGEST_FALLBACK, escape),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def _plain(text: str, longest: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": clip(text, longest, escape), "emoji": False}


class SlackSink(HttpSink):
    """One Slack channel, by its incoming webhook.

    Args:
        name: its name in the settings.
        receiver: where it is; whoever knows the URL may post.
        clock: seconds since 1970.
    """

    def __init__(self, name: str, receiver: SlackReceiver, clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, receiver, clock)
        self._language = receiver.language

    def request(self, deliveries: Sequence[Delivery]) -> Request:
        """The message."""
        [delivery] = deliveries
        return Request(self.url, msgspec.json.encode(message(read(delivery), self._language)))

    def verdict(self, answer: Answer) -> Outcome:
        """The body `ok` is Slack's yes. An archived channel is gone; 400 blames the message."""
        status, word = answer.status, answer.body.strip()
        said = f"HTTP {status}: {word.decode()}" if word in ERRORS else f"HTTP {status}"
        if 200 <= status < 300:
            if word == b"ok":
                return Outcome("delivered", said, status)
            return Outcome("retry", f"{said} without ok: not a Slack webhook?", status)
        if status == 410:
            return Outcome("gone", said, status)
        if status == 400:
            return Outcome("refused", said, status)
        common = super().verdict(answer)
        return msgspec.structs.replace(common, detail=said) if word in ERRORS else common
