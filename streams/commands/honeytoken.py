"""`parcelwatch honeytoken`: ghost parcels for partners' feeds, which tell whose data is read by whom."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from streams.commands.common import load_keyring, plain_errors
from streams.kafka.honeytokens import (
    Honeytoken,
    HoneytokenError,
    honeytokens_path,
    make_ids,
    pattern_of,
    read_honeytokens,
    watch_parcels,
    write_honeytokens,
)
from streams.kafka.sender import SendError
from streams.kafka.topic_admin import TopicError
from streams.privacy.audit import write_audit
from streams.privacy.tokens import Keyring
from streams.settings import Settings, load_settings

LONGEST_FEED = 64
DEFAULT_COUNT, MOST = 20, 10_000

_errors = plain_errors(HoneytokenError, SendError, TopicError)
_like = click.option(
    "--like",
    metavar="ID",
    help="One of the carrier's ids, whose letters and length are kept; or a pattern, with # for each random "
    "digit. Default: as the carrier's last ones.",
)
_out = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the ids there, readable by you alone, instead of to standard output.",
)
_reason = click.option("--reason", help="Why, for the audit file; default: which feed it is for.")


class FeedName(click.ParamType):
    """The name of a partner feed, as alerts will show it."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not (0 < len(text) <= LONGEST_FEED and text.isprintable() and text == text.strip()):
            self.fail(f"a feed's name is 1 to {LONGEST_FEED} printable characters, e.g. shop-7", param, ctx)
        return text


@click.group()
def command() -> None:
    """Plant ghost parcels in partners' feeds: whoever opens one is told of at once.

    A honeytoken is the id of a parcel that does not exist. Put a set of its own into each partner's feed, and
    an alert names the feed whose data got out. The systems that are watched need an invented record behind each
    id, or a look-up finds nothing and names no parcel; take numbers that are never issued (a reserved range).

    What was planted is in <data_dir>/honeytokens.ndjson as tokens, which `parcelwatch reveal` turns back.
    Planting is written to <data_dir>/reveal-audit.ndjson.

    \b
    Examples:
      $ parcelwatch honeytoken plant --carrier vnx --feed shop-7 --like VN99######## --out shop-7.csv
      $ parcelwatch honeytoken list
      $ parcelwatch honeytoken rotate --feed shop-7 --out shop-7.csv
    """


@command.command()
@click.option("--carrier", required=True, help="Carrier code, as its events spell it.")
@click.option("--feed", required=True, type=FeedName(), help="Partner feed they go into, e.g. shop-7.")
@click.option(
    "--count", type=click.IntRange(1, MOST), default=DEFAULT_COUNT, show_default=True, help="How many."
)
@_like
@_out
@_reason
@_errors
def plant(
    carrier: str, feed: str, count: int, like: str | None, out: Path | None, reason: str | None
) -> None:
    """Make ghost parcels for a partner's feed, watch them from now on, and write their ids as CSV.

    The ids, `parcel,feed` lines under a header, are for the partner's feed and for the invented records behind
    them; in clear they stand only there and, like every carrier's record, in the topic parcel-context. Ids that
    look like UPU S10 (EE123456785VN) have a valid check digit. When anything fails nothing is written out, and
    the command can be run again.
    """
    settings, keyring = load_settings(), load_keyring()
    planted = read_honeytokens(honeytokens_path(settings))
    if like is None:
        like = next((one.pattern for one in reversed(planted) if one.carrier == carrier), None)
    if like is None:
        raise click.UsageError("say with --like what the carrier's ids look like, e.g. --like VN0000000001")
    with _output(out) as file:
        made = _plant(settings, keyring, planted, carrier, feed, count, like, reason)
        _write(file, made, feed)
    _say(made, feed, out)


