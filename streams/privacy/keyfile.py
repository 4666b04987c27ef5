"""The key ring's file: TOML, mode 0600, replaced in one step.

```toml
version = 1

[seal]                          # the platform's own keys, AES-256-GCM-SIV
active = "s1"                   # new values are sealed with this one
[seal.keys."s1"]
created = 2026-11-24T08:00:00Z
secret = "..."                  # base64 of 32 bytes

[carriers."vnx"]                # one table a carrier, AES-SIV
active = "k2"                   # new tokens are made with this one
[carriers."vnx".keys."k1"]      # kept: its tokens can still be revealed
created = 2026-11-24T08:00:00Z
secret = "..."                  # base64 of 64 bytes
```
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import msgspec

KEY_ID = re.compile(r"[a-z0-9]{1,8}")
LONGEST_CARRIER = 64


class KeyringError(Exception):
    """A key ring, token or sealed value that is of no use: what, where, the remedy; never a key or an id."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One secret and when it was made. Shows neither itself nor its secret."""

    created: datetime
    secret: bytes

    def __repr__(self) -> str:
        return f"<Key of {self.created:%Y-%m-%d}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("created", self.created)]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


class Keys(msgspec.Struct, forbid_unknown_fields=True):
    """All keys of one owner by key id, in the order they were made, and the id of the one in use."""

    active: str
    keys: dict[str, Key]


class RingFile(msgspec.Struct, forbid_unknown_fields=True):
    """The file as a whole."""

    version: int
    seal: Keys
    carriers: dict[str, Keys] = msgspec.field(default_factory=dict)


def check_carrier(carrier: str) -> None:
    """Raise KeyringError for what cannot be a carrier code: empty, over 64 characters, or not printable."""
    if not carrier or len(carrier) > LONGEST_CARRIER or not carrier.isprintable():
        raise KeyringError(
            f"{carrier[:LONGEST_CARRIER]!r} cannot be a carrier code; use 1 to {LONGEST_CARRIER} printable "
            "characters, spelled as in the carrier's events"
        )


def read_ring(path: Path, *, seal_size: int, carrier_size: int) -> tuple[RingFile, bytes]:
    """A ring and the digest of the file it came from. Raises KeyringError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            content = file.read()
    except FileNotFoundError:
        raise KeyringError(f"no key ring at {path}; make one with `parcelwatch keys init`") from None
    except OSError as exc:
        raise KeyringError(f"cannot read the key ring at {path}: {exc.strerror}") from None
    if mode & 0o077:
        raise KeyringError(
            f"others than its owner may use the key ring at {path} (mode {mode:04o}); run `chmod 600 {path}`"
        )
    try:
        ring = msgspec.convert(tomllib.loads(content.decode()), RingFile)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        reason = "not UTF-8" if isinstance(exc, UnicodeDecodeError) else str(exc)
        raise _unusable(path, reason) from None
    if ring.version != 1:
        raise _unusable(
            path, f"version {ring.version} is not known to this parcelwatch, which reads version 1"
        )
    _check_keys(path, "seal", ring.seal, seal_size)
    for carrier, keys in ring.carriers.items():
        _check_keys(path, f"carriers.{carrier}", keys, carrier_size)
    return ring, sha256(content).digest()


def write_ring(path: Path, ring: RingFile, known: bytes | None) -> bytes:
    """Write a ring in place of the file whose digest is `known` (None: where none is); gives the new digest.

    Raises KeyringError.
    """
    content = _to_toml(ring).encode()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with mode 0600, and in the same folder so that the rename is atomic.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            if known is None:
                os.link(temporary, path)
            elif not path.exists() or sha256(path.read_bytes()).digest() != known:
                raise KeyringError(
                    f"the key ring at {path} was changed by someone else meanwhile; run the command again"
                )
            else:
                os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise KeyringError(
            f"{path} exists; a key ring is never overwritten, since tokens made with its keys would lose "
            "their meaning. Move it away if it is truly not wanted"
        ) from None
    except OSError as exc:
        raise KeyringError(f"cannot write the key ring at {path}: {exc.strerror}") from None
    return sha256(content).digest()


def _unusable(path: Path, reason: str) -> KeyringError:
    return KeyringError(f"the key ring at {path} cannot be used: {reason}. Restore it from its backup")


def _check_keys(path: Path, where: str, keys: Keys, size: int) -> None:
    if keys.active not in keys.keys:
        raise _unusable(path, f"{where}.active names key {keys.active!r}, which is not there")
    for key_id, key in keys.keys.items():
        if not KEY_ID.fullmatch(key_id):
            raise _unusable(path, f"{where}.keys has an id that is not 1 to 8 of a-z 0-9")
        if len(key.secret) != size:
            raise _unusable(path, f"{where}.keys.{key_id}.secret has {len(key.secret)} bytes, not {size}")


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped; ensure_ascii would write surrogates.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _to_toml(ring: RingFile) -> str:
    owners = [("seal", ring.seal)]
    owners += [(f"carriers.{_quoted(carrier)}", keys) for carrier, keys in ring.carriers.items()]
    lines = [
        "# parcelwatch key ring. Whoever reads this can name the person behind every token.",
        f"version = {ring.version}",
    ]
    for table, owner in owners:
        lines += ["", f"[{table}]", f"active = {_quoted(owner.active)}"]
        for key_id, key in owner.keys.items():
            created = key.created.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            lines += [f"[{table}.keys.{_quoted(key_id)}]", f"created = {created}"]
            lines += [f'secret = "{b64encode(key.secret).decode()}"']
    return "\n".join(lines) + "\n"
