"""Pseudonyms: who a person or parcel is, only the holder of the carrier's key can say (design law 4).

A token is `<key id>.<base64url, no padding>` of AES-SIV (RFC 5297, 512-bit key) over the clear id, with kind
and carrier as associated data. The same id always gives the same token, so tokens can be counted, joined and
keyed by; a token of one carrier or kind never decrypts as another's. A new key gives new tokens: what was
learnt under the old ones stays with them.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Literal, NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV

from streams.privacy.cipher import URLSAFE, CarrierCipher, associated
from streams.privacy.keyfile import Key, KeyringError, Keys, RingFile, check_carrier, read_ring, write_ring

Kind = Literal["staff", "parcel"]
KINDS: tuple[Kind, ...] = ("staff", "parcel")

SIV_KEY_SIZE = 64
SEAL_KEY_SIZE = 32
NONCE_SIZE = 12
#: 16 bytes of synthetic IV at least: 22 base64 characters.
_TOKEN = re.compile(r"([a-z0-9]{1,8})\.([A-Za-z0-9_-]{22,})")
_SEALED = re.compile(rb"([a-z0-9]{1,8})\.")


def looks_like_token(text: str) -> bool:
    """Whether the text has a token's shape; says nothing about whether any key opens it."""
    return _TOKEN.fullmatch(text) is not None


class KeyInfo(NamedTuple):
    """What may be told of a key.

    Attributes:
        carrier: carrier code, or None for the platform's sealing key.
        key_id: id that tokens carry.
        created: when it was made.
        active: whether new tokens are made with it.
    """

    carrier: str | None
    key_id: str
    created: datetime
    active: bool


