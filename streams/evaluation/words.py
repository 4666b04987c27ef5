"""How the figures of a report are written, on the terminal and in HTML alike."""

from __future__ import annotations

from typing import Any

CAPTIONS = {
    "recall": "Episodes of each shape that parcelwatch found. Whiskers: least and most over seeds.",
    "curve": "Recall against false alerts as the cut on the alert's score moves; bands: least and most over seeds.",
    "calibrated": "At the strictness that kept to the alert budget in the second half of the warm-up.",
    "gone": "Share of a found episode's records taken before the access that raised the first alert.",
}
_TITLES = {
    "standard": "Episodes at the sizes of the domain",
    "hard": "Hard variant: a quarter of the sizes",
}


def titles(variant: str) -> str:
    """What a variant is called."""
    return _TITLES.get(variant, variant)


def share(spread: dict[str, Any]) -> str:
    """A share as percent, with least and most where they differ.

    >>> share({"median": 0.5, "min": 0.4, "max": 0.5}), share({"median": None})
    ('50 % (40–50)', '–')
    """
    if spread["median"] is None:
        return "–"
    low, middle, high = (f"{100 * spread[key]:.0f}" for key in ("min", "median", "max"))
    return f"{middle} %" if low == high else f"{middle} % ({low}–{high})"


def number(spread: dict[str, Any], digits: int = 0) -> str:
    """A number, with least and most where they differ.

    >>> number({"median": 1234, "min": 1000, "max": 2000})
    '1,234 (1,000–2,000)'
    """
    if spread["median"] is None:
        return "–"
    low, middle, high = (f"{spread[key]:,.{digits}f}" for key in ("min", "median", "max"))
    return middle if low == high else f"{middle} ({low}–{high})"
