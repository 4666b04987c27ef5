"""The ids a source partition has seen lately, so that an event a sender repeats is counted once.

A window of the latest ids, kept in fixed segments: only the segments that grew are written at a checkpoint, as digests,
since an id may say more than it should. Each id carries its offset, so that after a crash an id is forgotten with the
event that was not yet applied.
"""

from __future__ import annotations

from array import array
from zlib import crc32

from streams.flow.stage import RESERVED, Store


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
    #: Places segments are kept in: twice the window, so that a checkpoint that was cut short has overwritten
    #: nothing that the one before it still needs.
    SLOTS = 2 * SEGMENTS

    def __init__(self, name: str, store: Store, upto: int) -> None:
        self._name = name
        self._ids: dict[int, list[str]] = {}
        self._offsets: dict[int, array[int]] = {}
        self._seen: set[str] = set()
        #: Digests by segment, from before the restart; they leave the window as new segments come.
        self._restored: dict[int, array[int]] = {}
        self._members: dict[int, set[int]] = {}
        self._grown: set[int] = set()
        for slot in range(self.SLOTS):
            raw = store.get(self._key(slot))
            if raw:
                self._restore(raw, upto)
        # The last segment is filled up where it was left: which ids the window holds is the log's affair, not
        # that of how often the process was started.
        self._last = max(self._restored, default=0)
        for number in [n for n in self._restored if n <= self._last - self.SEGMENTS]:
            self._forget(number)
        self._now = self._ids[self._last] = list[str]()
        self._now_offsets = self._offsets.setdefault(self._last, array("Q"))

    def __len__(self) -> int:
        return sum(map(len, self._offsets.values()))

    def _key(self, number: int) -> bytes:
        return f"{RESERVED}ids/{self._name}/{number % self.SLOTS}".encode()

    def _restore(self, raw: bytes, upto: int) -> None:
        number = int.from_bytes(raw[:8], "big")
        half = 8 + (len(raw) - 8) // 2
        digests, offsets = array("Q", raw[8:half]), array("Q", raw[half:])
        kept = sum(offset < upto for offset in offsets)
        if kept:
            self._restored[number], self._offsets[number] = digests[:kept], offsets[:kept]
            self._members[number] = set(digests[:kept])

    def repeats(self, event_id: str, offset: int) -> bool:
        """Whether the id was seen lately; when not, it is from now on."""
        seen = self._seen
        if event_id in seen:
            return True
        if self._members:
            one = digest(event_id)
            if any(one in digests for digests in self._members.values()):
                return True
        seen.add(event_id)
        if len(self._now_offsets) >= self.SEGMENT:
            self._open()
            seen.add(event_id)
        self._now.append(event_id)
        self._now_offsets.append(offset)
        self._grown.add(self._last)
        return False

    def _open(self) -> None:
        self._last += 1
        self._forget(self._last - self.SEGMENTS)
        self._now = self._ids[self._last] = list[str]()
        self._now_offsets = self._offsets[self._last] = array("Q")

    def _forget(self, number: int) -> None:
        self._seen.difference_update(self._ids.pop(number, ()))
        for held in (self._offsets, self._restored, self._members):
            held.pop(number, None)

    def take_grown(self) -> list[tuple[bytes, bytes]]:
        """Segments that changed since the last call, encoded."""
        grown, self._grown = sorted(self._grown & self._offsets.keys()), set()
        return [(self._key(number), self._encode(number)) for number in grown]

    def _encode(self, number: int) -> bytes:
        digests = self._restored.get(number, array("Q")) + array("Q", map(digest, self._ids[number]))
        return number.to_bytes(8, "big") + digests.tobytes() + self._offsets[number].tobytes()
