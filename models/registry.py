"""A folder of trained models, each under the SHA-256 of its bytes, with a card beside it that says what it is."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.drift import Reference
from models.frozen import MOST_BYTES, FrozenError, freeze, thaw
from models.model import SUPERVISED, UNSUPERVISED, Model, ModelPair, TrainedOn, known_features
from models.tail import Tail
from models.training import versions

FORMAT = 1
#: Characters of a SHA-256 that name a model, at the least.
SHORTEST = 8
_SHA = re.compile(r"[0-9a-f]{64}")
_RETRAIN = "train a new one with `parcelwatch train`"


class ModelError(Exception):
    """A model that cannot be stored or used; the text says which, where, why and the remedy."""


class Card(msgspec.Struct, omit_defaults=True):
    """What is known of a stored model without reading it.

    Attributes:
        sha256: of the file, and its name.
        kind: unsupervised or supervised.
        made: RFC 3339 time of training.
        trained_on: by kind of bucket.
        versions: of the libraries that made it.
        evaluation: figures on days held out, by name.
        bytes: size of the file.
    """

    sha256: str
    kind: str
    made: str
    trained_on: dict[str, TrainedOn]
    versions: dict[str, str]
    evaluation: dict[str, float] = {}
    bytes: int = 0


@dataclass(frozen=True)
class Registry:
    """The models in a folder. Files are never changed once they are there.

    Attributes:
        root: the folder; made when the first model is stored.
    """

    root: Path

    def save(self, models: ModelPair, made: str, evaluation: dict[str, float] | None = None) -> Card:
        """Store a model; one that is there already only gets a new card.

        Raises:
            ModelError: it is too large, or the folder cannot be written.
        """
        data = freeze({"format": FORMAT, "hour": _state(models.hour), "day": _state(models.day)})
        if len(data) > MOST_BYTES:
            raise ModelError(
                f"the model has {len(data):,} bytes, {MOST_BYTES:,} at the most can be stored; {_RETRAIN}"
            )
        card = Card(
            sha256=sha256(data).hexdigest(),
            kind=models.day.kind,
            made=made,
            trained_on={model.bucket: model.trained_on for model in models},
            versions=models.day.versions,
            evaluation=evaluation or {},
            bytes=len(data),
        )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._write(f"{card.sha256}.skops", data)
            # The card comes last: a model that is listed is whole.
            self._write(f"{card.sha256}.json", msgspec.json.format(msgspec.json.encode(card)) + b"\n")
        except OSError as exc:
            raise ModelError(
                f"cannot write the model to {self.root}: {exc.strerror}; make room or allow writing there, or set "
                "PARCELWATCH_MODELS_DIR to another folder"
            ) from None
        return card

    def _write(self, name: str, data: bytes) -> None:
        path = self.root / name
        part = path.with_name(f"{name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def load(self, sha: str) -> ModelPair:
        """The model of that SHA-256, checked before anything of it is used.

        Raises:
            ModelError: it is missing or damaged, holds types that are not trusted, or was made by versions of
                scikit-learn or of the features that are not these.
        """
        path = self._path(sha, "skops")
        data = _read(path)
        if sha256(data).hexdigest() != sha:
            raise ModelError(
                f"{path} is damaged: its SHA-256 is not its name; restore it from a backup, or {_RETRAIN}"
            )
        try:
            stored = thaw(data)
            if stored.get("format") != FORMAT:
                raise FrozenError(f"it has format {stored.get('format')!r:.20}, this version reads {FORMAT}")
            return ModelPair(_model("hour", stored.get("hour")), _model("day", stored.get("day")))
        except FrozenError as exc:
            raise ModelError(f"cannot use {path}: {exc}; {_RETRAIN}") from None

    def card(self, sha: str) -> Card:
        """What is known of the model of that SHA-256. Raises ModelError: there is none, or it cannot be read."""
        path = self._path(sha, "json")
        try:
            return msgspec.json.decode(_read(path), type=Card)
        except msgspec.DecodeError as exc:
            raise ModelError(
                f"{path} is no card of a model: {exc}; restore it from a backup, or {_RETRAIN}"
            ) from None

    def names(self) -> list[str]:
        """SHA-256 of every model that has a card."""
        return sorted(path.stem for path in self.root.glob("*.json") if _SHA.fullmatch(path.stem))

    def find(self, begin: str) -> str:
        """The one SHA-256 that begins so.

        Raises:
            ModelError: none does, or several, or it is too short.
        """
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", begin):
            raise ModelError(
                f"{begin!r:.80} names no model: give the first {SHORTEST} to 64 characters of its SHA-256; "
                "`parcelwatch model list` shows them"
            )
        found = [name for name in self.names() if name.startswith(begin)]
        if len(found) != 1:
            why = "there is no model" if not found else f"there are {len(found)} models"
            raise ModelError(f"{why} {begin} in {self.root}; `parcelwatch model list` shows what there is")
        return found[0]

    def _path(self, sha: str, kind: str) -> Path:
        # A name comes from a record of the control topic: it must not lead out of the folder.
        if not _SHA.fullmatch(sha):
            raise ModelError(f"{sha!r:.80} is no SHA-256: 64 characters of 0-9 and a-f name a model")
        return self.root / f"{sha}.{kind}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(
            f"there is no {path}; copy it there from where the model was trained, or {_RETRAIN}"
        ) from None
    except OSError as exc:
        raise ModelError(f"cannot read {path}: {exc.strerror}; allow reading it") from None


def _state(model: Model) -> dict[str, Any]:
    """Plain values, arrays and the pipeline."""
    tail, reference, about = model.tail, model.reference, model.trained_on
    return {
        "kind": model.kind,
        "features": list(model.features),
        "pipeline": model.pipeline,
        "usual": model.usual,
        "tail": [tail.scores, tail.surprises, tail.origin, tail.power],
        "edges": list(reference.edges),
        "counts": list(reference.counts),
        "trained_on": [*about[:4], list(about.carriers), about.leaks],
        "versions": dict(model.versions),
    }


def _model(bucket: str, state: Any) -> Model:
    names = known_features(bucket)
    try:
        features = tuple(state["features"])
        if features != names:
            missing = [
                str(name)[:40] for name in (*features, *names) if (name in features) != (name in names)
            ]
            raise FrozenError(
                f"its {bucket} features are not this version's: {', '.join(missing[:5]) or 'other order'}"
            )
        if state["versions"].get("scikit-learn") != versions()["scikit-learn"]:
            raise FrozenError(
                f"it was not made with scikit-learn {versions()['scikit-learn']}, which is here"
            )
        scores, surprises, origin, power = state["tail"]
        rows, persons, first_day, last_day, carriers, leaks = state["trained_on"]
        model = Model(
            kind={UNSUPERVISED: UNSUPERVISED, SUPERVISED: SUPERVISED}[state["kind"]],
            bucket=bucket,
            features=features,
            pipeline=state["pipeline"],
            usual=np.asarray(state["usual"], np.float64),
            tail=Tail(scores, surprises, float(origin), float(power)),
            reference=Reference(tuple(state["edges"]), tuple(state["counts"])),
            trained_on=TrainedOn(rows, persons, first_day, last_day, tuple(carriers), leaks),
            versions=state["versions"],
        )
        # What does not fit together fails here, not in the middle of the stream.
        works = bool(
            np.isfinite(model.surprise(np.vstack([np.zeros(len(names)), np.full(len(names), 20.0)]))).all()
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise FrozenError(f"its parts do not fit together ({type(exc).__name__})") from None
    if not works:
        raise FrozenError("its scores are no finite numbers")
    return model
