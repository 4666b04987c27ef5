"""Pseudonyms of one carrier's ids under one key: deterministic, so that they can be counted, joined and keyed by."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple, NoReturn
from zlib import crc32

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

#: Ids whose pseudonyms are remembered, by carrier: people act all day, a parcel is touched a few times in a while.
REMEMBERED = 1 << 16
REMEMBERED_PARCELS = 1 << 17

#: Of a parcel's number only so much is let out that neighbours can be told.
SERIALS = 1024
_S10 = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")
_NUMBER = re.compile(r"([0-9]{1,9})[^0-9]{0,8}$")

URLSAFE = bytes.maketrans(b"+/", b"-_")


def associated(kind: str, carrier: str) -> list[bytes]:
    """What a token is bound to besides its key."""
    # One string, not two: each costs a CMAC, 0.35 µs a token. No kind contains NUL, so kind and carrier
    # cannot run together.
    return [kind.encode() + b"\0" + carrier.encode()]


def _tokenizer(key_id: str, secret: bytes, kind: str, carrier: str) -> Callable[[str], str]:
    """A function from clear id to token; all it needs is local, since it runs for every id of every event."""
    prefix, encrypt, bound = key_id + ".", AESSIV(secret).encrypt, associated(kind, carrier)
    encode, urlsafe = b2a_base64, URLSAFE

    def token(clear: str) -> str:
        return prefix + encode(encrypt(clear.encode(), bound)).translate(urlsafe, b"=\n").decode()

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
