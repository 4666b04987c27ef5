"""One knob for all detectors: less strict never tells later, stricter never earlier, and facts are told regardless."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from detectors import DETECTORS
from detectors.base import Detector, Normal, Person, Touch
from detectors.borrowed_login import BorrowedLogin
from detectors.dormant_account import DormantAccount
from detectors.testing import CLERK, NOBODY, Watch, at, office, touch, views, work

STRICTNESS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0, 1_000.0)
#: A touch of a ghost is a fact.
CATEGORICAL = {"honeytoken"}
ROBOT = Person("k1.staff.svc", "vnx", role="service", service=True)
ELSEWHERE: dict[str, Any] = {"device": 9, "place": 9, "site": "SG-01"}
HERE: dict[str, Any] = {"device": 1, "place": 1, "site": "HN-03"}
MINUTE = 60_000


@dataclass
class Example:
    """A detector's documented leak, large enough to be found with twice the limits.

    `past` is told of to nobody; `peers` are the habits of the office, None where nobody is known.
    """

    leak: list[Touch]
    past: list[Touch]
    peers: dict[str, Any] | None


def example(name: str) -> Example:
    """The example of the detector's docstring, grown."""
    past: list[Touch] = []
    peers: dict[str, Any] | None = {}
    if name == "bulk_read":
        leak = list(views(at(hour=10), parcels=400, minutes=30))
    elif name == "off_hours":
        leak = [touch(at(hour=3) + n * MINUTE, "export", records=5) for n in range(100)]
    elif name == "unrelated_parcel":
        peers = {"explanation": "site", "context": True}
        leak = list(views(at(hour=9), parcels=300, minutes=180, context=True))
    elif name == "honeytoken":
        leak = [touch(at(), parcel="k1.parcel.ghost", ghost="shop-7")]
    elif name == "crowd":
        peers = {"people": 15}
        leak = [touch(at() + n, parcel=f"k1.parcel.famous{n}", crowd=8 + n) for n in range(9)]
    elif name == "long_delivered":
        peers = None
        leak = list(views(at(hour=9), parcels=200, minutes=60, context=True, closed=at(-40)))
    elif name == "low_and_slow":
        peers, past = None, [*work(range(-20, 0), parcels=2, context=True)]
        leak = [*work(range(20), parcels=25, context=True)]
    elif name == "borrowed_login":
        peers, past = None, [*work(range(-7, 0), **HERE)]
        leak = list(views(at(), parcels=400, minutes=30, **ELSEWHERE))
    elif name == "shared_account":
        peers = {"device": 1}
        leak = [touch(at() + n * MINUTE, parcel=f"k1.p{n}", device=1 + n % 3) for n in range(300)]
    elif name == "service_account":
        peers, past = None, [*work(range(-7, 0), parcels=200, who=ROBOT, channel=3, device=1)]
        leak = [
            touch(at() + n * (40_000 + 997 * n), parcel=f"k1.p{n}", who=ROBOT, channel=1, device=9)
            for n in range(40)
        ]
    elif name == "dormant_account":
        past = [*work(range(-60, -45))]
        leak = list(views(at(), parcels=400, minutes=400))
    elif name == "enumeration":
        peers = None
        leak = [
            touch(
                at() + 9_000 * n, "search", "" if n % 2 == 0 else f"k1.p{n}",
                failed=n % 2 == 0, serial=n % 1024, others=(7,),
            )
            for n in range(400)
        ]  # fmt: skip
    else:
        assert name == "sequence", f"{name}: give the new detector an example here"
        past = [*work(range(-14, 0), parcels=4, device=1)]
        steps = ("search", "reveal", "print")
        leak = [touch(at(0, 10 + n / 9), step, "k1.p") for n, step in enumerate(steps)]
    return Example(leak, past, peers)


def first_alert(detector: Detector[Any], case: Example, strictness: float) -> float:
    """Event time (ms) at which the leak is first told of; infinite when it is not."""
    normal = NOBODY if case.peers is None else office(detector, **case.peers)
    watch = Watch(detector, Normal(normal.peers, normal.company, strictness))
    watch.see(*case.past)
    watch.alerts.clear()
    watch.see(*case.leak)
    watch.pass_time(at(60))
    return min((alert.opened for alert in watch.alerts if alert.activity == 1), default=inf)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_less_strict_never_tells_later_and_stricter_never_earlier(detector: Detector[Any]) -> None:
    case = example(detector.name)
    told = [first_alert(detector, case, strictness) for strictness in STRICTNESS]
    assert told == sorted(told)
    assert told[STRICTNESS.index(1.0)] < inf
    if detector.name in CATEGORICAL:
        assert len(set(told)) == 1
    else:
        assert told[-1] == inf


def counted(detector: Detector[Any], case: Example, strictness: float) -> int:
    """Touches of the leak until it is told of."""
    told = first_alert(detector, case, strictness)
    return sum(row.time <= told for row in case.leak)


@pytest.mark.parametrize(
    "name",
    [
        "bulk_read",
        "off_hours",
        "borrowed_login",
        "shared_account",
        "service_account",
        "dormant_account",
        "enumeration",
    ],
)
def test_half_as_strict_tells_at_about_half_the_excess_and_twice_as_strict_at_twice(name: str) -> None:
    detector = next(one for one in DETECTORS if one.name == name)
    case = example(name)
    half, one, twice = (counted(detector, case, strictness) for strictness in (0.5, 1.0, 2.0))
    assert 0.4 <= half / one <= 0.8
    assert 1.6 <= twice / one <= 2.2


def test_the_account_of_somebody_who_left_is_told_of_however_strict() -> None:
    gone = replace(CLERK, status="left")
    case = Example([touch(at(), parcel="k1.p", who=gone)], [], None)
    assert {first_alert(DormantAccount(), case, strictness) for strictness in STRICTNESS} == {at()}


def test_impossible_travel_is_told_of_however_strict() -> None:
    past = [*work(range(-7, 0), **HERE)]
    leak = [touch(at() + n * MINUTE, parcel=f"k1.p{n}", **(ELSEWHERE if n % 2 else HERE)) for n in range(20)]
    told = {
        first_alert(BorrowedLogin(), Example(leak, past, None), strictness)
        for strictness in (1.0, 2.0, 1_000.0)
    }
    assert len(told) == 1
    assert told != {inf}


def test_a_limit_worked_out_before_strictness_changed_is_at_most_an_hour_old() -> None:
    detector = next(one for one in DETECTORS if one.name == "bulk_read")
    strict = Watch(detector, Normal(NOBODY.peers, NOBODY.company, 100.0))
    assert not strict.see(*views(at(hour=10), parcels=200, minutes=20))
    strict.normal = NOBODY
    assert strict.see(*views(at(hour=11), parcels=200, minutes=20))
