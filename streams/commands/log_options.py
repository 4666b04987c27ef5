"""Options of commands that work on what was logged before: the history instead of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

_DAY = click.DateTime(["%Y-%m-%d"])


class Days(NamedTuple):
    """What was chosen of a history.

    Attributes:
        root: its folder.
        carriers: whose; None for all.
        since, until: first and last local day, both included; None for all there are.
    """

    root: Path
    carriers: tuple[str, ...] | None
    since: date | None
    until: date | None

    def blocks(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
        """Labelled touches, see `streams.history.touches.archived`."""
        from streams.history.touches import archived

        return archived(*self, progress=progress)

    def rows(self) -> int:
        """How many rows there are, about: late reasons lie by another day. Raises ArchiveError."""
        from streams.history.archive_reader import contents

        return sum(
            content.rows
            for content in contents(self.root)
            if (self.carriers is None or content.carrier in self.carriers)
            and (self.since is None or content.day >= self.since)
            and (self.until is None or content.day <= self.until)
        )


def history_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command `--history`, `--since`, `--until`, `--carrier`; it gets them as `history: Days | None`."""

    @wraps(command)
    def with_history(
        *args: Any,
        root: Path | None,
        carriers: tuple[str, ...],
        since: datetime | None,
        until: datetime | None,
        **kwargs: Any,
    ) -> Any:
        if root is None and (carriers or since or until):
            raise click.UsageError("--carrier, --since and --until choose from a history; give --history DIR")
        days = None
        if root is not None:
            days = Days(
                root, carriers or None, since.date() if since else None, until.date() if until else None
            )
        return command(*args, history=days, **kwargs)

    for option in (
        click.option("--until", type=_DAY, help="With --history: last local day."),
        click.option("--since", type=_DAY, help="With --history: first local day."),
        click.option(
            "--carrier", "carriers", multiple=True, help="With --history: only this carrier's. Repeatable."
        ),
        click.option(
            "--history",
            "root",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Labelled touches as `parcelwatch history write` keeps them, instead of files.",
        ),
    ):
        with_history = option(with_history)
    return with_history


def one_source(history: Days | None, events: Path | None, files_only: Mapping[str, object]) -> None:
    """See that there is either a history or a file of events, and no option that only goes with files.

    Args:
        files_only: values of those options by name; empty when not given.

    Raises:
        UsageError: otherwise.
    """
    if (history is None) == (events is None):
        raise click.UsageError("give either --events FILE or --history DIR")
    given = [name for name, value in files_only.items() if value]
    if history is not None and given:
        raise click.UsageError(f"{', '.join(given)}: only with --events; a history is labelled already")
