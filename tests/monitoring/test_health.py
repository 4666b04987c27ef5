"""Health tells the truth over HTTP, metrics can be scraped, and a bad address is refused with a remedy."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from streams.monitoring.health import serve
from streams.monitoring.metrics import Metrics, new_registry
from streams.settings import SettingsError


def fine() -> tuple[bool, str]:
    return True, "partitions assigned, checkpointing"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_scrape_parses_and_holds_what_was_counted(http: aiohttp.ClientSession) -> None:
    registry = new_registry()
    Metrics(registry).source["access-events"].count(received=3, admitted=3)
    async with serve("127.0.0.1", 0, registry, fine, fine) as endpoint:
        async with http.get(f"{endpoint.url}/metrics") as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            text = await response.text()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        counted = {s.labels["topic"]: s.value for s in families["parcelwatch_records_received"].samples}
        assert counted["access-events"] == 3
        assert "process_resident_memory_bytes" in families
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with http.get(f"{endpoint.url}/metrics", headers=accept) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            names = {family.name for family in parse_openmetrics(await response.text())}
        assert "parcelwatch_end_to_end_delay_seconds" in names


async def test_health_and_readiness_follow_their_probes_at_each_request(http: aiohttp.ClientSession) -> None:
    state = (False, "waiting for partitions")
    async with serve("127.0.0.1", 0, CollectorRegistry(), lambda: state, fine) as endpoint:
        async with http.get(f"{endpoint.url}/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"status": "failing", "reason": "waiting for partitions"}
        async with http.get(f"{endpoint.url}/healthz") as response:
            assert response.status == 200
        state = (True, "4 partitions")
        async with http.get(f"{endpoint.url}/readyz") as response:
            assert response.status == 200
            assert await response.json() == {"status": "ok", "reason": "4 partitions"}


async def test_a_scrape_says_what_readiness_would_have_answered() -> None:
    state, registry = (False, "waiting for partitions"), CollectorRegistry()
    async with serve("127.0.0.1", 0, registry, lambda: state, fine):
        assert registry.get_sample_value("parcelwatch_ready") == 0
        state = (True, "4 partitions")
        assert registry.get_sample_value("parcelwatch_ready") == 1
    assert registry.get_sample_value("parcelwatch_ready") is None


async def test_nothing_listens_after_the_context_and_the_port_can_be_taken_again() -> None:
    async with serve("127.0.0.1", 0, CollectorRegistry(), fine, fine) as endpoint:
        port = endpoint.port
        assert port
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    async with serve("127.0.0.1", port, CollectorRegistry(), fine, fine) as endpoint:
        assert endpoint.port == port


async def test_minus_one_serves_nothing() -> None:
    async with serve("127.0.0.1", -1, CollectorRegistry(), fine, fine) as endpoint:
        assert endpoint.port is None
        assert endpoint.url == ""


async def test_a_taken_port_is_named_with_its_setting_and_remedy() -> None:
    async with serve("127.0.0.1", 0, CollectorRegistry(), fine, fine) as endpoint:
        assert endpoint.port
        with pytest.raises(
            SettingsError, match=rf"http_port = {endpoint.port}.*PARCELWATCH_HTTP_PORT.*0 for a"
        ):
            async with serve("127.0.0.1", endpoint.port, CollectorRegistry(), fine, fine):
                pytest.fail("two servers on one port")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
async def test_an_address_that_is_not_ours_is_named_with_its_remedy(host: str) -> None:
    with pytest.raises(SettingsError, match=r"http_host = .*PARCELWATCH_HTTP_HOST"):
        async with serve(host, 0, CollectorRegistry(), fine, fine):
            pytest.fail("bound an address that is not ours")
