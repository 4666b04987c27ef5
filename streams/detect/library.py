"""Models by SHA-256 from a folder. One that cannot be used is missed and named; the stream goes on without it."""

from __future__ import annotations

from pathlib import Path

import structlog

from models.model import ModelPair

log = structlog.get_logger(__name__)


class ModelLibrary:
    """Reads each model once; one that failed again when its file has changed.

    Args:
        root: the folder of models.

    Attributes:
        problems: why models that were asked for cannot be had, by SHA-256.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._models: dict[str, ModelPair] = {}
        self._failed: dict[str, tuple[int, int] | None] = {}
        self.problems: dict[str, str] = {}
        self._prepared = False

    def prepare(self) -> None:
        """Import what models are read with, once there is a file to read: seconds on a busy machine, so not in a loop
        that heartbeats wait for.
        """
        if not self._prepared and any(self._root.glob("*.skops")):
            import models.registry  # noqa: F401  # for the time it takes

            self._prepared = True

    def get(self, sha: str) -> ModelPair | None:
        """The model of that SHA-256; None when it cannot be had, which is said once in the log."""
        model = self._models.get(sha)
        if model is not None:
            return model
        seen = self._stamp(sha)
        if sha in self._failed and self._failed[sha] == seen:
            return None
        if seen is None:
            self._miss(sha, seen, f"there is no {self._path(sha)}; copy it there from where it was trained")
            return None
        # Here and not above: scikit-learn takes a second and a hundred megabytes, and most workers have no model.
        from models.registry import ModelError, Registry

        try:
            model = self._models[sha] = Registry(self._root).load(sha)
        except ModelError as exc:
            self._miss(sha, seen, str(exc))
            return None
        self._failed.pop(sha, None)
        self.problems.pop(sha, None)
        return model

    def _miss(self, sha: str, seen: tuple[int, int] | None, reason: str) -> None:
        self._failed[sha] = seen
        if self.problems.get(sha) != reason:
            log.error("a model in force cannot be used; going on without it", reason=reason)
        self.problems[sha] = reason

    def _path(self, sha: str) -> Path:
        return self._root / f"{sha}.skops"

    def _stamp(self, sha: str) -> tuple[int, int] | None:
        try:
            stat = self._path(sha).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size
