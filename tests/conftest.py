"""What tests of every part share: one broker a test run, and names nobody else uses on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from streams.kafka.broker import Broker


@dataclass(frozen=True)
class ExternalBroker:
    """A cluster that runs already; has of `Broker` what a test may use of a broker it shares."""

    bootstrap: str


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | ExternalBroker]:
    """The broker all tests share: use its `bootstrap`, never stop it. KAFKA_BOOTSTRAP names another."""
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP"):
        yield ExternalBroker(bootstrap)
        return
    with Broker(tmp_path_factory.mktemp("broker")) as shared:
        yield shared


@pytest.fixture
def app_id() -> str:
    """An application id (consumer group, prefix of topics) that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"
