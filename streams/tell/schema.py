"""The outbox's file: its tables, and how an older one is brought up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, uid TEXT NOT NULL,
    type TEXT NOT NULL, occurred INTEGER NOT NULL, recorded REAL NOT NULL, seen REAL NOT NULL, body BLOB
);
CREATE TABLE deliveries (
    receiver TEXT NOT NULL, seq INTEGER NOT NULL REFERENCES messages (seq), uid TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL, next_at REAL NOT NULL,
    changed REAL NOT NULL, answer TEXT NOT NULL DEFAULT '', PRIMARY KEY (receiver, seq)
) WITHOUT ROWID;
CREATE INDEX due ON deliveries (receiver, next_at, seq) WHERE state = 'pending';
CREATE INDEX unattempted ON deliveries (receiver, uid, seq) WHERE state = 'pending' AND attempts = 0;
CREATE INDEX by_message ON deliveries (seq);
CREATE INDEX by_state ON deliveries (receiver, state, since);
CREATE INDEX by_episode ON deliveries (receiver, uid, seq);
CREATE TABLE disabled (receiver TEXT PRIMARY KEY, at REAL NOT NULL, reason TEXT NOT NULL);
"""
#: What makes version n + 1 of version n.
MIGRATIONS = {1: "CREATE INDEX by_episode ON deliveries (receiver, uid, seq);"}


class OutboxError(Exception):
    """The outbox cannot be used; the text says why and what to do."""


def open_outbox(path: Path) -> sqlite3.Connection:
    """The file, made when absent, with the tables of this version.

    Raises:
        OutboxError: when the file is none of ours or cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        # FULL: an offset committed to Kafka after a write must not outlive that write in a power cut.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            db.execute(f"PRAGMA {pragma}")
        version = _bring_up_to_date(db)
    except (OSError, sqlite3.Error) as exc:
        raise OutboxError(
            f"cannot open the outbox {path}: {exc}; check the disk and the rights, "
            "or move the file away to begin an empty outbox (what is pending in it is then not delivered)"
        ) from exc
    if version > SCHEMA_VERSION:
        db.close()
        raise OutboxError(f"the outbox {path} was written by a newer parcelwatch; run that version or newer")
    return db


def _bring_up_to_date(db: sqlite3.Connection) -> int:
    """Returns the version found, which may be newer than ours."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        scripts = [SCHEMA] if version == 0 else [MIGRATIONS[old] for old in range(version, SCHEMA_VERSION)]
        for statement in filter(str.strip, ";".join(scripts).split(";")):
            db.execute(statement)
        if version < SCHEMA_VERSION:
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return version
