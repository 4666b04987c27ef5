"""Prints those entries of requirements.lock, hashes and all, that a running parcelwatch needs: no tests, no linters.

Run it in the development environment after `make lock`:
python deploy/docker/runtime_lock.py > deploy/docker/requirements.lock
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
#: Extras the image has: they are small, and without them receivers of kind chat and Sigma rules are refused.
EXTRAS = ("chat", "sigma")
#: Builds parcelwatch's own wheel; removed before the last stage.
BUILD = ("setuptools",)
HEADER = "# Made by deploy/docker/runtime_lock.py from requirements.lock; make it anew after `make lock`.\n"


def blocks() -> dict[str, str]:
    """Entries of requirements.lock by package name."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    entries: dict[str, str] = {}
    for block in found:
        # A package has several entries where its version depends on Python's.
        name = canonicalize_name(re.split(r"[=<>! ;\[]", block, maxsplit=1)[0])
        entries[name] = entries.get(name, "") + block
    return entries


def needed(locked: dict[str, str]) -> set[str]:
    """Names of what is needed; markers that speak of other systems are taken to hold, the lock keeps them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    queue = [Requirement(line) for line in [*project["dependencies"], *optional, *BUILD]]
    seen: set[tuple[str, frozenset[str]]] = set()
    names: set[str] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name not in locked or (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        names.add(name)
        try:
            further = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            # Of another system; the lock has what it needs.
            continue
        for one in further:
            extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", str(one.marker or ""))
            if extra is None or extra[1] in requirement.extras:
                queue.append(one)
    return names


def runtime_lock() -> str:
    """The text of deploy/docker/requirements.lock."""
    locked = blocks()
    wanted = needed(locked)
    return HEADER + "".join(block for name, block in locked.items() if name in wanted)


if __name__ == "__main__":
    sys.stdout.write(runtime_lock())
