"""`parcelwatch model`: the trained models of a folder. What switches them in the stream is in `model_control`."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import plain_errors, plain_settings
from streams.commands.log_options import Days, history_options
from streams.history.archive_files import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.registry import Registry

#: Characters of a SHA-256 that are shown in lists.
SHOWN = 12


@click.group()
def command() -> None:
    """Trained models: what there is, whether it can be used, whether people still live as it was taught.

    SHA is a model's SHA-256, or its first 8 characters or more. docs/models.md says how a model comes into the
    stream.

    \b
    Example:
      $ parcelwatch model list
      $ parcelwatch model check 5d1f0c9ab2e4
      $ parcelwatch model drift 5d1f0c9ab2e4 --history history --since 2026-11-01
    """


def _registry(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--models`; it gets the folder as `registry`, and its errors end it with one line."""

    @click.option(
        "--models",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder of models. Default: models_dir.",
    )
    @wraps(function)
    def with_registry(*args: Any, folder: Path | None, **kwargs: Any) -> None:
        # Here and not above: scikit-learn takes a second to import, and --help needs none of it.
        from models.registry import ModelError, Registry

        with plain_errors(ModelError, ArchiveError):
            function(*args, registry=Registry(folder or plain_settings().models_path), **kwargs)

    return with_registry


@command.command("list")
@_registry
def list_(registry: Registry) -> None:
    """Show which models there are, the newest first."""
    cards = [registry.card(name) for name in registry.names()]
    if not cards:
        click.echo(f"There is no model in {registry.root}; `parcelwatch train` makes one.")
        return
    table = Table(
        "model", "kind", "made", "first day", "last day", "people", "person-days", "above 3", box=None
    )
    for card in sorted(cards, key=lambda card: (card.made, card.sha256), reverse=True):
        about = card.trained_on["day"]
        share = card.evaluation.get("days_above_3")
        table.add_row(
            card.sha256[:SHOWN], card.kind, card.made, about.first_day, about.last_day, f"{about.persons:,}",
            f"{about.rows:,}", "" if share is None else f"{share:.3%}",
        )  # fmt: skip
    # As wide as its contents, also into a pipe.
    Console(width=1000, highlight=False, markup=False).print(table)
    click.echo(
        "above 3: share of held-out person-days with a surprise of 3 or more; 0.1 % if life stayed the same"
    )


@command.command()
@click.argument("sha")
@_registry
def show(sha: str, registry: Registry) -> None:
    """Show what is known of the model SHA."""
    card = registry.card(registry.find(sha))
    click.echo(f"{card.sha256}\n{card.kind}, made {card.made}, {card.bytes:,} bytes")
    for bucket, about in card.trained_on.items():
        whose = ", ".join(map(repr, about.carriers)) or "all carriers"
        leaks = f", {about.leaks:,} of them leaks" * bool(about.leaks)
        click.echo(
            f"person-{bucket}s: {about.rows:,} of {about.persons:,} people of {whose}, {about.first_day} to "
            f"{about.last_day}{leaks}"
        )
    for name, number in card.evaluation.items():
        click.echo(f"{name}: {number:,.6g}")
    click.echo(", ".join(f"{name} {number}" for name, number in card.versions.items()))


@command.command()
@click.argument("sha")
@_registry
def check(sha: str, registry: Registry) -> None:
    """See whether the model SHA can be used here: whole, trusted, of these versions and features."""
    name = registry.find(sha)
    pair = registry.load(name)
    click.echo(
        f"{name} can be used: {len(pair.hour.features)} features an hour, {len(pair.day.features)} a day"
    )


@command.command()
@click.argument("sha")
@history_options
@_registry
def drift(sha: str, history: Days | None, registry: Registry) -> None:
    """Show how far people's days have moved since the model SHA was trained, by feature.

    The population stability index: below 0.1 stable, from 0.25 shifted, then train again. Choose recent days with
    --since; what an unchanged life gives by chance is shown beside and taken off before it is judged.
    """
    from models.drift import drift as drifts
    from streams.commands.train import read_dataset

    model = registry.load(registry.find(sha)).day
    days = history or Days(plain_settings().history_path, None, None, None)
    rows = read_dataset(days).days
    if not len(rows):
        raise ArchiveError(
            f"the history {days.root} has no person-days in what was asked for; choose other days"
        )
    found = drifts(model.reference, rows.x, model.features)
    table = Table("feature", "PSI", "by chance", "", box=None)
    for one in found:
        table.add_row(one.feature, f"{one.psi:.3f}", f"{one.chance:.3f}", one.verdict)
    Console(width=1000, highlight=False, markup=False).print(table)
    shifted = sum(one.verdict == "shifted" for one in found)
    advice = "train again with `parcelwatch train`" if shifted else "no need to train again"
    click.echo(f"{len(rows):,} person-days, {shifted} of {len(found)} features shifted: {advice}")
