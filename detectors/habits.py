"""What detectors share about a person's habits: what he takes, how high his days go, what he is used to."""

from __future__ import annotations

import msgspec

from detectors.base import EXPORTS, Touch

#: Keys that are remembered, and days over which the rate of new ones is taken.
MOST_KNOWN, MEMORY = 12, 28
#: Worked days until something under which a case was told becomes familiar all the same.
PROBATION = 5


def taken(touch: Touch) -> int:
    """Records a touch takes beyond explained work: rows of an export or list, or 1 for a parcel new to the person.

    >>> from detectors.testing import at, touch
    >>> taken(touch(at(), "export", records=9)), taken(touch(at(), parcel="k1.p")), taken(touch(at(), "login"))
    (9, 1, 0)
    """
    if touch.explanation:
        return 0
    if touch.action in EXPORTS or not touch.parcel:
        return touch.records
    return 0 if touch.seen else 1


def second(past: list[int]) -> int:
    """The second highest, so that one odd day hides nothing; 0 without history."""
    return sorted(past)[-2] if len(past) > 1 else 0


class Familiar(msgspec.Struct, array_like=True):
    """The devices, networks or sites one account is used to.

    Attributes:
        known: keys, latest used last.
        fresh: key met for the first time → finished days until it is known.
        days: finished days that had any.
        rate: share of them, faded, that had a new one.
        met, new: whether today had any, and a new one.
    """

    known: list[int] = []
    fresh: dict[int, int] = {}
    days: int = 0
    rate: float = 0.0
    met: bool = False
    new: bool = False

    def meet(self, key: int) -> bool:
        """Whether a key is not familiar.

        >>> devices = Familiar()
        >>> devices.meet(7), devices.close_day(), devices.meet(7)
        (True, None, False)
        """
        self.met = True
        known = self.known
        if key in known:
            if known[-1] != key:
                known.remove(key)
                known.append(key)
            return False
        if key not in self.fresh:
            self.new = True
            self.fresh[key] = 1
            if len(self.fresh) > MOST_KNOWN:
                del self.fresh[next(iter(self.fresh))]
        return True

    def close_day(self, told: bool = False) -> None:
        """The local day is over; `told`: what was new today was under suspicion and is not familiar yet."""
        if self.met:
            # On the first day everything is new, and says nothing of how often something is.
            new = self.new and self.days > 0
            self.days += 1
            self.rate += (new - self.rate) / min(self.days, MEMORY)
        waits = {key: PROBATION if told and wait == 1 else wait - 1 for key, wait in self.fresh.items()}
        self.known = [*self.known, *(key for key, wait in waits.items() if not wait)][-MOST_KNOWN:]
        self.fresh = {key: wait for key, wait in waits.items() if wait}
        self.met = self.new = False
