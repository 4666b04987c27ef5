"""/readyz tells the truth about a real worker whose broker goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from streams.kafka.broker import Broker
from streams.kafka.topic_admin import ensure_topics
from streams.privacy.tokens import Keyring
from streams.settings import Settings

pytestmark = pytest.mark.broker
PATIENCE = 60.0


async def answer(session: aiohttp.ClientSession, port: int, wanted: int) -> str:
    """Wait until /readyz answers with a status; gives its reason."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.status == wanted:
                        reason: str = (await response.json())["reason"]
                        return reason
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def test_a_worker_without_its_broker_is_not_ready_and_with_it_ready_again(
    tmp_path: Path, app_id: str, unused_tcp_port: int
) -> None:
    with Broker(tmp_path / "kafka") as broker:
        settings = Settings(broker=broker.bootstrap, partitions=1, app_id=app_id, data_dir=tmp_path / "data")
        ring = Keyring()
        ring.add_carrier("vnx")
        ring.save(settings.keys_path)
        ensure_topics(settings)
        env = {
            **os.environ,
            "PARCELWATCH_BROKER": settings.broker,
            "PARCELWATCH_APP_ID": app_id,
            "PARCELWATCH_PARTITIONS": "1",
            "PARCELWATCH_DATA_DIR": str(settings.data_dir),
            "PARCELWATCH_HTTP_PORT": str(unused_tcp_port),
        }
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from streams.cli import main; main()", "worker",
            stderr=asyncio.subprocess.DEVNULL, env=env,
        )  # fmt: skip
        try:
            async with aiohttp.ClientSession() as session:
                assert "running" in await answer(session, unused_tcp_port, 200)
                broker.stop()
                assert "the broker has not answered" in await answer(session, unused_tcp_port, 503)
                broker.start()
                assert "running" in await answer(session, unused_tcp_port, 200)
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), PATIENCE) == 0
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
