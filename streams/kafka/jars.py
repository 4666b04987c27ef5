"""The jars Apache Kafka runs from: which ones, their SHA-256, and where they are on this machine.

`jars.lock` fixes all of them, so that nothing is resolved at start and nothing unexpected can be run.
Only jgo's Maven layer is used: `jgo.build` would fetch a second JDK to sort jars into modules for nothing.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo
from jgo.maven import Artifact, MavenContext

from streams.privacy.filelock import file_lock

KAFKA_VERSION = "4.1.1"
#: What all jars together weigh, MB, for the line a user sees while they are fetched.
DOWNLOAD_MB = 44

_FETCH_TIMEOUT = 600.0  # seconds; an unhurried line needs minutes for 44 MB

_LOCK = Path(__file__).with_name("jars.lock")
_KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka's dependency tree has log4j-core but nothing that binds SLF4J 1.7 to it: without this jar there is
# no log. It is added by itself: resolved together with Kafka, log4j's BOM would replace kafka-clients 4.1.1
# by 3.9.1.
_SLF4J_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3")


class JarError(Exception):
    """A jar could not be had; the text names it, the cause and the remedy."""


def missing() -> int:
    """How many jars are not in the local Maven repository and would have to be fetched."""
    return sum(not _cached(artifact).exists() for artifact, _ in _locked())


def classpath() -> str:
    """Java class path of Apache Kafka, after fetching what is missing and checking every jar's SHA-256.

    Jars live in the local Maven repository: `~/.m2/repository`, or where the variable M2_REPO says.

    Raises:
        JarError: a jar cannot be fetched, or what was fetched is not the locked one.
    """
    locked = _locked()
    wrong = [(artifact, digest) for artifact, digest in locked if _sha256(_cached(artifact)) != digest]
    if wrong:
        repository = Path(MavenContext().repo_cache)
        try:
            # One process at a time: two that write the same jar would spoil it. Threads, since one jar after
            # another is mostly waiting for round trips.
            with file_lock(repository / "parcelwatch.lock", _FETCH_TIMEOUT), ThreadPoolExecutor(8) as pool:
                list(pool.map(_fetch, *zip(*wrong, strict=True)))
        except TimeoutError:
            raise JarError(
                f"another process has been fetching Kafka for {_FETCH_TIMEOUT:.0f} s; end it and try again"
            ) from None
        except OSError as exc:
            raise JarError(
                f"cannot write to the Maven repository {repository} ({exc.strerror}); make it writable, or "
                f"set M2_REPO to a folder that is"
            ) from None
    return os.pathsep.join(str(_cached(artifact)) for artifact, _ in locked)


def write_lock() -> None:
    """Resolve Kafka's jars anew and write `jars.lock`; for maintainers, see `make lock`."""
    artifacts = jgo.resolve(_KAFKA)
    group, name, version = _SLF4J_BINDING
    artifacts.append(MavenContext().project(group, name).at_version(version).artifact())
    lines = sorted(f"{a.groupId}:{a.artifactId}:{a.version} {_sha256(a.resolve())}\n" for a in artifacts)
    _LOCK.write_text("".join(lines), encoding="utf-8")


def _locked() -> list[tuple[Artifact, str]]:
    context = MavenContext()
    locked = []
    for line in _LOCK.read_text(encoding="utf-8").splitlines():
        coordinate, digest = line.split()
        group, name, version = coordinate.split(":")
        locked.append((context.project(group, name).at_version(version).artifact(), digest))
    return locked


def _cached(artifact: Artifact) -> Path:
    path = artifact.cached_path
    assert path is not None, "MavenContext always has a repository cache"
    return Path(path).absolute()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _fetch(artifact: Artifact, digest: str) -> None:
    path = _cached(artifact)
    if _sha256(path) == digest:  # another process was quicker
        return
    try:
        # A download that was cut off stays in the cache as a whole jar would; it must go first.
        path.unlink(missing_ok=True)
        artifact.resolve()
    except (OSError, RuntimeError) as exc:  # requests' errors are OSErrors, jgo raises RuntimeError
        # Not the exception's own text: it may hold the address of a proxy with its password.
        cause = getattr(exc, "strerror", None) or type(exc).__name__
        raise JarError(
            f"Apache Kafka {KAFKA_VERSION} is not on this machine, and {path.name} could not be fetched from "
            f"Maven Central into {MavenContext().repo_cache} ({cause}). Either run this once with network "
            f"access (behind a proxy set HTTPS_PROXY), or copy that folder from a machine where it worked "
            f"(M2_REPO may name another place), or set PARCELWATCH_BROKER to a running Kafka, host:port."
        ) from None
    found = _sha256(path)
    if found != digest:
        path.unlink(missing_ok=True)
        raise JarError(
            f"{path.name} as fetched from Maven Central has SHA-256 {found or 'none'}, but {digest} is "
            f"locked. It was deleted; run this again, and if that repeats, see what on the way alters files."
        )
