"""Logging of every process: one JSON object a line on standard error, nothing personal or secret in it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "(not logged)"
#: Words that, standing alone in a key (`phone`, `receiver_secret`), say that the value is none for a log.
_PRIVATE = frozenset({"secret", "token", "password", "key", "value", "body", "phone", "name", "address"})
#: Loggers that speak of every fetch or rebalance step. They are heard from this level on.
_QUIET = {
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "aiokafka": logging.WARNING,
    "kafka": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
}


class Repeats(logging.Filter):
    """Lets a library's message through once in a while only: without its broker aiokafka says the same
    thousands of times a second. How many were left out is said with the next.

    Args:
        seconds: between two records of one logger with one text (arguments apart).
    """

    MOST = 1_000

    def __init__(self, seconds: float = 5.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; parcelwatch's own always are."""
        if not isinstance(record.msg, str) or record.name.startswith("streams"):
            return True
        key = (record.name, record.msg)
        last, left_out = self._last.get(key, (-self._seconds, 0))
        if record.created - last < self._seconds:
            self._last[key] = (last, left_out + 1)
            return False
        if len(self._last) >= self.MOST:
            self._last.clear()
        self._last[key] = (record.created, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} times more since it was last logged)"
        return True


def configure(level: str = "info") -> None:
    """Send structlog's and the standard library's records to standard error as JSON lines.

    Safe to call again, and after Faust has set its own handlers up, which it replaces. As a safety net for
    what should not have been passed in the first place, values under keys like `secret`, `phone` or
    `value` are replaced, and tracebacks are written without local variables.

    Args:
        level: least severity that is logged: debug, info, warning or error.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        redact,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _QUIET:
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(number, least))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Structlog processor: replaces values under private-looking keys, at any depth.

    >>> redact(None, "info", {"event": "sent", "phone": "0901", "receiver": {"secret": "s", "status": 200}})
    {'event': 'sent', 'phone': '(not logged)', 'receiver': {'secret': '(not logged)', 'status': 200}}
    """
    return _redacted(event)


def _redacted(values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: REDACTED if _is_private(key) else _inner(value) for key, value in values.items()}


def _inner(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _redacted(dict(value))
    if isinstance(value, list | tuple):
        return [_inner(item) for item in value]
    return value


def _is_private(key: object) -> bool:
    return not _PRIVATE.isdisjoint(re.split(r"[^a-z]+", str(key).lower()))


def _json(event: Any, **_: Any) -> str:
    # What JSON has no form for (bytes of a record, for instance) is named by its type and not shown.
    return orjson.dumps(event, default=lambda value: f"({type(value).__name__})").decode()