@command.command()
@click.option("--feed", required=True, type=FeedName(), help="Partner feed that gets new ones.")
@click.option("--carrier", help="Carrier code, when several carriers have a feed of that name.")
@click.option("--count", type=click.IntRange(1, MOST), help="How many; default: as many as the last time.")
@_like
@_out
@_reason
@_errors
def rotate(
    feed: str, carrier: str | None, count: int | None, like: str | None, out: Path | None, reason: str | None
) -> None:
    """Plant new ghost parcels in a feed that has some, and keep watching the old.

    Replace the old ids in the partner's feed with the new; whoever reads an old one then holds an old list. The old
    are made known to the workers once more, so rotate after `parcelwatch keys rotate` too: under a new key a parcel
    has a new token.
    """
    settings, keyring = load_settings(), load_keyring()
    planted = read_honeytokens(honeytokens_path(settings))
    old = [one for one in planted if one.feed == feed and carrier in (None, one.carrier)]
    carriers = sorted({one.carrier for one in old})
    if not carriers:
        raise click.ClickException(
            f"nothing is planted in {feed!r}; begin with `parcelwatch honeytoken plant`"
        )
    if len(carriers) > 1:
        raise click.UsageError(f"say with --carrier whose feed {feed!r} it is: {', '.join(carriers)}")
    last = old[-1]
    count = count or sum(one.planted == last.planted for one in old)
    feed_of = {keyring.reveal(last.carrier, one.parcel)[1]: feed for one in old}
    with _output(out) as file:
        asyncio.run(watch_parcels(settings, last.carrier, feed_of))
        made = _plant(settings, keyring, planted, last.carrier, feed, count, like or last.pattern, reason)
        _write(file, made, feed)
    _say(made, feed, out)
    click.echo(f"{len(feed_of):,} old ones are watched still", err=True)


@command.command("list")
@click.option("--feed", type=FeedName(), help="Only this feed's, each with its token.")
@_errors
def list_(feed: str | None) -> None:
    """Show what was planted when and where; ids only as tokens."""
    settings = load_settings()
    planted = read_honeytokens(honeytokens_path(settings))
    if feed is not None:
        for one in planted:
            if one.feed == feed:
                click.echo(f"{one.planted}\t{one.carrier}\t{one.feed}\t{one.parcel}")
        return
    table = Table("planted", "carrier", "feed", "like", "honeytokens", box=None, padding=(0, 2, 0, 0))
    for (when, carrier, name, pattern), group in groupby(
        planted, lambda one: (one.planted, one.carrier, one.feed, one.pattern)
    ):
        table.add_row(when, carrier, name, pattern, f"{sum(1 for _ in group):,}")
    if planted:
        Console(highlight=False, markup=False, soft_wrap=True).print(table)
    click.echo(f"{len(planted):,} honeytokens in {len({(one.carrier, one.feed) for one in planted}):,} feeds")


def _plant(
    settings: Settings,
    keyring: Keyring,
    planted: Sequence[Honeytoken],
    carrier: str,
    feed: str,
    count: int,
    like: str,
    reason: str | None,
) -> list[str]:
    """Make ids, and have them watched and written down; gives them in clear."""
    token, pattern = keyring.cipher(carrier).parcel, pattern_of(like)
    taken = {keyring.reveal(carrier, one.parcel)[1] for one in planted if one.carrier == carrier}
    made = make_ids(pattern, count, taken)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    new = [Honeytoken(now, carrier, feed, pattern, token(clear)) for clear in made]
    write_audit(
        settings.data_dir,
        action="honeytoken plant",
        reason=reason or f"honeytokens for the feed {feed}",
        carrier=carrier,
        feeds=[feed],
        tokens=[one.parcel for one in new],
    )
    # Watched first: one that is watched and in no feed harms nobody, one in a feed and not watched is of no use.
    asyncio.run(watch_parcels(settings, carrier, dict.fromkeys(made, feed)))
    write_honeytokens(honeytokens_path(settings), new)
    return made


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Where the ids go; a file that cannot be made stops the command before anything is planted."""
    if path is None:
        yield click.get_text_stream("stdout")
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise HoneytokenError(f"--out: {path} exists; name another file") from None
    except OSError as exc:
        raise HoneytokenError(f"--out: cannot write {path}: {exc.strerror}") from None
    with open(handle, "w", newline="", encoding="utf-8") as file, ExitStack() as undo:
        # What failed half way leaves no file that looks as if it had worked.
        undo.callback(path.unlink, missing_ok=True)
        yield file
        undo.pop_all()


def _write(file: TextIO, made: Sequence[str], feed: str) -> None:
    lines = csv.writer(file, lineterminator="\n")
    try:
        lines.writerow(("parcel", "feed"))
        lines.writerows((clear, feed) for clear in made)
        file.flush()
    except OSError as exc:
        raise HoneytokenError(
            f"the ids cannot be written out: {exc.strerror}. The honeytokens are planted; `parcelwatch honeytoken "
            "list --feed` shows their tokens, `parcelwatch reveal` turns them into ids"
        ) from None


def _say(made: Sequence[str], feed: str, out: Path | None) -> None:
    where = f"; their ids are in {out}" if out else ""
    click.echo(f"{len(made):,} honeytokens for {feed!r} are watched from now on{where}", err=True)
