"""Where a source partition stands: what was admitted, how far event time has come, what became of every record."""

from __future__ import annotations

import msgspec

from streams.admit.validate import DAY


class Progress(msgspec.Struct, array_like=True):
    """Where a source partition stands, and every record accounted for: exactly once, since it is state.

    Attributes:
        next: offset admitted next.
        st: running maximum of event time, ms.
        ahead: event time of the last record, when it jumped ahead of `st` by more than a day, else 0.
        counts: received, admitted, duplicate, rejected/REASON, corrected/CORRECTION; beside them ignored/REASON.
    """

    next: int = 0
    st: int = 0
    ahead: int = 0
    counts: dict[str, int] = {}

    def advance(self, time: int, arrived: int) -> int:
        """Order time of a record: the running maximum of event time, never ahead of arrival.

        One wrong clock must not hold the merge up for all: a jump of more than a day counts only when the next
        record stands there too.

        Args:
            time: event time, ms.
            arrived: when the broker received the record, ms.
        """
        if arrived < time:
            time = arrived
        if time > self.st:
            if self.st and time - self.st > DAY and abs(time - self.ahead) > DAY:
                self.ahead = time
                return self.st
            self.st = time
        self.ahead = 0
        return self.st
