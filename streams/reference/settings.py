"""Tables of all settings: names, defaults, what they may be, and what they mean."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from streams.reference.docstrings import attributes, summary
from streams.reference.markdown import code, table
from streams.settings import Settings

#: What stands for the name in a table of tables.
NAMES = {"carriers": "CODE"}
_BOUNDS = (("gt", "above {}"), ("ge", "from {}"), ("lt", "below {}"), ("le", "to {}"))
_PLAIN: dict[Any, str] = {
    str: "text",
    Path: "a path",
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
}


def settings_tables() -> str:
    """One table for the settings themselves, one for each table among them."""
    return "\n\n".join(_sections(Settings, ""))


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    """The model's table, and after it those of the models its fields hold."""
    yield _table(model, set(model.model_fields))
    for name, info in model.model_fields.items():
        models = list(_models(info.annotation))
        if not models:
            continue
        many = f".{NAMES.get(name, 'NAME')}" if _is_mapping(info) else ""
        title = f"{path}{name}{many}"
        shared = set.intersection(*(set(kind.model_fields) for kind in models)) - {"kind"}
        if len(models) == 1:
            yield f"## `{title}`\n\n{summary(models[0])}"
            yield from _sections(models[0], f"{title}.")
            continue
        base = next(kind for kind in models[0].__mro__ if all(issubclass(one, kind) for one in models))
        yield f"## `{title}`\n\n{summary(base)}"
        yield _table(models[0], shared)
        for kind in models:
            [called] = get_args(kind.model_fields["kind"].annotation)
            yield f"### `{title}`, kind `{called}`\n\n{summary(kind)}"
            yield _table(kind, set(kind.model_fields) - shared - {"kind"})


def _table(model: type[BaseModel], names: set[str]) -> str:
    meanings = attributes(model)
    rows = [
        (code(name), _default(info), _allowed(info), _linked(meanings[name]))
        for name, info in model.model_fields.items()
        if name in names
    ]
    return table(("setting", "default", "may be", "meaning"), rows) if rows else "Nothing of its own."


def _linked(text: str) -> str:
    """The text with pages of docs/ as links; the page that is made stands among them."""
    return re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", text)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is None or value in ((), {}, "") or isinstance(value, BaseModel):
        return "none"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()  # a default stands in the code for all to read
    if isinstance(value, tuple):
        return code(*map(str, value))
    return code(str(value).lower() if isinstance(value, bool) else str(value))


def _allowed(info: FieldInfo) -> str:
    if any(_models(info.annotation)):
        return "a table, below"
    kind = _bare(info.annotation)
    if "SecretStr" in repr(info.annotation):
        return "secrets" if get_origin(kind) in (tuple, list) else "a secret"
    if get_origin(kind) is Literal:
        return code(*map(str, get_args(kind)))
    if get_origin(kind) in (tuple, list):
        return "list of texts"
    bounds = [
        text.format(f"{getattr(part, limit):,}".removesuffix(".0"))
        for limit, text in _BOUNDS
        for part in info.metadata
        if getattr(part, limit, None) is not None
    ]
    return " ".join([_PLAIN[kind], *bounds])


def _bare(annotation: Any) -> Any:
    """A type without `None` and without what pydantic hangs on it."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        [kind] = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _bare(kind)
    return annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every settings model within a type, in order."""
    if isinstance(annotation, type) and not get_args(annotation):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for part in get_args(annotation):
        yield from _models(part)


def _is_mapping(info: FieldInfo) -> bool:
    return get_origin(_bare(info.annotation)) is dict
