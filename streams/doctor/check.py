"""The answer to one question."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Green: as it should be. Yellow: works, but look at it. Red: something is not done that should be."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True)
class Check:
    """One line of the doctor.

    Attributes:
        name: what was looked at.
        status: how it is.
        detail: what was seen; holds no key, no secret and no person.
        remedy: what to do; empty when green.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def green(name: str, detail: str) -> Check:
    """All is well."""
    return Check(name, Status.GREEN, detail)


def yellow(name: str, detail: str, remedy: str) -> Check:
    """It works, but somebody should look at it."""
    return Check(name, Status.YELLOW, detail, remedy)


def red(name: str, detail: str, remedy: str) -> Check:
    """Something is not done that should be."""
    return Check(name, Status.RED, detail, remedy)
