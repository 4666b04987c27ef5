"""The ids a source partition has seen lately, so that an event a sender repeats is counted once.

A window of the latest ids, kept in fixed segments: only the segments that grew are written at a checkpoint. Each id
carries its offset, so that after a crash an id is forgotten with the event that was not yet applied.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

from streams.stage import RESERVED, Store


class RecentIds:
    """The last `SEGMENT * SEGMENTS` ids of one source partition.

    Args:
        name: of the source partition, unique in the store.
        store: where segments are restored from.
        upto: ids at this offset or later are not restored.
    """

    SEGMENT = 1024
    SEGMENTS = 64

    def __init__(self, name: str, store: Store, upto: int) -> None:
        self._name = name
        self._hashes: dict[int, array[int]] = {}
        self._offsets: dict[int, array[int]] = {}
        self._seen: set[int] = set()
        self._last = 0
        self._grown: set[int] = set()
        for slot in range(self.SEGMENTS):
            raw = store.get(self._key(slot))
            if raw:
                self._restore(raw, upto)

    def __len__(self) -> int:
        return len(self._seen)

    def _key(self, number: int) -> bytes:
        return f"{RESERVED}ids/{self._name}/{number % self.SEGMENTS}".encode()

    def _restore(self, raw: bytes, upto: int) -> None:
        number = int.from_bytes(raw[:8], "big")
        half = 8 + (len(raw) - 8) // 2
        hashes, offsets = array("Q", raw[8:half]), array("Q", raw[half:])
        kept = [index for index, offset in enumerate(offsets) if offset < upto]
        self._hashes[number] = array("Q", [hashes[index] for index in kept])
        self._offsets[number] = array("Q", [offsets[index] for index in kept])
        self._seen.update(self._hashes[number])
        if kept:
            self._last = max(self._last, number)

    def repeats(self, event_id: str, offset: int) -> bool:
        """Whether the id was seen lately; when not, it is from now on."""
        digest = int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "big")
        if digest in self._seen:
            return True
        self._seen.add(digest)
        hashes = self._hashes.get(self._last)
        if hashes is None or len(hashes) >= self.SEGMENT:
            hashes = self._open()
        hashes.append(digest)
        self._offsets[self._last].append(offset)
        self._grown.add(self._last)
        return False

    def _open(self) -> array[int]:
        if self._last in self._hashes:
            self._last += 1
        old = self._last - self.SEGMENTS
        self._seen.difference_update(self._hashes.pop(old, ()))
        self._offsets.pop(old, None)
        self._offsets[self._last] = array("Q")
        hashes = self._hashes[self._last] = array("Q")
        return hashes

    def take_grown(self) -> list[tuple[bytes, bytes]]:
        """Segments that changed since the last call, encoded."""
        grown, self._grown = sorted(self._grown)[-self.SEGMENTS :], set()
        return [
            (self._key(n), n.to_bytes(8, "big") + self._hashes[n].tobytes() + self._offsets[n].tobytes())
            for n in grown
            if n in self._hashes
        ]
