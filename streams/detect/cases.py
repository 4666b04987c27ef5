"""What becomes of a finding: an episode, an alert told or suppressed, and points of risk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from detectors.base import Detector, Finding, Lesson, Normal, Touch
from detectors.episodes import Alert, Source, close, take_case
from detectors.model_score import ModelScore
from detectors.risk import RiskScore
from detectors.sigma import PREFIX, QUIET, Live, State
from streams.detect.actors import Actor
from streams.detect.controls import Controls
from streams.detect.scoring import Surprise
from streams.flow import ocsf
from streams.flow.control import VERDICTS
from streams.flow.events import Control
from streams.flow.stage import Out
from streams.flow.topics import ALERTS

#: Points of risk a finding gives, by severity.
POINTS = {2: 2.0, 3: 4.0, 4: 8.0, 5: 16.0}
MINOR = 2
#: All rules are one reason of risk: what is kept of a person must not grow with the number of rules.
RULES_REASON = "rules"
#: Factor on the points of a person on the watchlist.
WATCHED_RISK = 2.0


class Withdrawn(NamedTuple):
    """A rule that is not loaded any more while an episode of it is still open."""

    name: str
    tag: str = "withdrawn"
    summary: str = "A rule that has been withdrawn"
    quiet: int = QUIET


class Cases:
    """Episodes and risk of the people of one partition.

    Args:
        detectors: the catalogue; a person's states are theirs, in this order, then the model's, and the risk's last.
        model: what trained models say. risk: the score over all of them.
        controls: suppressions and watchlist.
        send: takes what is to be sent.
    """

    def __init__(
        self,
        detectors: tuple[Detector[Any], ...],
        model: ModelScore,
        risk: RiskScore,
        controls: Controls,
        send: Callable[[Out], None],
    ) -> None:
        self._all: tuple[Detector[Any], ...] = (*detectors, model, risk)
        #: How often each detector found something, until it is exported; nothing rests on it.
        self.findings: Counter[str] = Counter()
        self._detectors = detectors
        self._model = model
        self._risk = risk
        self._controls = controls
        self._send = send
        self._hints = [frozenset(detector.hints) for detector in detectors]
        self._quiet = {detector.name: detector.quiet * 1000 for detector in self._all}

    def add(
        self,
        actor: Actor,
        index: int,
        evidence: float,
        time: int,
        order: int,
        touch: Touch | None,
        normal: Normal,
    ) -> None:
        """Add to a detector's case, telling what is to be told.

        Args:
            index: of the detector in the catalogue; past its end come model and risk.
            evidence: size of the case. time, order: event and order time, ms.
            touch: what made it a case, or None for time alone.
        """
        detector, state = self._all[index], actor.states[index]
        self._add(
            actor,
            detector,
            evidence,
            time,
            order,
            touch,
            normal,
            lambda: detector.report(state, touch, normal),
        )

    def observe(self, actor: Actor, touch: Touch, normal: Normal, held: int) -> bool:
        """Let the carrier's rules look at a touch.

        Args:
            held: episodes that were open before it.

        Returns:
            Whether the person is to be looked at though he does nothing more.
        """
        who, fresh = touch.who, actor.rules is None
        if engine := self._controls.engines.get(who.carrier):
            state = actor.rules or State()
            for match in engine.step(state, touch):
                tell = partial(match.report, touch)
                self._add(actor, match.live, float(match.times), touch.time, touch.st, touch, normal, tell)
            actor.rules = state if state.windows or state.fired else None
        return len(actor.episodes) != held or (fresh and actor.rules is not None)

    def _add(
        self,
        actor: Actor,
        detector: Source,
        evidence: float,
        time: int,
        order: int,
        touch: Touch | None,
        normal: Normal,
        report: Callable[[], Finding],
    ) -> None:
        who = actor.who
        assert who is not None, "a person without a touch has no case"
        self.findings[detector.name] += 1
        before = actor.episodes.get(detector.name)
        severity = before.finding.severity if before else 0
        episode, alert = take_case(
            before,
            detector,
            who,
            evidence,
            time,
            order,
            touch,
            actor.utc_offset,
            report,
        )
        actor.episodes[detector.name] = episode
        if alert is not None:
            suppressed = self._controls.suppressed(who, detector.name, order)
            episode.silent = episode.silent and suppressed
            if detector is not self._risk:
                self._weigh(actor, alert, severity, order, suppressed=suppressed, normal=normal)
            if before is None:
                actor.states[-1].opened += not suppressed
            self._tell(actor, alert, touch.ts if touch else 0, suppressed=suppressed)

    def _weigh(
        self, actor: Actor, alert: Alert, before: int, order: int, *, suppressed: bool, normal: Normal
    ) -> None:
        severity = alert.finding.severity
        more = POINTS[severity] - POINTS.get(before, 0.0)
        if more <= 0:
            return
        points = more * self._weight(actor, order)
        told = severity > MINOR and not suppressed
        reason = RULES_REASON if alert.detector.startswith(PREFIX) else alert.detector
        self._risk.find(actor.states[-1], reason, points, order, told=told, uid=alert.uid)
        self._raise(actor, self._risk.case(actor.states[-1], normal), order, normal)

    def _weight(self, actor: Actor, order: int) -> float:
        assert actor.who is not None, "a person without a touch has no case"
        return WATCHED_RISK if self._controls.watched(actor.who.token, order) else 1.0

    def _raise(self, actor: Actor, evidence: float, order: int, normal: Normal) -> None:
        """Let the risk make its case, if it has one."""
        if evidence:
            self.add(actor, len(self._all) - 1, evidence, order, order, None, normal)

    def surprised(self, found: Surprise, order: int, normal: Normal) -> None:
        """Take in what the active model says of a person's hour."""
        actor, state = found.actor, found.actor.states[-2]
        evidence, points = self._model.hear(
            state, found.model, order, found.day, found.surprise, found.why, normal
        )
        if evidence:
            self.add(actor, len(self._all) - 2, evidence, order, order, None, normal)
        elif points:
            points *= self._weight(actor, order)
            self._risk.find(actor.states[-1], self._model.name, points, order, told=False)
            self._raise(actor, self._risk.case(actor.states[-1], normal), order, normal)

    def close_day(self, actor: Actor, day: int, order: int, normal: Normal) -> list[Lesson]:
        """The person's local day `day` is over; what it teaches about ordinary life."""
        lessons: list[Lesson] = []
        hints: dict[str, list[Lesson]] = {}
        for detector, wanted, state in zip(self._detectors, self._hints, actor.states, strict=False):
            taught = list(detector.close_day(state, day))
            lessons += taught
            if wanted:
                hints[detector.name] = [lesson for lesson in taught if lesson[0] in wanted]
        risk = actor.states[-1]
        if actor.who is not None and not actor.who.service:
            weight = self._weight(actor, order)
            evidence = self._risk.close_person_day(risk, hints, order, normal, weight)
            self._raise(actor, evidence, order, normal)
        return [*lessons, *self._risk.close_day(risk, day)]

    def judge(self, actor: Actor, verdict: Control) -> None:
        """Let an analyst's verdict weigh on the person's risk."""
        assert verdict.value in VERDICTS, "admit lets no other verdict pass"
        self._risk.judge(actor.states[-1], verdict.alert, verdict.value, verdict.st)

    def end(self, actor: Actor, now: int) -> None:
        """Close the episodes that have been quiet for long enough."""
        assert actor.who is not None, "only a person who did something is looked at"
        rules = (self._rule(actor, name) for name in [*actor.episodes] if name.startswith(PREFIX))
        for detector in (*self._all, *rules):
            episode = actor.episodes.get(detector.name)
            if episode is not None and episode.last + self._quiet_of(actor, detector.name) <= now:
                del actor.episodes[detector.name]
                self._tell(actor, close(episode, detector, actor.who, now), 0, suppressed=episode.silent)
        if actor.rules is not None and self._forgotten(actor) <= now:
            actor.rules = None

    def ends(self, actor: Actor) -> list[int]:
        """When each open episode is over if nothing is added, and when rules may forget the person, ms."""
        ends = [episode.last + self._quiet_of(actor, name) for name, episode in actor.episodes.items()]
        return [*ends, self._forgotten(actor)] if actor.rules is not None else ends

    def _forgotten(self, actor: Actor) -> int:
        """When nothing matters any more of what rules remember: at once, where they have been withdrawn."""
        assert actor.who is not None, "rules remember only people who did something"
        engine = self._controls.engines.get(actor.who.carrier)
        return engine.ends(actor.rules) if engine and actor.rules else 0

    def _rule(self, actor: Actor, name: str) -> Live | Withdrawn:
        assert actor.who is not None, "only a person who did something has an episode"
        engine = self._controls.engines.get(actor.who.carrier)
        return (engine and engine.live.get(name.removeprefix(PREFIX))) or Withdrawn(name)

    def _quiet_of(self, actor: Actor, name: str) -> int:
        return self._quiet[name] if name in self._quiet else self._rule(actor, name).quiet * 1000

    def _tell(self, actor: Actor, alert: Alert, produced: int, *, suppressed: bool) -> None:
        risk = actor.states[-1]
        if alert.detector.startswith(PREFIX) and isinstance(live := self._rule(actor, alert.detector), Live):
            alert = msgspec.structs.replace(alert, rule=live.rule.id)
        if alert.detector == self._model.name:
            alert = msgspec.structs.replace(alert, version=f"{alert.version}+{actor.states[-2].model[:12]}")
        alert = msgspec.structs.replace(
            alert,
            suppressed=suppressed,
            risk=round(self._risk.score(risk), 2),
            reasons=self._risk.reasons(risk)[:5],
            related=tuple(
                (episode.uid, name)
                for name, episode in sorted(actor.episodes.items())
                if episode.uid != alert.uid and not episode.silent
            ),
        )
        note = (alert.detector, alert.finding.severity, alert.activity, produced)
        key, headers = alert.person.token.encode(), ocsf.headers(alert, produced)
        self._send(Out(ALERTS, None, key, ocsf.encode(alert), headers, note))