class Keyring:
    """The keys of every carrier, and the platform's own key that seals rejected values.

    `Keyring()` is a new ring with a fresh sealing key and no carriers; `Keyring.load` reads one from its
    file, whose layout `streams.privacy.keyfile` describes.
    """

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self._file = RingFile(
            version=1, seal=Keys(active="s1", keys={"s1": Key(now, token_bytes(SEAL_KEY_SIZE))})
        )
        self._digest: bytes | None = None

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Read a ring.

        Raises:
            KeyringError: no such file, a file that group or others may read, or one that is not a key ring;
                says which and how to mend it.
        """
        ring = cls.__new__(cls)
        ring._file, ring._digest = read_ring(path, seal_size=SEAL_KEY_SIZE, carrier_size=SIV_KEY_SIZE)
        return ring

    def save(self, path: Path) -> None:
        """Write the ring (mode 0600, in one atomic step).

        Raises:
            KeyringError: the file there is not the one this ring was loaded from (overwriting it would lose
                its keys and with them the meaning of every token made with them), or it cannot be written.
        """
        self._digest = write_ring(path, self._file, self._digest)

    @property
    def carriers(self) -> tuple[str, ...]:
        """Carrier codes that have a key, sorted."""
        return tuple(sorted(self._file.carriers))

    def __contains__(self, carrier: object) -> bool:
        return carrier in self._file.carriers

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._file.carriers)} carriers>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key ring is not pickled; load it from its file where it is needed")

    def add_carrier(self, carrier: str) -> str:
        """Make the first key of a carrier; gives its id.

        Raises:
            KeyringError: the carrier has keys already, or its code cannot be used.
        """
        check_carrier(carrier)
        if carrier in self:
            raise KeyringError(
                f"carrier {carrier!r} has keys already; to replace its active key run "
                f"`parcelwatch keys rotate {carrier}`"
            )
        self._file.carriers[carrier] = Keys(
            active="k1", keys={"k1": Key(datetime.now(UTC), token_bytes(SIV_KEY_SIZE))}
        )
        return "k1"

    def rotate(self, carrier: str) -> str:
        """Make a new active key for a carrier; gives its id. Old keys stay, so old tokens can still be
        revealed.

        Raises:
            KeyringError: unknown carrier.
        """
        return _rotate(self._keys(carrier), "k", SIV_KEY_SIZE)

    def rotate_seal(self) -> str:
        """Make a new active sealing key; gives its id. Old ones stay for unsealing."""
        return _rotate(self._file.seal, "s", SEAL_KEY_SIZE)

    def describe(self) -> Iterator[KeyInfo]:
        """Every key's id and age, the sealing keys first; never a key."""
        rings: list[tuple[str | None, Keys]] = [(None, self._file.seal)]
        rings += [(carrier, self._file.carriers[carrier]) for carrier in self.carriers]
        for carrier, ring in rings:
            for key_id, key in ring.keys.items():
                yield KeyInfo(carrier, key_id, key.created, key_id == ring.active)

    def cipher(self, carrier: str) -> CarrierCipher:
        """The carrier's ids into tokens, under its active key.

        Raises:
            KeyringError: unknown carrier.
        """
        keys = self._keys(carrier)
        return CarrierCipher(carrier, keys.active, keys.keys[keys.active].secret)

    def reveal(self, carrier: str, token: str) -> tuple[Kind, str]:
        """Kind and clear id behind a token.

        Raises:
            KeyringError: unknown carrier or key id, no token at all, or one that none of the carrier's kinds
                made; the text holds neither token nor clear id.
        """
        keys = self._keys(carrier)
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise KeyringError("that is no token; a token is `<key id>.<22 or more of A-Z a-z 0-9 - _>`")
        key_id, text = match.groups()
        if key_id not in keys.keys:
            raise KeyringError(
                f"carrier {carrier!r} has no key {key_id!r} (it has {', '.join(keys.keys)}); "
                "the token is another carrier's, or from another key ring"
            )
        sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) % 4 != 1 else b""
        # Base64's last character has spare bits; only the one spelling that was handed out is a token.
        if b2a_base64(sealed).translate(URLSAFE, b"=\n").decode() == text:
            cipher = AESSIV(keys.keys[key_id].secret)
            for kind in KINDS:
                try:
                    return kind, cipher.decrypt(sealed, associated(kind, carrier)).decode()
                except InvalidTag:
                    continue
        raise KeyringError(
            f"key {key_id!r} of carrier {carrier!r} did not make this token; it was altered or cut "
            f"short, or is another "
            "carrier's, or from another key ring"
        )

    def staff(self, carrier: str, given: str) -> str:
        """Token, under the active key, of a staff member given as any of his tokens or as clear id.

        Raises:
            KeyringError: unknown carrier, or a token that is none of its staff; the text holds neither token
                nor id.
        """
        if looks_like_token(given):
            kind, given = self.reveal(carrier, given)
            if kind != "staff":
                raise KeyringError(
                    f"that is the token of a {kind}; give actor.user.uid of the alert, or the staff id"
                )
        return self.cipher(carrier).staff(given)

    def seal(self, raw: bytes) -> bytes:
        """Encrypt and authenticate bytes with the platform's key (AES-256-GCM-SIV, random nonce)."""
        active = self._file.seal.active
        nonce, prefix = token_bytes(NONCE_SIZE), active.encode() + b"."
        return prefix + nonce + AESGCMSIV(self._file.seal.keys[active].secret).encrypt(nonce, raw, prefix)

    def unseal(self, sealed: bytes) -> bytes:
        """The bytes that `seal` was given.

        Raises:
            KeyringError: unknown sealing key, or bytes that no sealing key made.
        """
        match = _SEALED.match(sealed)
        if match is None or len(sealed) < match.end() + NONCE_SIZE:
            raise KeyringError("that is no sealed value; it was altered or cut short")
        key = self._file.seal.keys.get(match[1].decode())
        if key is None:
            raise KeyringError(
                f"no sealing key {match[1].decode()!r} in the key ring (it has "
                f"{', '.join(self._file.seal.keys)}); "
                "the value was sealed with another key ring"
            )
        start = match.end()
        try:
            return AESGCMSIV(key.secret).decrypt(
                sealed[start : start + NONCE_SIZE], sealed[start + NONCE_SIZE :], match[0]
            )
        except InvalidTag:
            raise KeyringError(
                "the sealed value was altered or cut short, or is from another key ring"
            ) from None

    def _keys(self, carrier: str) -> Keys:
        try:
            return self._file.carriers[carrier]
        except KeyError:
            raise KeyringError(
                f"no key for carrier {carrier!r}; add it with `parcelwatch keys add {carrier}`"
            ) from None


def _rotate(keys: Keys, letter: str, size: int) -> str:
    number = len(keys.keys) + 1
    while f"{letter}{number}" in keys.keys:
        number += 1
    keys.active = f"{letter}{number}"
    keys.keys[keys.active] = Key(datetime.now(UTC), token_bytes(size))
    return keys.active
