"""`parcelwatch worker`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from streams.commands.common import plain_errors
from streams.kafka.rights import check_rights
from streams.kafka.topic_admin import TopicError, ensure_topics
from streams.monitoring.logs import configure
from streams.privacy.filelock import file_lock
from streams.privacy.tokens import Keyring
from streams.settings import Settings, SettingsError, load_settings
from streams.worker.process import run_worker


@click.command()
@plain_errors(TopicError)
def command() -> None:
    """Run the pipeline: read access events, relate them to parcels, detect leaks, write alerts.

    One process uses one core. Start as many as there are cores or machines, each with a PARCELWATCH_WORKER_ID and a
    PARCELWATCH_DATA_DIR of its own; Kafka shares the partitions out among them. Topics that are missing are created.
    The worker stops cleanly on SIGTERM or Ctrl-C: it checkpoints and gives its partitions up. Should it ever meet
    something it cannot go on from safely it ends with exit code 70, to be started again by its supervisor.

    \b
    Example:
      export PARCELWATCH_BROKER=kafka-1:9092
      parcelwatch keys init && parcelwatch keys add vnx
      parcelwatch worker
    """
    settings = load_settings()
    configure(settings.log_level)
    keys = Keyring.load(settings.keys_path)
    with own_data_dir(settings):
        # First: to who lacks a right, a topic may look as if it were not there.
        check_rights(settings, "worker", timeout=30.0)
        ensure_topics(settings)
        asyncio.run(run_worker(settings, keys))


@contextmanager
def own_data_dir(settings: Settings) -> Iterator[None]:
    """Hold the data folder, made when absent, against other workers: two would open each other's stores.

    Raises:
        SettingsError: it cannot be written to, or another worker has it.
    """
    folder = settings.data_dir / "worker"
    where = f"setting data_dir = {settings.data_dir}"
    lock = ExitStack()
    try:
        lock.enter_context(file_lock(folder / "lock", timeout=5.0))
    except TimeoutError:
        raise SettingsError(
            f"{where}: another worker uses it; set PARCELWATCH_DATA_DIR to a folder of this worker's own"
        ) from None
    except OSError as exc:
        raise SettingsError(
            f"{where}: cannot write to {folder} ({exc.strerror}); set PARCELWATCH_DATA_DIR to a folder this "
            "user may write to"
        ) from None
    with lock:
        yield
