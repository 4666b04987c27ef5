"""The measuring stick is honest: methods of known worth get the figures they deserve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from zlib import crc32

import pytest

from detectors import DETECTORS
from detectors.base import Detector, Normal, Touch
from streams.admit.validate import DAY, MINUTE
from streams.evaluation.evaluation import PARCELWATCH, Evaluation
from streams.evaluation.log import LogError
from streams.evaluation.plan import make_plan
from streams.evaluation.report import Report
from streams.evaluation.rivals import FOREST, STATIC, Z_FIXED, Z_SCORE
from streams.flow.control import LOOSEST
from tests.evaluation.office import NO_ZONES, Nothing, Office, Says, log_of, scene_of

OFFICE = Office()


def evaluate(*detectors: Detector[Any], seeds: tuple[int, ...] = (1,), **others: Any) -> Report:
    given: dict[str, Any] = {"variants": ("standard",), **others}
    return Evaluation(OFFICE, NO_ZONES, seeds, 1, detectors=detectors, **given).run()


def figures(report: Report, method: str = PARCELWATCH) -> dict[str, Any]:
    methods: dict[str, Any] = report.data["variants"]["standard"]["methods"]
    told = methods[method]
    return {name: told[name].get("median") for name in told if name != "curve"} | {"shapes": told["shapes"]}


def test_what_alerts_on_everything_finds_everything_and_is_hardly_ever_right() -> None:
    told = figures(evaluate(Says()))
    assert told["recall"] == 1
    assert told["records_gone_before_first_alert"] == 0
    assert told["precision"] < 0.5
    assert told["false_alerts_per_1000_user_days"] > 5_000


def test_what_never_alerts_finds_nothing_and_errs_never() -> None:
    told = figures(evaluate(Says(when=lambda _: False)))
    assert told["recall"] == 0
    assert told["false_alerts_per_1000_user_days"] == 0
    assert told["precision"] is None
    assert told["minutes_to_first_alert"] is None


def test_what_knows_the_truth_finds_everything_and_errs_never() -> None:
    plan = make_plan(scene_of(OFFICE), 1, 1)
    truth = {act.time for episode in plan.episodes for act in episode.acts}
    told = figures(evaluate(Says(when=lambda touch: touch.time in truth)))
    assert told["recall"] == 1
    assert told["false_alerts_per_1000_user_days"] == 0
    assert told["precision"] == 1


def test_what_alerts_in_the_warm_up_alone_has_said_nothing() -> None:
    log = log_of(OFFICE)
    told = figures(evaluate(Says(when=lambda t: (t.time + t.tz * MINUTE) // DAY < log.test_day)))
    assert told["recall"] == 0
    assert told["alerts_per_1000_user_days"] == 0


def test_the_same_seed_gives_the_same_report_and_another_seed_another() -> None:
    once, again, other = (evaluate(*DETECTORS, seeds=seeds).json() for seeds in ((1,), (1,), (2,)))
    assert once == again
    assert once != other


def test_rivals_stand_beside_on_the_same_log() -> None:
    report = evaluate(Says(when=lambda _: False))
    assert list(report.data["variants"]["standard"]["methods"]) == [
        PARCELWATCH,
        STATIC,
        Z_SCORE,
        FOREST,
        Z_FIXED,
    ]
    assert figures(report, Z_FIXED)["recall"] > 0


def test_shapes_the_log_cannot_carry_are_named_with_the_reason() -> None:
    report = evaluate(Says())
    left_out = report.data["shapes_left_out"]
    assert left_out["borrowed_login"] == "the log names no devices"
    assert set(left_out) >= {"sequence", "service_account", "leaver", "crowd", "honeytoken"}
    measured = figures(report)["shapes"]
    assert not set(left_out) & set(measured)


def test_the_hard_variant_stands_beside_and_is_smaller() -> None:
    report = evaluate(Says(when=lambda _: False), variants=("standard", "hard"))
    assert list(report.data["variants"]) == ["standard", "hard"]
    scene = scene_of(OFFICE)
    standard, hard = (make_plan(scene, 1, 1, scale).episodes for scale in (1.0, 0.25))
    assert sum(one.records for one in hard) < 0.5 * sum(one.records for one in standard)


def test_a_log_too_short_is_refused_with_the_remedy() -> None:
    with pytest.raises(LogError, match="longer log"):
        Evaluation(Office(days=2), NO_ZONES, (1,), 1).run()
    with pytest.raises(LogError, match="longer log"):
        Evaluation(Office(days=9), NO_ZONES, (1,), 1).run()


def test_an_evaluation_says_which_detectors_it_measured() -> None:
    says = Says(when=lambda _: False)
    assert evaluate(says).data["parameters"]["detectors"] == [says.tag]


@dataclass(frozen=True)
class Chance(Says):
    """Alerts of a share of touches, drawn by the parcel's token; the stricter, the fewer."""

    name: ClassVar[str] = "chance"

    def step(self, state: Nothing, touch: Touch, normal: Normal) -> float:
        drawn = crc32(touch.parcel.encode()) % 1_000_000
        return float(bool(touch.parcel) and drawn < 500 / normal.strictness**2)


def test_strictness_is_calibrated_on_the_warm_up_to_each_budget() -> None:
    office = Office(people=40, days=50)
    report = Evaluation(
        office, NO_ZONES, (1,), 1, variants=("standard",), detectors=(Chance(),), budgets=True
    ).run()
    calibrated = report.data["variants"]["standard"]["calibrated"]
    assert list(calibrated) == ["0.5", "1", "2", "5"]
    strictness = [one["strictness"]["median"] for one in calibrated.values()]
    assert strictness == sorted(strictness, reverse=True)
    assert strictness[0] > strictness[-1]
    false = [one["false_alerts_per_1000_user_days"]["median"] for one in calibrated.values()]
    assert false == sorted(false)


def test_what_the_test_part_says_does_not_reach_the_calibration() -> None:
    log = log_of(OFFICE)
    later = Says(when=lambda t: (t.time + t.tz * MINUTE) // DAY >= log.test_day)
    for one in evaluate(later, budgets=True).data["variants"]["standard"]["calibrated"].values():
        assert LOOSEST <= one["strictness"]["median"] <= 1
        assert one["recall"]["median"] == 1


def test_budgets_are_run_only_when_asked_for() -> None:
    assert evaluate(Says()).data["variants"]["standard"]["calibrated"] == {}
