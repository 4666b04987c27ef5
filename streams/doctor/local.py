"""Checks of this machine's disk: the data folder, the key ring, the outbox."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

from streams.doctor.check import Check, green, red, yellow
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import Keyring
from streams.settings import Settings
from streams.tell.deliveries import Outbox, OutboxError, Standing

GIB = 2**30
#: Free bytes below which state stores soon cannot be written, and below which somebody should make room.
RED_FREE, YELLOW_FREE = 1 * GIB, 5 * GIB
#: Seconds a delivery may wait before somebody should look at its receiver.
LONG_PENDING = 900.0
_SHOWN_CARRIERS = 10


def check_data_dir(settings: Settings) -> Check:
    """Is the data folder there, writable, and is there room on its disk?"""
    name, folder = "data folder", settings.data_dir
    if not folder.exists():
        parent = next((p for p in folder.absolute().parents if p.exists()), Path("/"))
        if os.access(parent, os.W_OK | os.X_OK):
            return yellow(
                name, f"{folder} does not exist yet", "nothing to do before the first start of the worker"
            )
        return red(name, f"{folder} does not exist and cannot be made", f"make it, or make {parent} writable")
    if not folder.is_dir():
        return red(name, f"{folder} is no folder", "move it away, or set PARCELWATCH_DATA_DIR to a folder")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return red(
            name, f"{folder} is not writable for this user", f"give it to the worker's user: chown {folder}"
        )
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free / GIB:.1f} GiB free"
    if free < RED_FREE:
        return red(name, detail, "make room on the disk: the state stores stop when it is full")
    if free < YELLOW_FREE:
        return yellow(name, detail, "make room on the disk soon")
    return green(name, detail)


def check_keys(settings: Settings) -> Check:
    """Can the key ring be read by us and by nobody else, and does each configured carrier have a key?"""
    path = settings.keys_path
    if not path.exists():
        return red(
            "keys", f"no key ring at {path}", "make one: `parcelwatch keys init`, then `keys add CARRIER`"
        )
    try:
        ring = Keyring.load(path)
    except KeyringError as exc:
        return red("keys", str(exc), "mend the file as said; keys that are lost cannot be made again")
    active = [f"{key.carrier} ({key.key_id})" for key in ring.describe() if key.carrier and key.active]
    if not active:
        return yellow(
            "keys", f"{path} has no carrier: every event is rejected", "`parcelwatch keys add CARRIER`"
        )
    missing = sorted(set(settings.carriers) - set(ring.carriers))
    if missing:
        return red(
            "keys",
            f"no key for {', '.join(missing)}: their events are rejected",
            f"`parcelwatch keys add {missing[0]}`",
        )
    more = f" and {len(active) - _SHOWN_CARRIERS} more" if len(active) > _SHOWN_CARRIERS else ""
    return green("keys", f"{path}, carriers {', '.join(active[:_SHOWN_CARRIERS])}{more}")


def check_outbox(settings: Settings, path: Path) -> list[Check]:
    """How each receiver's deliveries stand."""
    if not path.exists():
        if not settings.receivers:
            return []
        return [
            yellow("deliveries", f"no outbox at {path}", "start `parcelwatch tell` here, if it belongs here")
        ]
    try:
        outbox = Outbox(path)
        try:
            standings = outbox.standings()
        finally:
            outbox.close()
    except (OutboxError, sqlite3.Error) as exc:
        return [red("deliveries", str(exc), "check the disk and the rights of the file")]
    return [
        _judge_standing(name, standings.get(name, Standing()), name in settings.receivers)
        for name in sorted({*standings, *settings.receivers})
    ]


def _judge_standing(receiver: str, standing: Standing, known: bool) -> Check:
    name = f"deliveries {receiver}"
    detail = f"{standing.pending} pending, {standing.undelivered} undelivered, {standing.delivered} delivered"
    if standing.disabled:
        return red(
            name,
            f"disabled: {standing.disabled}; {detail}",
            f"mend the receiver, then `parcelwatch deliveries resend --receiver {receiver}`",
        )
    if not known and standing.pending:
        return yellow(
            name, f"{detail}; no longer in the settings", "put it back, or let what is pending expire"
        )
    if standing.undelivered:
        return yellow(
            name,
            detail,
            f"`parcelwatch deliveries list --receiver {receiver} --state undelivered`, then `deliveries resend`",
        )
    waited = time.time() - standing.oldest_pending if standing.oldest_pending else 0.0
    if waited > LONG_PENDING:
        return yellow(
            name,
            f"{detail}, oldest for {waited / 60:.0f} min",
            f"`parcelwatch tell test {receiver}` says what it answers",
        )
    return green(name, detail)
