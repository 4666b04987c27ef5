"""Models as bytes: skops files that are equal for equal models, and are read only if they hold nothing but known types.

skops stores a model as arrays and a description of its objects, without pickle, so reading runs no code of the file. It
names things by their address in memory and dates them; here they are numbered and undated instead, so that the SHA-256
of a file identifies what was learnt.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from typing import Any

import skops.io
from sklearn.exceptions import InconsistentVersionWarning

#: Largest file, and largest contents of one when unpacked, bytes.
MOST_BYTES, MOST_UNPACKED = 8_000_000, 64_000_000
MOST_FILES = 500
SCHEMA = "schema.json"
#: Every type a model consists of. Trees are left out on purpose: scikit-learn follows their indices without looking.
TRUSTED = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.tuple",
        "builtins.str",
        "builtins.int",
        "builtins.float",
        "builtins.bool",
        "builtins.NoneType",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.float64",
        "numpy.int64",
        "numpy.int32",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.mixture._gaussian_mixture.GaussianMixture",
        "sklearn.linear_model._logistic.LogisticRegression",
    }
)
#: How skops may be told to build them; others import functions by name.
LOADERS = frozenset(
    {"DictNode", "ListNode", "TupleNode", "JsonNode", "NdArrayNode", "ObjectNode", "TypeNode", "DTypeNode"}
)


class FrozenError(Exception):
    """Bytes that are no model, or one that is not to be trusted; the text says why."""


def freeze(thing: dict[str, Any]) -> bytes:
    """A skops file of plain values, arrays and scikit-learn estimators; equal things give equal bytes."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(thing))) as made:
        schema = json.loads(made.read(SCHEMA))
        ids: dict[int, int] = {}
        names: dict[str, str] = {}
        _number(schema, ids, names)
        parts = [(new, made.read(old)) for old, new in names.items()]
    parts.append((SCHEMA, json.dumps(schema, separators=(",", ":")).encode()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in parts:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _number(node: Any, ids: dict[int, int], names: dict[str, str]) -> None:
    """Number objects and files in the order they are met."""
    if isinstance(node, dict):
        if "__loader__" in node:
            if "__id__" in node:
                node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            if "file" in node:
                node["file"] = names.setdefault(node["file"], f"{len(names)}.npy")
        for child in node.values():
            _number(child, ids, names)
    elif isinstance(node, list):
        for child in node:
            _number(child, ids, names)


def thaw(data: bytes) -> dict[str, Any]:
    """What `freeze` made the bytes of.

    Raises:
        FrozenError: they are damaged, too large, of another version of scikit-learn, or hold a type that is not
            trusted; nothing of them has been run.
    """
    try:
        _audit(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            thing = skops.io.loads(data, trusted=[])
    except InconsistentVersionWarning as exc:
        raise FrozenError(
            f"it was made with scikit-learn {exc.original_sklearn_version}, here is {exc.current_sklearn_version}"
        ) from None
    except zipfile.BadZipFile:
        raise FrozenError("it is no skops file, or is damaged") from None
    except (
        # What skops, json and numpy raise of descriptions and arrays that do not fit together.
        ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, RuntimeError,
        TypeError, ValueError, zlib.error,
    ) as exc:  # fmt: skip
        raise FrozenError(f"its contents do not fit together ({type(exc).__name__})") from None
    if type(thing) is not dict:
        raise FrozenError("it holds something else than a model")
    return thing


def _audit(data: bytes) -> None:
    """Refuse what is too large or holds anything but known types, before skops looks at it."""
    if len(data) > MOST_BYTES:
        raise FrozenError(f"it has {len(data):,} bytes, more than {MOST_BYTES:,}")
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        infos = file.infolist()
        if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > MOST_UNPACKED:
            raise FrozenError(f"unpacked it has more than {MOST_UNPACKED:,} bytes or {MOST_FILES} files")
        schema = json.loads(file.read(SCHEMA))
    strange: set[str] = set()
    _types(schema, strange)
    if strange:
        # Whatever the file says of itself: short, and nothing a terminal would act on.
        shown = ", ".join(repr(name[:80]) for name in sorted(strange)[:5])
        raise FrozenError(f"it holds types that are not trusted: {shown}")


def _types(node: Any, strange: set[str]) -> None:
    if isinstance(node, dict):
        if "__class__" in node or "__loader__" in node or "__module__" in node:
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if name not in TRUSTED:
                strange.add(name)
            elif node.get("__loader__") not in LOADERS:
                strange.add(f"{name} by {node.get('__loader__')}")
        for child in node.values():
            _types(child, strange)
    elif isinstance(node, list):
        for child in node:
            _types(child, strange)
