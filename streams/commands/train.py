"""`parcelwatch train`: a model of what is usual, from the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from streams.commands.common import plain_errors, plain_settings, progress_bar
from streams.commands.log_options import Days, history_options
from streams.flow.control import VERDICTS, ControlRecord
from streams.flow.events import decode_block
from streams.history.archive_files import ArchiveError
from streams.history.files import FileError

if TYPE_CHECKING:
    from models.dataset import Dataset, Rows
    from models.model import Model, ModelPair
    from models.registry import Card

_EPOCH = date(1970, 1, 1)
_FOLDER = click.Path(file_okay=False, path_type=Path)
#: Characters of a SHA-256 that are enough to name a model.
SHOWN = 12


@click.command()
@history_options
@click.option(
    "--verdicts",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Learn from analysts' verdicts: a file of `parcelwatch verdict list --out`.",
)
@click.option(
    "--models", "folder", type=_FOLDER, metavar="DIR", help="Where to store it. Default: models_dir."
)
def command(history: Days | None, verdicts: Path | None, folder: Path | None) -> None:
    """Train a model of people's hours and days on the history, and store it.

    The last fifth of the days is held out: on it the model is tried, not trained. Without verdicts it learns what
    is usual; with them, what told confirmed leaks from all else. Nothing changes in the stream until `parcelwatch
    model shadow` and `promote`. docs/models.md says more.

    \b
    Examples:
      $ parcelwatch train --history history --carrier vnx --since 2026-09-01
      $ parcelwatch train --history history --verdicts verdicts.ndjson
    """
    # Here and not above: scikit-learn takes a second to import, and --help needs none of it.
    from models.registry import ModelError, Registry
    from models.training import TrainingError

    with plain_errors(ArchiveError, FileError, ModelError, TrainingError):
        settings = plain_settings()
        days = history or Days(settings.history_path, None, None, None)
        leaks = _leaks(verdicts) if verdicts is not None else None
        dataset = read_dataset(days)
        click.echo(_facts(dataset))
        pair, evaluation = _trained(dataset, days, leaks)
        card = Registry(folder or settings.models_path).save(
            pair, datetime.now(UTC).isoformat(timespec="seconds"), evaluation
        )
    _print_evaluation(pair, dataset, card)
    carrier = days.carriers[0] if days.carriers else "CODE"
    click.echo(f"stored as {card.sha256}, {card.bytes:,} bytes, in {folder or settings.models_path}")
    elsewhere = "" if folder in (None, settings.models_path) else " (workers look for it in models_dir)"
    click.echo(
        f'next: parcelwatch model shadow {card.sha256[:SHOWN]} --carrier {carrier} --why "trained today"{elsewhere}'
    )


def read_dataset(days: Days) -> Dataset:
    """Hours and days of the people in the history, in the order of the log, with a progress bar.

    Raises:
        ArchiveError: the history is missing or damaged, or has no touch of what was asked for.
    """
    from models.dataset import Recorder

    recorder = Recorder()
    with _progress(days.rows()) as advance:
        for value in days.blocks(advance):
            block = decode_block(value)
            for row in block.touches:
                row.who = block.people[row.who]
            recorder.add(block.touches)
    return recorder.finish()


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    bar = progress_bar()
    task = bar.add_task("reading the history", total=total or None)
    with bar:
        yield lambda rows: bar.update(task, advance=rows)


class Leaks(NamedTuple):
    """What a file of verdicts says.

    Attributes:
        episodes: of true positives: token, first and last event time, ms.
        others: number of verdicts that are false_positive or benign.
    """

    episodes: list[tuple[str, int, int]]
    others: int


class _Verdict(ControlRecord):
    start_time: int = -1
    end_time: int = -1


def _leaks(path: Path) -> Leaks:
    """The verdicts of a file; the last one on an alert counts."""
    decoder = msgspec.json.Decoder(_Verdict)
    latest: dict[str, _Verdict] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        raise FileError(f"cannot read {path}: {exc.strerror}; --verdicts names a file of verdicts") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _bad_line(path, number, "is no control record") from None
        if record.kind != "verdict" or record.value not in VERDICTS:
            raise _bad_line(path, number, f"is no verdict ({', '.join(VERDICTS)})")
        if not 0 <= record.start_time <= record.end_time or not record.actor:
            raise _bad_line(path, number, "lacks actor, start_time or end_time (ms) of its alert")
        latest[record.alert or f"line {number}"] = record
    true = [one for one in latest.values() if one.value == VERDICTS[0]]
    episodes = [(one.actor, one.start_time, one.end_time) for one in true]
    return Leaks(episodes, len(latest) - len(true))


def _bad_line(path: Path, number: int, what: str) -> FileError:
    return FileError(
        f"{path}, line {number}: {what}; write the file with `parcelwatch verdict list --out FILE`"
    )


def _trained(dataset: Dataset, days: Days, leaks: Leaks | None) -> tuple[ModelPair, dict[str, float]]:
    from models.assessment import LEAST_DAYS, held_out, shares_above
    from models.dataset import labels
    from models.model import ModelPair, TrainedOn
    from models.training import TrainingError, fit_supervised, fit_unsupervised

    known = len(set(dataset.days.day.tolist()))
    if known < LEAST_DAYS:
        raise TrainingError(
            f"too little history to train on: {known} days with people in them, {LEAST_DAYS} are needed, since the "
            "last fifth is held out; wait some days, or give more of them"
        )
    if leaks is not None:
        absent = sum(token not in dataset.people for token, _, _ in leaks.episodes)
        click.echo(
            f"verdicts: {len(leaks.episodes):,} true positives, {leaks.others:,} others"
            + f"; {absent:,} of persons who are not in this history: they teach nothing" * bool(absent)
        )
    made: dict[str, Model] = {}
    evaluation: dict[str, float] = {}
    for kind, rows in dataset.kinds.items():
        aside = held_out(rows)
        train, test = rows.where(~aside), rows.where(aside)
        about = TrainedOn(
            len(train), len(set(train.person.tolist())), _iso(train, 0), _iso(train, -1), days.carriers or ()
        )
        evaluation |= {f"held_out_{kind}s": float(len(test))}
        if leaks is None:
            made[kind] = fit_unsupervised(train.x, kind, about)
            evaluation |= shares_above(made[kind], test)
            continue
        y, y_test = labels(dataset, train, leaks.episodes), labels(dataset, test, leaks.episodes)
        made[kind] = fit_supervised(train.x, y, kind, about._replace(leaks=int(y.sum())))
        evaluation |= shares_above(made[kind], test.where(y_test == 0))
        evaluation |= {f"held_out_leak_{kind}s": float(y_test.sum())}
        evaluation |= {f"leak_{k}": n for k, n in shares_above(made[kind], test.where(y_test == 1)).items()}
    return ModelPair(made["hour"], made["day"]), evaluation


def _iso(rows: Rows, place: int) -> str:
    return (_EPOCH + timedelta(days=int(sorted(rows.day.tolist())[place]))).isoformat() if len(rows) else ""


def _facts(dataset: Dataset) -> str:
    return (
        f"{dataset.touches:,} touches of {len(dataset.people):,} people: {len(dataset.hours):,} person-hours, "
        f"{len(dataset.days):,} person-days on {len(set(dataset.days.day.tolist())):,} days; "
        f"{dataset.service_touches:,} touches of service accounts are left out"
    )


def _print_evaluation(pair: ModelPair, dataset: Dataset, card: Card) -> None:
    from models.assessment import LEVELS, held_out, top_features

    for model in (pair.day, pair.hour):
        kind, about, figures = model.bucket, model.trained_on, card.evaluation
        click.echo(
            f"person-{kind}s: {model.kind}, trained on {about.rows:,} of {about.persons:,} people, "
            f"{about.first_day} to {about.last_day}" + f", {about.leaks:,} of them leaks" * bool(about.leaks)
        )
        shares = ", ".join(f"{figures[f'{kind}s_above_{n}']:.3%} above {n}" for n in LEVELS)
        click.echo(f"  {figures[f'held_out_{kind}s']:,.0f} held out: surprise {shares}")
        if count := figures.get(f"held_out_leak_{kind}s"):
            shares = ", ".join(f"{figures[f'leak_{kind}s_above_{n}']:.0%} above {n}" for n in LEVELS)
            click.echo(f"  {count:,.0f} of them confirmed leaks: surprise {shares}")
        rows = dataset.kinds[kind]
        top = top_features(model, rows.where(held_out(rows)))[:5]
        click.echo(
            "  what speaks most: " + (", ".join(f"{name} {share:.0%}" for name, share in top) or "nothing")
        )
