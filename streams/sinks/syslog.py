"""Syslog for SIEMs: CEF in RFC 5424 messages over TLS (RFC 5425), framed by octet counting (RFC 6587).

Source of the message format: Micro Focus Security ArcSight Common Event Format, version 25.
"""

from __future__ import annotations

from importlib.metadata import version

from streams.sinks.notice import Language, Notice, clip

#: Octets of one message every receiver should take (RFC 5425, 4.3.1).
LONGEST_MESSAGE = 8192
#: Longest `msg` CEF has, and longest other value, in characters.
LONGEST_TEXT, LONGEST_VALUE = 1023, 100
#: Facility 13, log audit.
FACILITY = 13
#: CEF severities (0 to 10) and syslog severities (2 critical to 6 informational) by OCSF's.
CEF_SEVERITIES = (5, 1, 3, 6, 8, 10, 10)
SYSLOG_SEVERITIES = (4, 6, 5, 4, 3, 2, 2)
NOTICE, INFORMATIONAL = 5, 6

_PRODUCT = version("parcelwatch")


def escape_header(char: str) -> str:
    """A character of a CEF header field."""
    return f"\\{char}" if char in "\\|" else char


def escape_value(char: str) -> str:
    """A character of a CEF extension value. Notices hold no line break, so none has to be escaped."""
    return f"\\{char}" if char in "\\=" else char


def cef(notice: Notice, language: Language) -> str:
    """The notice in CEF.

    `act` is what the message says of its episode (opened, grew, closed, test), `externalId` the episode, `suid`
    the person's token, `cnt` the shipment records read.

    Args:
        notice: what is told.
        language: of `msg`.
    """
    named = notice.title or notice.headline("en")
    header = [
        "CEF:0", "parcelwatch", "parcelwatch", _PRODUCT,
        clip(notice.detector or notice.stage, LONGEST_VALUE, escape_header),
        clip(named, LONGEST_VALUE, escape_header),
        str(1 if notice.stage == "test" else CEF_SEVERITIES[notice.severity]),
    ]  # fmt: skip
    labelled = {
        "cs1": ("detectorVersion", notice.version),
        "cs2": ("carrier", notice.carrier),
        "cs3": ("site", notice.site),
        "cs4": ("role", notice.role),
        "cs5": ("messageId", notice.id),
        "cn1": ("riskPoints", str(notice.risk or "")),
    }
    values = {
        "rt": str(notice.occurred),
        "act": notice.stage,
        "cat": "Personal data leak",
        "externalId": notice.uid,
        "suid": notice.person,
        "cnt": str(notice.records or ""),
        "start": str(notice.started or ""),
        "end": str(notice.ended or ""),
    }
    for key, (label, value) in labelled.items():
        if value:
            values |= {f"{key}Label": label, key: value}
    pairs = [f"{key}={clip(value, LONGEST_VALUE, escape_value)}" for key, value in values.items() if value]
    if text := notice.text(language):
        pairs.append(f"msg={clip(text, LONGEST_TEXT, escape_value)}")
    return "|".join(header) + "|" + " ".join(pairs)


def message(notice: Notice, language: Language, host: str) -> bytes:
    """The RFC 5424 message, without a frame, at most `LONGEST_MESSAGE` octets.

    No byte order mark stands before the text: the RFC asks for one, readers of CEF stumble over it.

    Args:
        notice: what is told.
        language: of `msg`.
        host: this machine's name, printable ASCII, or `-`.
    """
    severity = SYSLOG_SEVERITIES[notice.severity]
    if notice.stage in ("closed", "test"):
        severity = NOTICE if notice.stage == "closed" else INFORMATIONAL
    head = f"<{FACILITY * 8 + severity}>1 {notice.utc()} {host} parcelwatch - {notice.stage} - "
    return (head + cef(notice, language)).encode()


def frame(content: bytes) -> bytes:
    """A message in a stream of them: its length in octets, a space, the message.

    >>> frame("ệ".encode())
    b'3 \\xe1\\xbb\\x87'
    """
    return b"%d %b" % (len(content), content)
