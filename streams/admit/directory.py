"""The staff directory: a broadcast table every worker holds whole, and what it says of a person at admission."""

from __future__ import annotations

from detectors.base import Person
from streams.admit.validate import RefusalError, decode
from streams.flow.events import StaffRecord
from streams.privacy.cipher import CarrierCipher
from streams.privacy.tokens import Keyring


class Directory:
    """Who works where, by carrier and clear staff id; hands out people with tokens for ids.

    Args:
        keys: the key ring; people of carriers without a key are never asked for.
    """

    #: Unknown people kept; beyond it all are forgotten and made anew as they come.
    MOST_STRANGERS = 200_000

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._records: dict[tuple[str, str], StaffRecord] = {}
        #: People made so far; look here first, then ask `person`.
        self.people: dict[tuple[str, str], Person] = {}
        self._ciphers: dict[str, CarrierCipher] = {}

    def __len__(self) -> int:
        return len(self._records)

    def cipher(self, carrier: str) -> CarrierCipher:
        """The carrier's cipher.

        Raises:
            RefusalError: unknown_carrier, when there is no key.
        """
        cipher = self._ciphers.get(carrier)
        if cipher is None:
            if carrier not in self._keys:
                raise RefusalError("unknown_carrier", "no key for this carrier code", "$.carrier")
            cipher = self._ciphers[carrier] = self._keys.cipher(carrier)
        return cipher

    def load(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record of the staff-directory topic; a null value removes the person its key names.

        Raises:
            RefusalError: when it cannot be read; the table is left as it was.
        """
        if value is None:
            carrier, _, actor = (key or b"").decode(errors="replace").partition("/")
            self._records.pop((carrier, actor), None)
            self.people.pop((carrier, actor), None)
            return
        record = decode(StaffRecord, value, [])
        self.cipher(record.carrier)
        ref = (record.carrier, record.actor)
        self._records[ref] = record
        self.people.pop(ref, None)

    def person(self, carrier: str, actor: str) -> Person:
        """The person as known now; `status` is empty when the directory does not know him.

        Raises:
            RefusalError: unknown_carrier.
        """
        person = self.people.get((carrier, actor))
        return person if person is not None else self._make((carrier, actor))

    def _make(self, ref: tuple[str, str]) -> Person:
        carrier, actor = ref
        cipher = self.cipher(carrier)
        record = self._records.get(ref)
        if record is None:
            if len(self.people) - len(self._records) >= self.MOST_STRANGERS:
                self.people.clear()
            person = self.people[ref] = Person(cipher.staff(actor), carrier)
            return person
        person = self.people[ref] = Person(
            cipher.staff(actor),
            carrier,
            record.role,
            record.team,
            record.site,
            cipher.staff(record.manager) if record.manager else "",
            record.status,
            record.service,
            tuple(record.shifts),
        )
        return person
