"""All checks side by side, each in its own time: one that hangs keeps the others from nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from streams.doctor.check import Check, red
from streams.doctor.kafka import check_kafka
from streams.doctor.local import check_data_dir, check_keys, check_outbox
from streams.doctor.models import check_models
from streams.doctor.network import check_receiver, check_receivers, check_worker
from streams.settings import Settings

Section = Callable[[], Iterable[Check]]


def examine(settings: Settings, outbox: Path, *, timeout: float = 3.0, deadline: float = 9.0) -> list[Check]:
    """Every check there is, in the order data flows.

    Args:
        settings: of the deployment to look at.
        outbox: the file in which `tell` keeps deliveries.
        timeout: seconds a check waits for one answer from elsewhere.
        deadline: seconds after which a check that has not ended is red.
    """
    sections: dict[str, Section] = {
        "broker": partial(check_kafka, settings, timeout),
        "worker": lambda: [check_worker(settings, timeout)],
        "data folder": lambda: [check_data_dir(settings)],
        "keys": lambda: [check_keys(settings)],
        "models": lambda: check_models(settings, timeout),
        "receivers": lambda: check_receivers(settings),
        **{
            f"receiver {name}": partial(_one, check_receiver, name, settings, timeout)
            for name in settings.receivers
        },
        "deliveries": lambda: check_outbox(settings, outbox),
    }
    return _side_by_side(sections, deadline)


def _one(
    check: Callable[[str, Settings, float], Check], name: str, settings: Settings, timeout: float
) -> list[Check]:
    return [check(name, settings, timeout)]


def _side_by_side(sections: dict[str, Section], deadline: float) -> list[Check]:
    results: dict[str, list[Check]] = {}

    def run(name: str, section: Section) -> None:
        results[name] = list(section())

    # Daemon threads, not a pool: what hangs (a name server, a network file system) must not hold up the exit.
    threads = {
        name: threading.Thread(target=run, args=(name, section), name=f"doctor {name}", daemon=True)
        for name, section in sections.items()
    }
    end = time.monotonic() + deadline
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    return [
        check
        for name, thread in threads.items()
        for check in results.get(name)
        or ([_without_answer(name, thread, deadline)] if name not in results else [])
    ]


def _without_answer(name: str, thread: threading.Thread, deadline: float) -> Check:
    if thread.is_alive():
        return red(
            name,
            f"no answer within {deadline:g} s",
            "ask again; if it stays, look at the name server, the network and the disk",
        )
    return red(name, "the check itself has failed, see the traceback", "report it with the traceback")
