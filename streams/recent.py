"""The ids a source partition has seen lately, so that an event a sender repeats is counted once.

A window of the latest ids, kept in fixed segments: only the segments that grew are written at a checkpoint, as digests,
since an id may say more than it should. Each id carries its offset, so that after a crash an id is forgotten with the
event that was not yet applied.
"""

from __future__ import annotations

from array import array
from zlib import crc32

from streams.stage import RESERVED, Store


def digest(event_id: str) -> int:
    """64 bits of an id: its CRC forwards and backwards.

    At a fifth of a cryptographic hash's cost; ids that differ within four bytes, as counters do, never collide.
    """
    raw = event_id.encode()
    return crc32(raw) << 32 | crc32(raw[::-1])


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
        self._ids: dict[int, list[str]] = {}
        self._offsets: dict[int, list[int]] = {}
        self._seen: set[str] = set()
        #: Digests by segment, from before the restart; they leave the window as new segments come.
        self._restored: dict[int, set[int]] = {}
        self._grown: set[int] = set()
        for slot in range(self.SEGMENTS):
            raw = store.get(self._key(slot))
            if raw:
                self._restore(raw, upto)
        self._last = max(self._restored, default=-1)
        self._open()

    def __len__(self) -> int:
        return len(self._seen) + sum(map(len, self._restored.values()))

    def _key(self, number: int) -> bytes:
        return f"{RESERVED}ids/{self._name}/{number % self.SEGMENTS}".encode()

    def _restore(self, raw: bytes, upto: int) -> None:
        half = 8 + (len(raw) - 8) // 2
        digests, offsets = array("Q", raw[8:half]), array("Q", raw[half:])
        kept = {one for one, offset in zip(digests, offsets, strict=True) if offset < upto}
        if kept:
            self._restored[int.from_bytes(raw[:8], "big")] = kept

    def repeats(self, event_id: str, offset: int) -> bool:
        """Whether the id was seen lately; when not, it is from now on."""
        seen = self._seen
        if event_id in seen:
            return True
        if self._restored:
            one = digest(event_id)
            if any(one in digests for digests in self._restored.values()):
                return True
        seen.add(event_id)
        if len(self._now) >= self.SEGMENT:
            self._open()
        self._now.append(event_id)
        self._now_offsets.append(offset)
        return False

    def _open(self) -> None:
        self._last += 1
        old = self._last - self.SEGMENTS
        self._seen.difference_update(self._ids.pop(old, ()))
        self._offsets.pop(old, None)
        self._restored.pop(old, None)
        self._now = self._ids[self._last] = list[str]()
        self._now_offsets = self._offsets[self._last] = list[int]()
        self._grown.add(self._last)

    def take_grown(self) -> list[tuple[bytes, bytes]]:
        """Segments that changed since the last call, encoded."""
        grown = [number for number in sorted(self._grown) if self._ids.get(number)]
        self._grown = {self._last}
        return [
            (
                self._key(number),
                number.to_bytes(8, "big")
                + array("Q", map(digest, self._ids[number])).tobytes()
                + array("Q", self._offsets[number]).tobytes(),
            )
            for number in grown
        ]
