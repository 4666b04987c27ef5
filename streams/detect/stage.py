"""detect knows people: every touch runs through every detector, in the log's order; what they find becomes alerts."""

from __future__ import annotations

import heapq
from typing import Any

import msgspec

from detectors import DETECTORS
from detectors.base import Detector, Late, Normal, Touch
from detectors.model_score import ModelScore
from detectors.risk import RiskScore
from models.norms import DELAY, Norms, NormsState, encode_norms
from models.peers import learn_level, peer_group
from streams.detect.actors import Actor, ActorCodec
from streams.detect.cases import Cases
from streams.detect.controls import STRICTNESS, VERDICT, WATCHED_LIMITS, Controls, ControlState
from streams.detect.scoring import ModelSource, NoModels, Scoring
from streams.flow.events import (
    DETECT_SOURCE,
    RELATE_SOURCE,
    Block,
    Control,
    Explained,
    NormsRow,
    encode_block,
    source_id,
)
from streams.flow.merge import Row
from streams.flow.stage import RESERVED, KeyedStage, Out, Snapshot, StateCache, Store
from streams.flow.topics import ACTOR_LOG

DAY = 86_400_000
MINUTE = 60_000
NEVER = 1 << 62


class DetectStage(KeyedStage[Actor]):
    """One partition of the actor log.

    Args:
        partition, partitions: which, of how many.
        store: the partition's share of the `detect` table.
        detectors: the catalogue.
        strictness: factor on every limit where no control record says another.
        models: where models that control records name come from.
    """

    NORMS = RESERVED + "norms"
    CONTROLS = RESERVED + "controls"

    def __init__(
        self,
        partition: int,
        partitions: int,
        store: Store,
        detectors: tuple[Detector[Any], ...] = DETECTORS,
        strictness: float = 1.0,
        models: ModelSource | None = None,
    ) -> None:
        model, risk = ModelScore(), RiskScore()
        codec = ActorCodec((*detectors, model, risk))
        sources = (source_id(kind, p) for kind in (RELATE_SOURCE, DETECT_SOURCE) for p in range(partitions))
        super().__init__(
            partition,
            store,
            sources,
            StateCache(store, codec.decode, codec.encode, codec.initial, keep=50_000),
        )
        self._partitions = partitions
        self._source = source_id(DETECT_SOURCE, partition)
        self._detectors = detectors
        self._wakers = [i for i, d in enumerate(detectors) if type(d).wake is not Detector.wake]
        # By whether a touch is marked: a call that returns at once is still a call, a million times a minute.
        asked = [[i for i, d in enumerate(detectors) if mark or not d.marked_only] for mark in (False, True)]
        self._steps = [[(i, detectors[i].step) for i in indexes] for indexes in asked]
        self._wakes = [[(i, detectors[i].wake) for i in indexes if i in self._wakers] for indexes in asked]
        raw = store.get(self.NORMS.encode())
        self.norms = Norms(msgspec.msgpack.decode(raw, type=NormsState) if raw else NormsState(), strictness)
        self._norms_changed = False
        raw = store.get(self.CONTROLS.encode())
        self.controls = Controls(msgspec.msgpack.decode(raw, type=ControlState) if raw else ControlState())
        self._controls_changed = False
        for carrier, factor in self.controls.state.strictness.items():
            self.norms.be(carrier, factor)
        self.scoring = Scoring(self.controls, models or NoModels(), model.note)
        self._cases = Cases(detectors, model, risk, self.controls, lambda out: self.out.append(out))
        self.findings = self._cases.findings
        self._timers: list[tuple[int, str]] = []
        for token, actor in self.states.stored():
            if actor.due:
                self._timers.append((actor.due, token))
            self.scoring.resume(token, actor)
        heapq.heapify(self._timers)
        self._lessons: list[NormsRow] = []
        self._said: tuple[int, bool | None] = (-1, None)

    def apply(self, rows: list[Row]) -> None:
        self._learn()
        cache, get, mark = self.states.cache, self.states.get, self.states.dirty.add
        steps, wakes = self._steps, self._wakes
        normals, normal_of, watched = self.norms.normals, self.norms.normal, self.controls.state.watched
        due, add, scoring = self._next_due(), self._cases.add, bool(self.controls.state.models)
        rules, observe = self.controls.engines, self._cases.observe
        for row in rows:
            if row.st >= due:
                self._pass_time(row.st)
                due = self._next_due()
            if type(row) is Touch:
                who = row.who
                token = who.token
                actor = cache.get(token) or get(token)
                here = (row.st, row.src, row.off, row.idx)
                if here <= actor.pos:
                    continue
                actor.pos = here
                mark(token)
                day = (row.time + row.tz * MINUTE) // DAY
                held = len(actor.episodes)
                if day > actor.day:
                    self._new_day(actor, day, row)
                actor.who, actor.utc_offset = who, row.tz
                if scoring:
                    due = min(due, self.scoring.see(token, actor, row))
                actor.touches += 1
                group = who.role or peer_group("", actor.level)
                normal = normals.get((who.carrier, group)) or normal_of(who.carrier, group)
                if watched and token in watched:
                    normal = self._normal(actor, row.st)
                states = actor.states
                marked = bool(row.closed or row.crowd or row.ghost or who.service)
                for index, step in steps[marked]:
                    evidence = step(states[index], row, normal)
                    if evidence:
                        add(actor, index, evidence, row.time, row.st, row, normal)
                wanted = observe(actor, row, normal, held) if rules else len(actor.episodes) != held
                if not wanted:
                    asked = actor.due or NEVER
                    for index, wake in wakes[marked]:
                        if 0 < wake(states[index]) < asked:
                            wanted = True
                            break
                if wanted:
                    due = min(due, self._set_timer(token, actor, row.st))
            elif type(row) is Explained:
                due = min(due, self._explain(row))
            elif type(row) is Control:
                self._control(row)
                scoring = bool(self.controls.state.models)
        self._pass_time(self.merge.bound - 1)

    def _explain(self, row: Explained) -> int:
        """Take in a late reason; gives when the person needs attention next."""
        token = row.who.token
        actor = self.states.get(token)
        here = (row.st, row.src, row.off, row.idx)
        if here <= actor.pos:
            return NEVER
        actor.pos = here
        self.states.dirty.add(token)
        late = Late(row.touch, row.time, row.explanation)
        for detector, state in zip(self._detectors, actor.states, strict=False):
            detector.explained(state, late)
        return self._set_timer(token, actor, row.st)

    def _control(self, row: Control) -> None:
        """Take in a decision about detection."""
        if row.kind == VERDICT:
            actor = self.states.get(row.actor)
            here = (row.st, row.src, row.off, row.idx)
            # Of somebody who never did anything there is nothing to judge, and nothing is to be stored.
            if actor.who is not None and here > actor.pos:
                actor.pos = here
                self.states.dirty.add(row.actor)
                self._cases.judge(actor, row)
                self.controls.verdicts[row.detector, row.value] += 1
        elif self.controls.apply(row):
            self._controls_changed = True
            if row.kind == STRICTNESS:
                self.norms.be(row.carrier, self.controls.strictness(row.carrier))

    def _normal(self, actor: Actor, order: int) -> Normal:
        """The baselines for a person, and how strict to be with him at `order` (ms)."""
        who = actor.who
        assert who is not None, "a person without a touch has no baselines"
        normal = self.norms.normal(who.carrier, peer_group(who.role, actor.level))
        if self.controls.watched(who.token, order):
            normal = normal._replace(strictness=normal.strictness * WATCHED_LIMITS)
        return normal

    def _new_day(self, actor: Actor, day: int, row: Touch) -> None:
        """The person's previous local day is over; what it teaches is sent to all partitions."""
        if actor.day and actor.who is not None:
            who, group = actor.who, peer_group(actor.who.role, actor.level)
            lessons = self._cases.close_day(actor, actor.day, row.st, self._normal(actor, row.st))
            if not who.service:
                # A machine's days say nothing of what is usual among people.
                self._lessons.append(NormsRow(row.st, row.src, row.off, row.idx, who.carrier, group, lessons))
            actor.level, actor.touches = learn_level(actor.level, actor.touches), 0
        actor.day = day

    def _set_timer(self, token: str, actor: Actor, now: int) -> int:
        """Order time at which the person is looked at next; noted when it is to be earlier than it was.

        What moves on, as the end of a growing episode does, is found not yet due when the timer goes off, and the
        timer is set anew: cheaper than to move it with every touch. Never before what is already past: of late events
        a grace or an episode may be over in event time when it begins, and must still begin before it ends.
        """
        due = NEVER
        for index in self._wakers:
            wake = self._detectors[index].wake(actor.states[index])
            if wake and wake < due:
                due = wake
        due = min([due, *self._cases.ends(actor)])
        if due != NEVER:
            due = max(due, now + 1)
            if not actor.due or due < actor.due:
                actor.due = due
                heapq.heappush(self._timers, (due, token))
        return actor.due or NEVER

    def _next_due(self) -> int:
        return min(self.norms.due, self.scoring.due, self._timers[0][0] if self._timers else NEVER)

    def _pass_time(self, now: int) -> None:
        """Do, in order, what falls due up to `now`: norms take effect, graces end, episodes close."""
        while (due := self._next_due()) <= now:
            if self.norms.due <= due:
                self.norms.advance(due)
                self._norms_changed = True
                continue
            if self.scoring.due <= due:
                self._score(due)
                continue
            _, token = heapq.heappop(self._timers)
            actor = self.states.get(token)
            if actor.due == due:
                self._wake(token, actor, due)

    def _score(self, due: int) -> None:
        """An hour is over: let the models look at it."""
        people = [(token, self.states.get(token)) for token in self.scoring.ended(due)]
        self.states.dirty.update(token for token, _ in people)
        for found in self.scoring.close(people):
            self._cases.surprised(found, due, self._normal(found.actor, due))
            self._set_timer(found.token, found.actor, due)

    def _wake(self, token: str, actor: Actor, now: int) -> None:
        self.states.dirty.add(token)
        actor.due = 0
        normal = self._normal(actor, now)
        for index in self._wakers:
            state = actor.states[index]
            wake = self._detectors[index].wake(state)
            if wake and wake <= now:
                evidence = self._detectors[index].ripen(state, now, normal)
                if evidence:
                    self._cases.add(actor, index, evidence, now, now, None, normal)
        self._cases.end(actor, now)
        self._set_timer(token, actor, now)

    def _learn(self) -> None:
        for offset, bound, rows in self.merge.aside:
            if offset > self.norms.state.upto:
                for row in rows:
                    self.norms.learn(row.st, bound, row.carrier, row.role, row.lessons)
                self.norms.state.upto = offset
                self._norms_changed = True
        self.merge.aside.clear()

    def emit(self) -> None:
        reached, idle = self.merge.frontier, self.merge.idle
        # Partitions wait for each other only beyond DELAY of event time, so word every quarter of it is soon enough.
        if self._said[1] != idle or reached >= self._said[0] + DELAY // 4:
            self._say(reached, idle)

    def _say(self, reached: int, idle: bool) -> None:
        self._said = (reached, idle)
        # Taken for said already is only what was applied: an idle upstream may yet resume behind `reached`.
        through = (self.merge.bound, -1, -1, -1)
        block = encode_block(Block(self._source, through, reached + DELAY, idle, norms=self._lessons))
        self._lessons = []
        self.out.extend(Out(ACTOR_LOG, partition, None, block) for partition in range(self._partitions))

    def rest(self) -> None:
        """Nothing to say: idleness passes through with the blocks that bring it."""

    def snapshot(self) -> Snapshot:
        if self._lessons:
            # A person's state is written only after what his days taught is on its way: it is not taught twice.
            self._say(self.merge.frontier, self.merge.idle)
        snapshot = super().snapshot()
        if self._norms_changed:
            self._norms_changed = False
            snapshot.states.append((self.NORMS.encode(), encode_norms(self.norms.state)))
        if self._controls_changed:
            self._controls_changed = False
            snapshot.states.append((self.CONTROLS.encode(), msgspec.msgpack.encode(self.controls.state)))
        return snapshot
