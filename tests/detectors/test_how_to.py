"""The detector that docs/how-to-write-a-detector.md walks through works as it stands there."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from detectors.base import Detector
from tests.detectors import test_catalogue as conformance

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to-write-a-detector.md"
CASES, DETECTOR = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's detector, where its test looks for it."""
    made = ModuleType("detectors.reprints")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(compile(DETECTOR, str(PAGE), "exec"), made.__dict__)
    return made


def test_its_own_cases_and_its_example_hold(module: ModuleType) -> None:
    cases: dict[str, Any] = {}
    exec(compile(CASES, str(PAGE), "exec"), cases)
    names = [name for name in cases if name.startswith("test_")]
    assert sum(name.startswith("test_alerts_") for name in names) >= 3
    assert sum(name.startswith("test_silent_") for name in names) >= 3
    for name in names:
        cases[name]()
    results = doctest.testmod(module)
    assert (results.failed, results.attempted) == (0, 3)


def test_it_keeps_what_every_detector_keeps(module: ModuleType) -> None:
    detector: Detector[Any] = module.Reprints()
    conformance.test_the_docstring_is_the_documentation(detector)
    conformance.test_a_detector_is_named_after_its_file(detector)
    conformance.test_its_tag_changes_with_every_parameter(detector)
    conformance.test_a_state_that_was_stored_behaves_as_the_one_that_was_not(detector, 1)
    conformance.test_the_same_life_gives_the_same_alerts_and_state(detector, 1)
    conformance.test_reporting_changes_nothing(detector)
    conformance.test_every_finding_is_whole_and_true_to_its_case(detector, 1)
    conformance.test_an_empty_touch_is_no_case(detector)
    conformance.test_hostile_numbers_break_nothing(detector)
    conformance.test_a_clock_that_stands_still_or_goes_back_is_survived(detector)
