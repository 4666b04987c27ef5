"""Tables and generated parts of Markdown pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

BEGIN, END = "<!-- python -m streams.reference: {} -->", "<!-- end of {} -->"


class PageError(Exception):
    """A page that has no room for a generated part; says which, and the lines to add."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is escaped.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [header, *rows]
    shown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "---|" * len(header), *shown[1:]])


def code(*values: str) -> str:
    """Values in backquotes, with commas between them.

    >>> code("a", "b")
    '`a`, `b`'
    """
    return ", ".join(f"`{value}`" for value in values)


def replaced(page: str, text: str, part: str, content: str) -> str:
    """The page's text with one generated part anew.

    Args:
        page: its name, for errors.

    Raises:
        PageError: when it has no such part, or has it twice.
    """
    begin, end = BEGIN.format(part), END.format(part)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise PageError(f"{page}: the part {part} must stand there once, between the lines {begin} and {end}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"
