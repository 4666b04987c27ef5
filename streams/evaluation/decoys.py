"""Benign decoys: exports, searches and reveals as routine, so that no action by itself gives a leak away."""

from __future__ import annotations

import random

import numpy as np

from detectors.base import ACTION_CODES
from streams.admit.validate import MINUTE
from streams.evaluation.scene import Act, Scene
from streams.simulator.leaker import magnitude
from streams.simulator.world import spread

#: An action that a larger share of people does already needs no decoys.
COMMON = 0.05
#: Share of people who do an action as routine, and share of their days they do it on.
HABITS = {"export": (0.1, 0.8), "search": (0.4, 0.9), "reveal": (0.1, 0.6)}
#: Searches that find nothing: typing errors.
MISSED = 0.05


def decoys(scene: Scene, seed: int, people: list[int]) -> list[Act]:
    """Routine accesses over the whole log, warm-up and test alike, of the actions that the log hardly has.

    Exports have 20 to 200 rows and come when a person's day ends; searches and reveals name parcels the person
    opens that day anyway.

    Args:
        scene: the log.
        seed: who does what changes with it.
        people: those it may be.
    """
    log, made = scene.log, []
    for action, (share, often) in HABITS.items():
        does = np.unique(log.person[log.action == ACTION_CODES[action]])
        if len(does) > COMMON * len(log.people) or (action != "export" and not log.parcels):
            continue
        rng = random.Random(f"{seed}/decoys/{action}")  # noqa: S311 - reproducible, nothing secret
        for person in sorted(rng.sample(people, round(share * len(people)))):
            for day, (start, end) in scene.shifts(person).items():
                if rng.random() < often:
                    made += _routine(scene, rng, action, person, day, start, end)
    return made


def _routine(
    scene: Scene, rng: random.Random, action: str, person: int, day: int, start: int, end: int
) -> list[Act]:
    offset, style = scene.offset(person, end), scene.style(person, end)
    if action == "export":
        ms = end + rng.randint(0, 20) * MINUTE
        return [Act(ms, offset, person, action, (), magnitude(rng, 20, 200), style)]
    mine = scene.parcels_of(person, day)
    count = min(len(mine), rng.randint(1, 3) if action == "reveal" else rng.randint(3, 10))
    acts = []
    for parcel, ms in zip(rng.sample(mine, count), spread(rng, count, start, end), strict=True):
        found = action != "search" or rng.random() >= MISSED
        asked = scene.log.parcels[parcel]
        # What a typing error asks for does not exist; it only has to look like an id.
        asked = asked if found else f"{asked}0"
        acts.append(Act(ms, offset, person, action, (asked,), int(found), style, found))
    return acts
