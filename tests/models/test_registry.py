"""A stored model comes back as it was, or not at all with the reason; and no file can make reading it run code."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import IsolationForest

from models import frozen, model, registry
from models.features import DAY_FEATURES
from models.frozen import SCHEMA
from models.model import ModelPair
from models.registry import ModelError, Registry
from tests.model_rows import leaks, ordinary, pair

MADE = "2026-11-24T10:00:00+00:00"


@pytest.fixture(scope="module")
def models() -> ModelPair:
    return pair()


@pytest.fixture
def folder(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def planted(folder: Registry, data: bytes) -> str:
    """The name of a file put there by somebody who knows that names are SHA-256."""
    sha = sha256(data).hexdigest()
    folder.root.mkdir(parents=True, exist_ok=True)
    (folder.root / f"{sha}.skops").write_bytes(data)
    return sha


def rewritten(data: bytes, schema: Any = None, **files: bytes) -> bytes:
    """A skops file with some of its parts replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        parts = {name: old.read(name) for name in old.namelist()} | files
        if schema is not None:
            parts[SCHEMA] = json.dumps(schema).encode()
        for name, content in parts.items():
            new.writestr(name, content)
    return buffer.getvalue()


def schema_of(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return json.loads(file.read(SCHEMA))


def stored(folder: Registry, models: ModelPair) -> bytes:
    return (folder.root / f"{folder.save(models, MADE).sha256}.skops").read_bytes()


def test_a_model_comes_back_with_the_same_surprises_reasons_and_drift(
    folder: Registry, models: ModelPair
) -> None:
    loaded = folder.load(folder.save(models, MADE).sha256)
    x = np.vstack([ordinary(50), leaks(5)])
    assert loaded.day.surprise(x).tolist() == models.day.surprise(x).tolist()
    assert loaded.day.explain(x[-1]) == models.day.explain(x[-1])
    assert loaded.day.trained_on == models.day.trained_on
    assert [c.tolist() for c in loaded.hour.reference.counts] == [
        c.tolist() for c in models.hour.reference.counts
    ]


def test_the_same_data_gives_the_same_bytes_and_other_data_others(
    folder: Registry, models: ModelPair
) -> None:
    first = folder.save(models, MADE).sha256
    assert folder.save(pair(), "2027-01-01T00:00:00+00:00").sha256 == first
    assert folder.save(folder.load(first), MADE).sha256 == first
    assert folder.save(pair(seed=2), MADE).sha256 != first
    assert len(folder.names()) == 2


def test_the_card_says_what_the_model_is(folder: Registry, models: ModelPair) -> None:
    saved = folder.save(models, MADE, {"days_above_3": 0.001})
    card = folder.card(saved.sha256)
    assert card == saved
    assert (card.kind, card.made, card.evaluation) == ("unsupervised", MADE, {"days_above_3": 0.001})
    assert card.trained_on["day"].rows == 400
    assert card.bytes == (folder.root / f"{card.sha256}.skops").stat().st_size < 200_000


def test_a_model_is_found_by_the_beginning_of_its_name(folder: Registry, models: ModelPair) -> None:
    sha = folder.save(models, MADE).sha256
    assert folder.find(sha[:8]) == folder.find(sha) == sha
    for begin, why in (
        (sha[:7], "first 8"),
        ("f" * 64, "there is no model"),
        ("../../etc/passwd", "names no"),
    ):
        with pytest.raises(ModelError, match=why):
            folder.find(begin)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_name_from_a_control_record_leads_nowhere_else(folder: Registry, name: str) -> None:
    for read in (folder.load, folder.card):
        with pytest.raises(ModelError, match="is no SHA-256"):
            read(name)


def test_a_missing_model_is_named_with_the_remedy(folder: Registry) -> None:
    with pytest.raises(ModelError, match=r"there is no .*0\.skops; copy it there .* `parcelwatch train`"):
        folder.load("0" * 64)


@pytest.mark.parametrize("place", [0, 1_000, -1])
def test_one_flipped_byte_is_noticed(folder: Registry, models: ModelPair, place: int) -> None:
    sha = folder.save(models, MADE).sha256
    path = folder.root / f"{sha}.skops"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="is damaged: its SHA-256 is not its name"):
        folder.load(sha)


def test_a_save_that_cannot_write_says_which_setting_and_leaves_nothing(
    tmp_path: Path, models: ModelPair
) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ModelError, match="PARCELWATCH_MODELS_DIR"):
        Registry(tmp_path / "models").save(models, MADE)


