"""One process at a time: a lock that the operating system drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path, timeout: float) -> Iterator[int]:
    """Hold the lock on `path`, which is made when absent (as is its folder), and stays.

    Yields the lock's file descriptor: a child process that inherits it holds the lock too, until it ends.

    Args:
        path: the lock file.
        timeout: seconds to wait for another holder.

    Raises:
        TimeoutError: another holder had it all that time.
        OSError: the file cannot be made or opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is locked by another process") from None
            time.sleep(0.05)
        yield file.fileno()
