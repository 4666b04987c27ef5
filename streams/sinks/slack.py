"""Slack, incoming webhook with blocks.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from typing import Any

from streams.sinks.notice import Language, Notice, clip

#: Longest texts, in characters. Slack takes 150 in a header, 3,000 in a section and 2,000 in a field, but cuts a
#: message off at about 13 kB in all; so sections and fields stay shorter than they may be.
LONGEST_HEADER, LONGEST_SECTION, LONGEST_FIELD, LONGEST_FALLBACK = 150, 1200, 120, 300
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
