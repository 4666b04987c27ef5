"""Honeytokens: ids of parcels that do not exist, a set of its own for each partner's feed, watched from then on.

Whoever opens one reads what no work leads to, and the feed it was planted in names whose data leaked (Spitzner,
Honeytokens, 2003). What was planted stands, as tokens, in `<data_dir>/honeytokens.ndjson`, one line each.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Container, Iterable
from datetime import UTC, datetime
from pathlib import Path
from secrets import choice

import msgspec

from streams.flow.topics import PARCEL_CONTEXT
from streams.kafka.sender import Sender, Tally, producer, topic_partitions
from streams.settings import Settings

FILE_NAME = "honeytokens.ndjson"
LONGEST_ID = 256
#: Marks of a pattern: a random digit, and the check digit of UPU S10.
RANDOM, CHECK = "#", "*"
#: Numbers a pattern must leave for each honeytoken, so that a guessed number is hardly ever one.
SPARE = 1_000
_S10 = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")
_S10_PATTERN = re.compile(r"[A-Z]{2}[0-9#]{8}\*[A-Z]{2}")
_S10_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)


class HoneytokenError(Exception):
    """Honeytokens that cannot be made or written down: what, where, the remedy; never an id in clear."""


class Honeytoken(msgspec.Struct, frozen=True):
    """One planted honeytoken, as written down.

    Attributes:
        planted: when, RFC 3339 in UTC; the same for all that were planted together.
        carrier: carrier code.
        feed: the partner feed it was planted in.
        pattern: what its id looks like, see `pattern_of`.
        parcel: token of its id.
    """

    planted: str
    carrier: str
    feed: str
    pattern: str
    parcel: str


def check_digit(number: str) -> str:
    """The check digit of the eight digits of a UPU S10 id.

    >>> check_digit("47312482")
    '9'
    """
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(number, _S10_WEIGHTS, strict=True)) % 11
    return {10: "0", 11: "5"}.get(rest, str(rest))


def pattern_of(like: str) -> str:
    """What ids that look like an example have in common: `#` stands for any digit, `*` for the check digit of S10.

    Args:
        like: an example, of which letters and length are kept; or a pattern, which is kept whole.

    >>> pattern_of("VN0000000001"), pattern_of("RR473124829VN"), pattern_of("VN99######")
    ('VN##########', 'RR########*VN', 'VN99######')

    Raises:
        HoneytokenError: no id could look like it.
    """
    if not like.isprintable() or any(map(str.isspace, like)) or len(like) > LONGEST_ID:
        raise HoneytokenError(
            f"--like: an id is at most {LONGEST_ID} characters without spaces; give one as example"
        )
    pattern = like
    if RANDOM not in like:
        pattern = re.sub(r"[0-9]", RANDOM, like)
        if _S10.fullmatch(like) and check_digit(like[2:10]) == like[10]:
            pattern = pattern[:10] + CHECK + pattern[11:]
    if RANDOM not in pattern:
        raise HoneytokenError(
            "--like: without a digit all ids would be the same; give an example such as VN0000000001"
        )
    if CHECK in pattern and not _S10_PATTERN.fullmatch(pattern):
        raise HoneytokenError(
            f"--like: {CHECK} stands for the check digit of an S10 id, two letters, eight digits, {CHECK}, two letters"
        )
    return pattern


def make_ids(pattern: str, count: int, taken: Container[str] = ()) -> list[str]:
    """So many different ids of that pattern, none of them taken; which ones, nobody can foretell.

    Raises:
        HoneytokenError: the pattern leaves too few numbers.
    """
    numbers = 10 ** pattern.count(RANDOM)
    if numbers < SPARE * count:
        raise HoneytokenError(
            f"--like: {pattern} leaves {numbers:,} numbers for {count:,} honeytokens, so that some would soon be "
            f"guessed; leave {SPARE:,} for each: more digits, or a smaller --count"
        )
    made: dict[str, None] = {}
    # A thousand times as many numbers as are wanted: hardly any is drawn twice, unless nearly all are taken.
    for _ in range(2 * count + SPARE):
        clear = "".join(choice("0123456789") if mark == RANDOM else mark for mark in pattern)
        if CHECK in clear:
            clear = clear.replace(CHECK, check_digit(clear[2:10]))
        if clear not in taken:
            made[clear] = None
        if len(made) == count:
            return list(made)
    raise HoneytokenError(
        f"--like: nearly all numbers of {pattern} are planted already; give another pattern"
    )


def honeytokens_path(settings: Settings) -> Path:
    """Where the planted are written down."""
    return settings.data_dir / FILE_NAME


def read_honeytokens(path: Path) -> list[Honeytoken]:
    """All that were ever planted, oldest first; none when there is no file.

    Raises:
        HoneytokenError: the file cannot be read; says which line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise HoneytokenError(f"cannot read {path}: {exc.strerror}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Honeytoken))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise HoneytokenError(
                f"line {number} of {path} is no honeytoken; it was altered or cut short: restore the file from its "
                "backup, or take that line out"
            ) from None
    return found


def write_honeytokens(path: Path, planted: Iterable[Honeytoken]) -> None:
    """Append what was planted, and wait until it is on the disk; the file is its owner's alone (0600).

    Raises:
        HoneytokenError: it cannot be written whole.
    """
    encoded = msgspec.json.Encoder().encode_lines(planted)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(handle, 0o600)
            written = os.write(handle, encoded)
            if written < len(encoded):
                os.ftruncate(handle, os.fstat(handle).st_size - written)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as exc:
        raise HoneytokenError(f"cannot write {path}: {exc.strerror}") from None
    if written < len(encoded):
        raise HoneytokenError(f"cannot write {path}: the disk is full; make room")


async def watch_parcels(settings: Settings, carrier: str, feed_of: dict[str, str]) -> None:
    """Tell relate, through the topic parcel-context, that these parcels are ghosts; again does no harm.

    Args:
        carrier: carrier code.
        feed_of: partner feed by id in clear.

    Raises:
        SendError, TopicError: the broker does not have all of them; send them again.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    about = {"time": now, "carrier": carrier, "kind": "honeytoken"}
    partitions = await asyncio.to_thread(topic_partitions, settings, PARCEL_CONTEXT)
    async with producer(settings) as client:
        sender = Sender(client, PARCEL_CONTEXT, partitions, Tally())
        for clear, feed in feed_of.items():
            if sender.add(msgspec.json.encode({**about, "parcel": clear, "feed": feed})):
                await sender.push()
        await sender.finish()
