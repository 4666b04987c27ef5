"""What the demo plays, and what came of it held against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from streams.simulator import SimulationConfig
from streams.simulator.clock import DAY, Clock

#: Leaks that the demo plants, some more than once.
LEAKS = ("bulk_read", "bulk_export", "off_hours", ("unrelated_parcel", 2), "enumeration")
#: How long after a leak's end an alert is still about it, ms: a late reason is waited for a day.
GRACE = 2 * DAY


class Plan(NamedTuple):
    """What is played.

    Attributes:
        config: the carrier; its leaks fall on the live days.
        before: ordinary days that come first, at full speed.
        live: days in slow motion. One more follows at full speed: some leaks are certain only a day later.
        speed: event seconds a second on the live days.
    """

    config: SimulationConfig
    before: int
    live: int
    speed: float

    @classmethod
    def make(cls, *, staff: int, days: int, seed: int, speed: float, before: int) -> Plan:
        """A plan of so many live days. Raises SimulationError for what cannot be simulated."""
        config = SimulationConfig(
            staff=staff,
            days=before + days + 1,
            seed=seed,
            leaks=LEAKS,
            leak_days=(before, before + days - 1),
        )
        return cls(config, before, days, speed)

    def midnight(self, day: int) -> int:
        """When a day (from 0) begins, ms since the epoch."""
        return Clock(self.config).midnight(day)

    @property
    def starts(self) -> int:
        """When the live days begin, ms since the epoch."""
        return self.midnight(self.before)

    @property
    def ends(self) -> int:
        """When the live days end, ms since the epoch."""
        return self.midnight(self.before + self.live)


class Seen(NamedTuple):
    """An alert as it came by on the alerts topic.

    Attributes:
        id: of this message (`ce_id`).
        event: the OCSF finding.
        triggered: when the broker had the record that triggered it, ms; 0 when time alone did.
        recorded: when the alert was given to the broker, ms.
    """

    id: str
    event: dict[str, Any]
    triggered: int
    recorded: int

    @property
    def actor(self) -> str:
        """Token of the person."""
        return str(self.event["actor"]["user"]["uid"])


@dataclass
class Outcome:
    """What a demo showed.

    Attributes:
        seen: every alert message.
        delivered: when the webhook receiver had each message, ms, by id.
        unsigned: requests whose signature was wrong.
        sent: records by topic.
        counts: what the worker says became of them, by topic: received, admitted, rejected, duplicate.
        rate: records a second through all stages while the days before were caught up with.
    """

    seen: list[Seen] = field(default_factory=list)
    delivered: dict[str, int] = field(default_factory=dict)
    unsigned: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    rate: float = 0.0


class Judged(NamedTuple):
    """What was planted, and the alerts on it.

    Attributes:
        planted: a line of the truth.
        alerts: messages about that person from the leak's start until it is certain, in event time.
    """

    planted: Mapping[str, Any]
    alerts: list[Seen]


def judge(
    truth: Iterable[Mapping[str, Any]], seen: Iterable[Seen], tokens: Mapping[str, str]
) -> tuple[list[Judged], list[Seen]]:
    """Alerts by what was planted, and first messages of episodes that nothing planted explains.

    Args:
        truth: lines of the simulator; those about everybody (`*`) are left out.
        seen: alert messages.
        tokens: token by staff id.
    """
    by_actor: dict[str, list[Seen]] = {}
    for alert in sorted(seen, key=lambda alert: (alert.event["time"], alert.event["metadata"]["sequence"])):
        by_actor.setdefault(alert.actor, []).append(alert)
    judged = []
    explained: set[str] = set()
    for line in truth:
        if line["actor"] == "*":
            continue
        start = datetime.fromisoformat(line["start"]).timestamp() * 1000
        end = datetime.fromisoformat(line["end"]).timestamp() * 1000 + GRACE
        alerts = [
            alert
            for alert in by_actor.get(tokens[line["actor"]], ())
            if alert.event["end_time"] >= start and alert.event["time"] <= end
        ]
        explained.update(alert.event["finding_info"]["uid"] for alert in alerts)
        judged.append(Judged(line, alerts))
    others = [
        alert
        for alerts in by_actor.values()
        for alert in alerts
        if alert.event["activity_id"] == 1 and alert.event["finding_info"]["uid"] not in explained
    ]
    return judged, others