def test_a_save_that_dies_leaves_no_model_that_is_listed(
    folder: Registry, models: ModelPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left on device"):
        folder.save(models, MADE)
    assert list(folder.root.iterdir()) == []


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_a_pickle_instead_of_a_model_is_not_run(folder: Registry, tmp_path: Path) -> None:
    sha = planted(folder, pickle.dumps(Bomb(tmp_path / "run")))
    with pytest.raises(ModelError, match="it is no skops file"):
        folder.load(sha)
    assert not (tmp_path / "run").exists()


def test_a_pickle_inside_a_model_is_not_run(folder: Registry, models: ModelPair, tmp_path: Path) -> None:
    data = stored(folder, models)
    array = io.BytesIO()
    np.save(array, np.array([Bomb(tmp_path / "run")], object), allow_pickle=True)
    for content in (pickle.dumps(Bomb(tmp_path / "run")), array.getvalue()):
        with pytest.raises(ModelError, match="its contents do not fit together"):
            folder.load(planted(folder, rewritten(data, **{"0.npy": content})))
    assert not (tmp_path / "run").exists()


def test_a_function_called_by_name_is_not_run(folder: Registry, models: ModelPair, tmp_path: Path) -> None:
    data = stored(folder, models)
    for loader in (
        "FunctionNode",
        "ConstructorFromReduceNode",
        "PartialNode",
        "OperatorFuncNode",
        "MethodNode",
    ):
        schema = schema_of(data)
        schema["content"]["format"] = {
            "__class__": "system", "__module__": "os", "__loader__": loader, "__id__": 999_999,
            "content": {"args": f"touch {tmp_path}/run"},
        }  # fmt: skip
        with pytest.raises(ModelError, match=r"types that are not trusted: 'os\.system'"):
            folder.load(planted(folder, rewritten(data, schema)))
    schema["content"]["format"] |= {"__class__": "str", "__module__": "builtins"}
    with pytest.raises(ModelError, match=r"'builtins\.str by MethodNode'"):
        folder.load(planted(folder, rewritten(data, schema)))
    assert not (tmp_path / "run").exists()


def test_trees_are_not_trusted_since_their_indices_are_followed_blindly(folder: Registry) -> None:
    forest = IsolationForest(n_estimators=2, random_state=0).fit(ordinary())
    with pytest.raises(ModelError, match="not trusted"):
        folder.load(planted(folder, skops.io.dumps({"format": 1, "hour": forest, "day": forest})))


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(folder: Registry) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(SCHEMA, b" " * (frozen.MOST_UNPACKED + 1))
    assert len(buffer.getvalue()) < frozen.MOST_BYTES
    with pytest.raises(ModelError, match="unpacked it has more than"):
        folder.load(planted(folder, buffer.getvalue()))


@pytest.mark.parametrize("raw", [b"", b"[" * 100_000, b"{}", b"null", b"\xff", b'{"content": 1}'])
def test_a_description_that_makes_no_sense_is_refused(
    folder: Registry, models: ModelPair, raw: bytes
) -> None:
    with pytest.raises(ModelError, match=r"cannot use .*; train a new one"):
        folder.load(planted(folder, rewritten(stored(folder, models), **{SCHEMA: raw})))


def test_what_is_trusted_but_no_model_is_refused(folder: Registry, models: ModelPair) -> None:
    state = registry._state(models.day)
    things: list[tuple[Any, str]] = [
        ([1], "something else than a model"),
        ({}, "format None"),
        ({"format": 1}, "do not fit together"),
        ({"format": 1, "hour": 3, "day": {}}, "do not fit together"),
        ({"format": 1, "hour": registry._state(models.hour), "day": state | {"kind": "x"}}, "do not fit"),
        (
            {"format": 1, "hour": registry._state(models.hour), "day": state | {"usual": np.zeros(3)}},
            "do not fit",
        ),
    ]
    for thing, why in things:
        with pytest.raises(ModelError, match=why):
            folder.load(planted(folder, skops.io.dumps(thing)))


def test_a_model_of_other_features_is_refused_by_their_names(
    folder: Registry, models: ModelPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = folder.save(models, MADE).sha256
    monkeypatch.setitem(model.FEATURES, "day", (*DAY_FEATURES[:-1], "weekday"))
    with pytest.raises(ModelError, match="day features are not this version's: records_above_own, weekday"):
        folder.load(sha)


def test_a_model_of_another_scikit_learn_is_refused(
    folder: Registry, models: ModelPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = folder.save(models, MADE).sha256
    monkeypatch.setattr(registry, "versions", lambda: {"scikit-learn": "99.0"})
    with pytest.raises(ModelError, match=r"not made with scikit-learn 99\.0"):
        folder.load(sha)


def test_a_model_too_large_to_be_read_is_not_stored(
    folder: Registry, models: ModelPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MOST_BYTES", 1_000)
    with pytest.raises(ModelError, match="1,000 at the most"):
        folder.save(models, MADE)


def test_a_damaged_card_is_named(folder: Registry, models: ModelPair) -> None:
    sha = folder.save(models, MADE).sha256
    (folder.root / f"{sha}.json").write_text("{")
    with pytest.raises(ModelError, match="is no card of a model"):
        folder.card(sha)
