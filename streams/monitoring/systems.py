"""Which of the carriers' systems have been heard of lately, so that the silence of one shows."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds after which a system that said nothing is no longer counted.
WINDOW = 3600.0
#: Systems remembered at the most: their names are the carriers' to choose.
MOST = 1_000


class SystemsHeard:
    """Counts the systems (`system` of access events, each carrier's its own) that were heard of within an hour.

    Args:
        clock: monotonic seconds.

    >>> now = [0.0]
    >>> heard = SystemsHeard(lambda: now[0])
    >>> heard.note("vnx", "tms-web"); heard.note("vnx", "crm"); heard.count()
    2.0
    >>> now[0] = 3000.0; heard.note("vnx", "crm")
    >>> now[0] = 4000.0; heard.count()
    1.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: dict[tuple[str, str], float] = {}

    def note(self, carrier: str, system: str) -> None:
        """A system was heard of now; called once a batch."""
        key = (carrier, system)
        if key in self._at or len(self._at) < MOST:
            self._at[key] = self._clock()

    def count(self) -> float:
        """How many were heard of within the window; those silent for longer are forgotten."""
        since = self._clock() - WINDOW
        self._at = {key: at for key, at in self._at.items() if at >= since}
        return float(len(self._at))
