"""Holds what a method said against what was injected."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from streams.admit.validate import DAY, MINUTE
from streams.evaluation.plan import Episode
from streams.evaluation.run import Message

#: False alerts per 1,000 user-days at which recall is told.
BUDGETS = (0.5, 1.0, 2.0, 5.0)


@dataclass
class Found:
    """How one episode fared.

    Attributes:
        episode: the episode.
        hits: messages that find it, in order of time.
    """

    episode: Episode
    hits: list[Message] = field(default_factory=list)

    def gone(self) -> float:
        """Share of its records taken before the access that raised the first alert; 1 when there was none."""
        if not self.hits:
            return 1.0
        before = sum(act.records for act in self.episode.acts if act.time < self.hits[0].time)
        return before / self.episode.records if self.episode.records else 0.0

    def minutes(self) -> float:
        """From its first access to the first alert."""
        return (self.hits[0].time - self.episode.start) / MINUTE

    def score(self) -> float:
        """The highest cut at which it is found."""
        return max((hit.score for hit in self.hits), default=float("-inf"))


@dataclass
class Score:
    """How a method fared on one seed.

    Attributes:
        found: every episode.
        false: highest score of each false alert.
        false_by: false alerts by detector.
        alerts: alerts in the test part.
        user_days: a person with an access on a local day, test part.
    """

    found: list[Found]
    false: list[float]
    false_by: Counter[str]
    alerts: int
    user_days: int

    def by_shape(self) -> dict[str, list[Found]]:
        """Episodes by shape, in the order they were planned."""
        shapes: dict[str, list[Found]] = {}
        for one in self.found:
            shapes.setdefault(one.episode.shape, []).append(one)
        return shapes

    def recall(self, cut: float = float("-inf")) -> float:
        """Share of episodes found by alerts that reach the cut: each shape's, then their mean."""
        shares = [
            sum(bool(one.hits) and one.score() >= cut for one in group) / len(group)
            for group in self.by_shape().values()
        ]
        return sum(shares) / len(shares) if shares else 0.0

    def false_rate(self, cut: float = float("-inf")) -> float:
        """False alerts that reach the cut, per 1,000 user-days."""
        return 1_000 * sum(score >= cut for score in self.false) / self.user_days

    def alert_rate(self) -> float:
        """Alerts per 1,000 user-days."""
        return 1_000 * self.alerts / self.user_days

    def precision(self) -> float | None:
        """Share of alerts that are about an injected episode; None without alerts."""
        return 1 - len(self.false) / self.alerts if self.alerts else None

    def curve(self) -> list[tuple[float, float]]:
        """(false alerts per 1,000 user-days, recall) at every cut, both rising."""
        cuts = sorted({*self.false, *(one.score() for one in self.found if one.hits)}, reverse=True)
        return [(0.0, 0.0), *((self.false_rate(cut), self.recall(cut)) for cut in cuts)]

    def recall_at(self, budget: float) -> float:
        """Recall at the lowest cut that gives no more false alerts per 1,000 user-days than the budget."""
        return max((recall for rate, recall in self.curve() if rate <= budget), default=0.0)

    def gone(self, shape: str) -> float | None:
        """Median share of records gone before the first alert, over the found episodes of a shape."""
        return _median(one.gone() for one in self.by_shape()[shape] if one.hits)

    def minutes(self, shape: str) -> float | None:
        """Median minutes to the first alert, over the found episodes of a shape."""
        return _median(one.minutes() for one in self.by_shape()[shape] if one.hits)

    def gone_overall(self) -> float | None:
        """Median share gone over all found episodes."""
        return _median(one.gone() for one in self.found if one.hits)

    def minutes_overall(self) -> float | None:
        """Median minutes over all found episodes."""
        return _median(one.minutes() for one in self.found if one.hits)

    def first_by(self) -> dict[str, Counter[str]]:
        """By shape: which detectors found how many episodes; one may be found by several."""
        return {
            shape: Counter(name for one in group for name in {hit.detector for hit in one.hits})
            for shape, group in self.by_shape().items()
        }


def score(episodes: Sequence[Episode], messages: Iterable[Message], user_days: int, test_day: int) -> Score:
    """Hold messages against episodes.

    An episode is found by a message about one of its people whose window of evidence overlaps the episode's
    span, and that comes no later than a day after its end. What was said in the warm-up does not count at all.
    An alert is false when none of its messages' windows overlaps an episode of its person; so an alert before
    the person leaks is false, too.

    Args:
        episodes: what was injected.
        messages: what the method said.
        user_days: of the test part.
        test_day: first local day of the test part.
    """
    found = [Found(episode) for episode in episodes]
    of_person: defaultdict[int, list[Found]] = defaultdict(list)
    for one in found:
        for person in one.episode.people:
            of_person[person].append(one)
    highest: dict[str, float] = {}
    detector: dict[str, str] = {}
    true: set[str] = set()
    for message in sorted(messages, key=lambda m: m.time):
        if message.day < test_day:
            continue
        detector[message.alert] = message.detector
        highest[message.alert] = max(message.score, highest.get(message.alert, message.score))
        for one in of_person.get(message.person, ()):
            episode = one.episode
            if message.first <= episode.end and message.last >= episode.start:
                true.add(message.alert)
                if episode.start <= message.time <= episode.end + DAY:
                    one.hits.append(message)
    false = [alert for alert in highest if alert not in true]
    return Score(
        found,
        [highest[alert] for alert in false],
        Counter(detector[alert] for alert in false),
        len(highest),
        user_days,
    )


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None
