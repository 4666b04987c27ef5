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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from secrets import token_bytes
from typing import Literal, NamedTuple, NoReturn
from zlib import crc32

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV

from streams.privacy.keyfile import Key, KeyringError, Keys, RingFile, check_carrier, read_ring, write_ring

Kind = Literal["staff", "parcel"]
KINDS: tuple[Kind, ...] = ("staff", "parcel")

SIV_KEY_SIZE = 64
SEAL_KEY_SIZE = 32
NONCE_SIZE = 12
#: Ids whose pseudonyms are remembered, by carrier: people act all day, a parcel is touched a few times in a while.
REMEMBERED = 1 << 16
REMEMBERED_PARCELS = 1 << 17

#: Of a parcel's number only so much is let out that neighbours can be told.
SERIALS = 1024
_S10 = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")
_NUMBER = re.compile(r"([0-9]{1,9})[^0-9]{0,8}$")

_URLSAFE = bytes.maketrans(b"+/", b"-_")
#: 16 bytes of synthetic IV at least: 22 base64 characters.
_TOKEN = re.compile(r"([a-z0-9]{1,8})\.([A-Za-z0-9_-]{22,})")
_SEALED = re.compile(rb"([a-z0-9]{1,8})\.")


def looks_like_token(text: str) -> bool:
    """Whether the text has a token's shape; says nothing about whether any key opens it."""
    return _TOKEN.fullmatch(text) is not None


def _associated(kind: str, carrier: str) -> list[bytes]:
    # One string, not two: each costs a CMAC, 0.35 µs a token. No kind contains NUL, so kind and carrier
    # cannot run together.
    return [kind.encode() + b"\0" + carrier.encode()]


def _tokenizer(key_id: str, secret: bytes, kind: str, carrier: str) -> Callable[[str], str]:
    """A function from clear id to token; all it needs is local, since it runs for every id of every event."""
    prefix, encrypt, associated = key_id + ".", AESSIV(secret).encrypt, _associated(kind, carrier)
    encode, urlsafe = b2a_base64, _URLSAFE

    def token(clear: str) -> str:
        return prefix + encode(encrypt(clear.encode(), associated)).translate(urlsafe, b"=\n").decode()

    return token


class ParcelMark(NamedTuple):
    """What is let out of a parcel id.

    Attributes:
        token: its pseudonym.
        hash: CRC-32 of the token, which says its partition.
        serial: its number modulo 1024 with a secret of the key added, so that neighbours can be told and nothing
            else; -1 when it ends in no number.
    """

    token: str
    hash: int
    serial: int


def _number(clear: str) -> int:
    """The running number in an id; of a UPU S10 id without its check digit. -1 when there is none.

    >>> _number("EE123456785VN"), _number("VN0000012"), _number("none")
    (12345678, 12, -1)
    """
    if _S10.fullmatch(clear):
        return int(clear[2:10])
    found = _NUMBER.search(clear)
    return int(found[1]) if found else -1


def network(ip: str) -> str:
    """The network an address belongs to, IPv4 /24 or IPv6 /48; text that is no address as it is.

    >>> network("10.2.3.4"), network("2001:db8:1:2::7"), network("depot 7")
    ('10.2.3.0', '2001:db8:1::', 'depot 7')
    """
    try:
        size = 24 if ip_address(ip).version == 4 else 48
        return str(ip_network(f"{ip}/{size}", strict=False).network_address)
    except ValueError:
        return ip


class CarrierCipher:
    """Turns one carrier's ids into pseudonyms under its active key.

    Attributes:
        staff: token of a staff id.
        parcel: token of a parcel id, or of a ticket's. mark: what is let out of a parcel id.
        device, place: 32-bit pseudonyms, never 0, of a device and of the network of an IP address.

    All raise UnicodeEncodeError for text that is not valid Unicode (lone surrogates).
    """

    __slots__ = ("_offset", "_small", "device", "mark", "parcel", "place", "staff")

    staff: Callable[[str], str]
    parcel: Callable[[str], str]
    mark: Callable[[str], ParcelMark]
    device: Callable[[str], int]
    place: Callable[[str], int]

    def __init__(self, carrier: str, key_id: str, secret: bytes) -> None:
        self._small = _tokenizer(key_id, secret, "mark", carrier)
        self._offset = crc32(self._small("serial").encode())
        self.staff = lru_cache(REMEMBERED)(_tokenizer(key_id, secret, "staff", carrier))
        self.parcel = _tokenizer(key_id, secret, "parcel", carrier)
        self.mark = lru_cache(REMEMBERED_PARCELS)(self._mark)
        self.device = lru_cache(REMEMBERED)(self._device)
        self.place = lru_cache(REMEMBERED)(self._place)

    def _mark(self, clear: str) -> ParcelMark:
        token, number = self.parcel(clear), _number(clear)
        return ParcelMark(
            token, crc32(token.encode()), -1 if number < 0 else (number + self._offset) % SERIALS
        )

    def _device(self, clear: str) -> int:
        return crc32(self._small("device " + clear).encode()) or 1

    def _place(self, ip: str) -> int:
        return crc32(self._small("place " + network(ip)).encode()) or 1

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cipher holds a key and is not pickled; load the key ring where it is needed")


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
        if b2a_base64(sealed).translate(_URLSAFE, b"=\n").decode() == text:
            cipher = AESSIV(keys.keys[key_id].secret)
            for kind in KINDS:
                try:
                    return kind, cipher.decrypt(sealed, _associated(kind, carrier)).decode()
                except InvalidTag:
                    continue
        raise KeyringError(
            f"key {key_id!r} of carrier {carrier!r} did not make this token; it was altered or cut "
            f"short, or is another "
            "carrier's, or from another key ring"
        )

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
