"""A worker process under measurement: started, watched through /proc, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cluster import BenchmarkError

ROOT = Path(__file__).parent.parent
STOP_SECONDS = 30
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process has used since it started.

    Attributes:
        cpu: seconds of processor time, user and system, of all its threads.
        peak_rss: largest resident memory so far, MB (10^6 bytes).
    """

    cpu: float
    peak_rss: float


class Worker:
    """One worker process.

    Args:
        command: argument vector.
        env: variables set on top of the benchmark's own.
        log: where its output goes.
    """

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self._command, self._env, self._log = command, env, log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        if not Path("/proc/self/stat").exists():
            raise BenchmarkError("processor time and memory are read from /proc: run the benchmark on Linux")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env={**os.environ, **self._env}, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def usage(self) -> Usage:
        """What it has used so far.

        Raises:
            BenchmarkError: it has ended; the text shows the end of its output.
        """
        assert self._process is not None
        if self._process.poll() is None:
            folder = Path("/proc") / str(self._process.pid)
            # The second field, the program's name, may hold spaces: count from its closing bracket.
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            # A process that ended meanwhile is listed until it is waited for, but has no memory any more.
            if "VmHWM" in status:
                return Usage(
                    cpu=(int(stat[11]) + int(stat[12])) / _TICKS,
                    peak_rss=int(status["VmHWM"].split()[0]) * 1024 / 1e6,
                )
        code = self._process.wait()
        raise BenchmarkError(f"the worker ended with code {code}; {self.last_words()}")

    def last_words(self) -> str:
        """The end of its output, for an error message."""
        lines = self._log.read_text(errors="replace").splitlines()[-15:]
        return f"its output ({self._log}) ends:\n" + "\n".join(lines)
