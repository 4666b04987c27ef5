"""Rule files: YAML documents with the line each key stands on. Nothing is known of Sigma here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

#: Bytes a rule file may have, and depth it may be nested to.
LARGEST, DEEPEST = 256 * 1024, 50
SUFFIXES = (".yml", ".yaml")
INSTALL = "Sigma rules need pySigma, which is an extra: pip install 'parcelwatch[sigma]'"


class Fault(NamedTuple):
    """One thing that is wrong: where, what, and how to mend it."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


class RuleError(Exception):
    """Rules that cannot be used.

    Attributes:
        faults: everything that was found wrong, a line each.
    """

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class Document(NamedTuple):
    """One YAML document.

    Attributes:
        path: file. line: on which it begins, from 1. data: its mapping. lines: of its keys, in order.
    """

    path: str
    line: int
    data: dict[str, Any]
    lines: tuple[tuple[str, int], ...]

    def line_of(self, *names: str) -> int:
        """Where the first of these keys stands, with or without modifiers; else where the document begins."""
        for name in names:
            for key, line in self.lines:
                if key == name or key.startswith(f"{name}|"):
                    return line
        return self.line

    def fault(self, text: str, *names: str) -> Fault:
        """A fault at the first of these keys."""
        return Fault(self.path, self.line_of(*names), text)


def rule_files(folder: Path) -> list[Path]:
    """The rule files of a folder, and of those in it, by name; or the one file that is named.

    Raises:
        RuleError: there are none.
    """
    if folder.is_file():
        return [folder]
    found = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not found:
        why = "it holds no .yml or .yaml file" if folder.is_dir() else "there is no such file or folder"
        raise RuleError(Fault(str(folder), 0, f"{why}; name the folder of your rules"))
    return found


def read_documents(path: Path) -> list[Document]:
    """The documents of a file. Raises RuleError."""
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise RuleError(Fault(str(path), 0, f"it cannot be read: {exc.strerror}")) from None
    return parse_documents(raw, str(path))


def parse_documents(raw: bytes, path: str) -> list[Document]:
    """The documents of a text. Raises RuleError, and nothing else whatever the bytes are."""
    if len(raw) > LARGEST:
        raise RuleError(Fault(path, 0, f"it has more than {LARGEST // 1024} KiB; split it"))
    try:
        import yaml
    except ImportError:
        raise RuleError(Fault(path, 0, INSTALL)) from None
    try:
        text = raw.decode()
        documents = []
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if not isinstance(node, yaml.MappingNode):
                if node is not None and node.value:
                    raise RuleError(
                        Fault(path, node.start_mark.line + 1, "a rule is a mapping of keys to values")
                    )
                continue
            lines = tuple(_lines(path, node, set(), 0))
            data = yaml.SafeLoader("").construct_document(node)
            documents.append(Document(path, node.start_mark.line + 1, data, lines))
        return documents
    except UnicodeDecodeError as exc:
        raise RuleError(Fault(path, 0, f"it is not UTF-8, at byte {exc.start}; save it as UTF-8")) from None
    except RecursionError:
        raise RuleError(Fault(path, 0, f"it is nested more than {DEEPEST} deep; write it flatter")) from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        why = getattr(exc, "problem", None) or "it has a character that YAML does not allow"
        raise RuleError(
            Fault(path, line, f"it is not YAML: {why}; look for quotes and indentation")
        ) from None
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as exc:
        # PyYAML lets these through for values that only look like dates, numbers or tags of its own.
        raise RuleError(
            Fault(path, 0, f"a value is not what it looks like ({exc}); put it in quotes")
        ) from None


def _lines(path: str, node: Any, seen: set[int], depth: int) -> Iterator[tuple[str, int]]:
    """Keys and their lines; refuses what is legal YAML but no rule needs."""
    line = node.start_mark.line + 1
    if depth > DEEPEST:
        raise RuleError(Fault(path, line, f"it is nested more than {DEEPEST} deep; write it flatter"))
    if node.id != "scalar":
        if id(node) in seen:
            # A few lines of aliases within aliases unfold to gigabytes.
            raise RuleError(Fault(path, line, "YAML aliases (&, *) are not supported; write it out"))
        seen.add(id(node))
    if node.id == "sequence":
        for item in node.value:
            yield from _lines(path, item, seen, depth + 1)
    elif node.id == "mapping":
        names: set[str] = set()
        for key, value in node.value:
            at = key.start_mark.line + 1
            if key.id != "scalar":
                raise RuleError(Fault(path, at, "a key is a plain text"))
            if key.value in names:
                raise RuleError(
                    Fault(path, at, f"{key.value[:64]} stands here twice; the first would be lost")
                )
            names.add(key.value)
            yield key.value, at
            yield from _lines(path, value, seen, depth + 1)
