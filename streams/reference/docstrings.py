"""What docstrings say of a class and of its fields: they are written once, for readers of code and of docs alike."""

from __future__ import annotations

import inspect
import re

_ENTRY = re.compile(r"(?P<names>[a-z_0-9]+(?:, [a-z_0-9]+)*): (?P<text>.+)")
_SECTIONS = re.compile(r"^(Attributes|Args|Raises|Returns|Parameters):$", re.M)


def summary(kind: type) -> str:
    """The docstring up to its first section, paragraphs as they are."""
    return _SECTIONS.split(inspect.cleandoc(kind.__doc__ or ""))[0].strip()


def attributes(kind: type) -> dict[str, str]:
    """Meaning by field, out of the `Attributes:` sections of a class and of those it is made from.

    >>> class Point:
    ...     '''A place.
    ...
    ...     Attributes:
    ...         x, y: metres east and
    ...             north of the depot.
    ...     '''
    >>> attributes(Point)
    {'x': 'metres east and north of the depot', 'y': 'metres east and north of the depot'}
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, _, section = text.partition("Attributes:\n")
        entries: list[str] = []
        for line in re.split(r"^\S", section, maxsplit=1, flags=re.M)[0].splitlines():
            if re.match(r" {4}\S", line):
                entries.append(line.strip())
            elif entries and line.strip():
                entries[-1] += " " + line.strip()
        for entry in entries:
            if matched := _ENTRY.fullmatch(entry):
                text = matched["text"].removesuffix(".")
                found |= dict.fromkeys(matched["names"].split(", "), text)
    return found
