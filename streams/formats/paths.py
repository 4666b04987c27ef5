"""Looking values up in a decoded document by dotted path."""

from __future__ import annotations

from typing import Any


def lookup(document: Any, path: str) -> Any:
    """What stands at a dotted path; None when nothing does.

    A key may contain dots itself, as in flattened documents (`{"user.id": ...}`). A number is a place in a list;
    another step into a list gives what each entry has there.
    """
    if isinstance(document, list):
        head, dot, rest = path.partition(".")
        if head.isdecimal() and len(head) < 7:
            entry = document[int(head)] if int(head) < len(document) else None
            return lookup(entry, rest) if dot else entry
        found: list[Any] = []
        for entry in document:
            one = lookup(entry, path)
            found.extend(one if isinstance(one, list) else () if one is None else (one,))
        return found or None
    if not isinstance(document, dict):
        return None
    if path in document:
        return document[path]
    head, dot, rest = path.partition(".")
    while dot:
        if head in document and (one := lookup(document[head], rest)) is not None:
            return one
        step, dot, rest = rest.partition(".")
        head = f"{head}.{step}"
    return None


def put_at(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with another value where `lookup` finds one; what is not on the path is shared."""
    if path in document:
        return {**document, path: value}
    head, dot, rest = path.partition(".")
    while dot:
        inner = document.get(head)
        if isinstance(inner, dict) and lookup(inner, rest) is not None:
            return {**document, head: put_at(inner, rest, value)}
        step, dot, rest = rest.partition(".")
        head = f"{head}.{step}"
    return document


def scalar(value: Any) -> str:
    """A value as text: the first of a list, nothing of an object or of null."""
    if type(value) is str:
        return value
    if isinstance(value, list):
        return scalar(value[0]) if value and not isinstance(value[0], list) else ""
    if value is None or isinstance(value, dict):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def text(document: Any, *paths: str) -> str:
    """The first of the paths that leads to a value, as text; empty when none does."""
    for path in paths:
        if found := scalar(lookup(document, path)):
            return found
    return ""


def texts(document: Any, *paths: str) -> list[str]:
    """All values of the first path that leads to any, as texts."""
    for path in paths:
        found = lookup(document, path)
        if values := [
            one for entry in (found if isinstance(found, list) else [found]) if (one := scalar(entry))
        ]:
            return values
    return []
