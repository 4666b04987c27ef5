"""A condition in words over rules: which of them must have matched."""

from __future__ import annotations

import msgspec


class Presence(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Which rules must have matched: `rule` by number, or `and` or `or` of `args`."""

    op: str
    slot: int = 0
    args: tuple[Presence, ...] = ()


def holds(presence: Presence, present: set[int]) -> bool:
    """Whether the rules that matched fulfil an expression."""
    if presence.op == "rule":
        return presence.slot in present
    return (all if presence.op == "and" else any)(holds(arg, present) for arg in presence.args)
