"""Who turned what back into clear text, and why: one line in `<data_dir>/reveal-audit.ndjson` beforehand."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

FILE_NAME = "reveal-audit.ndjson"


class AuditError(Exception):
    """The audit line could not be written, so nothing may be revealed; says what, where and the remedy."""


def os_user() -> str:
    """Login name of the process's real user (not of the environment, which anyone can set), or its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def write_audit(
    data_dir: Path, *, action: str, reason: str, carrier: str = "", **what: Sequence[str]
) -> None:
    """Append one line and wait until it is on the disk.

    Args:
        data_dir: folder of the audit file; made when absent.
        action: what is about to be done, e.g. `reveal`.
        reason: why, in the user's words.
        carrier: whose ids, where it is one carrier's.
        what: what it is done to, by kind: `tokens` or `records` (their places), never clear text.

    Raises:
        AuditError: an empty reason, or the line cannot be written.
    """
    if not reason.strip():
        raise AuditError("say why with --reason; an empty reason is not one (a ticket number will do)")
    path = data_dir / FILE_NAME
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": now, "user": os_user(), "action": action, "carrier": carrier, **what}
    # What a terminal sends may hold bytes that are no text; they must not keep the line from being written.
    line["reason"] = reason.strip().encode(errors="replace").decode()
    encoded = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            written = os.write(handle, encoded)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as exc:
        raise AuditError(
            f"nothing was revealed: cannot write the audit file {path}: {exc.strerror}"
        ) from None
    if written < len(encoded):
        raise AuditError(
            f"nothing was revealed: the audit file {path} took half a line; make room on its disk"
        )
