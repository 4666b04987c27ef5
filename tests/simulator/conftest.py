"""One week of a carrier, read once for all tests of the simulator."""

from __future__ import annotations

import pytest

from tests.simulator.runs import WEEK, Run


@pytest.fixture(scope="session")
def week() -> Run:
    return Run(WEEK)
