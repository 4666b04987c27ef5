"""What detectors say of themselves is so: the measures they hint with, the touches they need not be shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from detectors import DETECTORS
from detectors.base import Detector
from detectors.testing import Watch, at, work

each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)


@each
def test_its_hints_are_measures_that_finished_days_teach(detector: Detector[Any]) -> None:
    """Else the risk score would wait for them in vain."""
    watch = Watch(detector)
    watch.see(
        *work(range(-45, 0), parcels=20, others=(1, 2), idle=10**6, context=detector.name == "long_delivered")
    )
    watch.end_day()
    taught = {measure for day in watch.lessons for measure, _ in day}
    assert set(detector.hints) <= taught


@each
def test_what_it_need_not_be_shown_changes_nothing(detector: Detector[Any]) -> None:
    """The stage leaves such touches out."""
    if not detector.marked_only:
        return
    watch = Watch(detector)
    watch.see(*work(range(2), parcels=9, crowd=12, closed=at(-60), ghost="shop", others=(1, 2), context=True))
    before = msgspec.msgpack.encode(watch.state), detector.wake(watch.state)
    plain = [
        detector.step(watch.state, row, watch.normal)
        for row in work([2], parcels=9, others=(1,), context=True)
    ]
    assert not any(plain)
    assert (msgspec.msgpack.encode(watch.state), detector.wake(watch.state)) == before
