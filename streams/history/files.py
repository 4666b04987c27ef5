"""Reading logs: native JSON values (design: contracts) from NDJSON or CSV, plain or gzip, a path or stdin."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from streams.admit.translation import Entry
from streams.admit.validate import LARGEST_RECORD, RefusalError
from streams.flow.topics import LARGEST_VALUE
from streams.formats.base import Format
from streams.formats.csv_rows import delimiter_of, is_header, row_encoder
from streams.formats.mapped import Mapped
from streams.formats.mapping import Mapping, MappingError

BUFFER = 1 << 18
#: Rows or lines between two reports of progress.
REPORT_EVERY = 2_000
_JQ = "`jq -c 'if type == \"array\" then .[] else . end'`"
BOM = b"\xef\xbb\xbf"

Progress = Callable[[int], None]


class FileError(Exception):
    """A file that cannot be read (on): which, where (line) and how to mend it, never its content."""


def total_bytes(path: Path | str) -> int | None:
    """Size of the file as stored, the total of what `read_values` reports; None for stdin and pipes."""
    path = Path(path)
    return path.stat().st_size if path.is_file() else None


def read_values(
    path: Path | str, mapping: Mapping | None = None, progress: Progress | None = None
) -> Iterator[bytes]:
    """Values of a log, one JSON object each, in the order of the file.

    gzip is told by its first bytes, not by the name. The file is CSV when a mapping is given or its first
    line is a header that names fields of the contracts (`time,carrier,actor,...`); else NDJSON. What cannot
    be made a JSON object is yielded as it stands, for `admit` to reject by name: a broken NDJSON line, a CSV
    row with more or fewer cells than the header (as a JSON array). Blank lines are skipped, a byte order mark
    is tolerated.

    Args:
        path: file, or `-` for stdin.
        mapping: which column is which field; for CSV.
        progress: called now and then with the bytes of the file read so far, as stored; never for stdin.

    Raises:
        FileError: while iterating: no such file, UTF-16, gzip cut short, a line over 16 MiB, a missing
            column.
    """
    with _opened(path, progress) as log:
        if mapping is not None or _is_header(log.first):
            yield from _csv_values(log, mapping or Mapping())
        else:
            _refuse_unmapped(log)
            yield from _lines(log)


def read_entries(
    path: Path | str, source: Format, progress: Progress | None = None
) -> Iterator[tuple[int, Entry]]:
    """Entries of a log in a format of its own, each with the number of its record in the file, from 1.

    A record is a line, or the lines up to where the format says that it ends; a header is none.

    Args:
        path, progress: as for `read_values`.
        source: the format.

    Raises:
        FileError: as `read_values` does.
    """
    with _opened(path, progress) as log:
        if isinstance(source, Mapped) and source.needs_header and not log.first.lstrip().startswith(b"{"):
            yield from enumerate(_csv_entries(log, source), 1)
            return
        for number, record in enumerate(_records(_lines(log, arrays=True), source), 1):
            for entry in source.entries(record):
                yield number, entry


class _Log(NamedTuple):
    """An open log: its plain bytes after its first line that is not blank, that line, and what goes along."""

    file: io.BufferedReader[Any]
    first: bytes
    where: _Where
    report: Callable[[], None]


@contextmanager
def _opened(path: Path | str, progress: Progress | None) -> Iterator[_Log]:
    name = "stdin" if str(path) == "-" else str(path)
    where = _Where(name)
    report: Callable[[], None] = _no_report
    try:
        with _open(path) as stored:
            if progress is not None and total_bytes(path) is not None:
                report = partial(_report, stored, progress)
            plain: io.BufferedReader[Any] = stored
            if stored.peek(2)[:2] == b"\x1f\x8b":
                plain = io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=stored)), BUFFER)
            _skip_mark(plain, name)
            first = plain.readline(LARGEST_VALUE + 1)
            while first and not first.strip():
                where.line += 1
                first = plain.readline(LARGEST_VALUE + 1)
            where.line += 1
            yield _Log(plain, first, where, report)
            report()
    except FileNotFoundError:
        raise FileError(f"there is no file {name}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        reason = "is cut short" if isinstance(exc, EOFError) else f"is damaged ({exc})"
        raise FileError(
            f"{name}: the gzip data {reason} after line {where.line}; copy the file again, "
            f"or read what is left of it with `gzip -dc {name} | ... -`"
        ) from None
    except MappingError as exc:
        raise FileError(f"{name}: {exc}") from None
    except csv.Error as exc:
        raise FileError(f"{name}, near line {where.line}: not CSV ({exc}); is a quote left open?") from None
    except OSError as exc:
        raise FileError(f"cannot read {name}: {exc.strerror}") from None


class _Where:
    """The file's name and the line reached, for errors."""

    __slots__ = ("line", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = 0


def _no_report() -> None:
    """Nobody wants to know, or the size is not known."""


def _report(stored: io.BufferedReader[Any], progress: Progress) -> None:
    progress(stored.tell())


def _open(path: Path | str) -> io.BufferedReader[Any]:
    if str(path) == "-":
        # A second owner of the descriptor: closing it must not close the interpreter's stdin.
        return io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), BUFFER)
    return io.BufferedReader(io.FileIO(path), BUFFER)


def _skip_mark(file: io.BufferedReader[Any], name: str) -> None:
    head = file.peek(3)[:3]
    if head == BOM:
        file.read(3)
    elif head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FileError(f"{name} is UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`")


def _is_header(line: bytes) -> bool:
    return not line.lstrip().startswith(b"{") and is_header(line.decode(errors="replace"))


def _refuse_unmapped(log: _Log) -> None:
    """Raise FileError for a CSV whose header says nothing: else each of its lines would be refused as no JSON."""
    name, first = log.where.name, log.first.strip()
    if name.removesuffix(".gz").endswith(".csv") and first and first[:1] not in (b"{", b"["):
        # Columns are not named here: where there is no header, they are somebody's data.
        raise FileError(
            f"{name}: its first line does not name three fields of docs/events.md or more; name the columns so, "
            "or say which column is which: --map FIELD=COLUMN (access events)"
        )


def _lines(log: _Log, *, arrays: bool = False) -> Iterator[bytes]:
    file, first, where, report = log
    if first.strip() in (b"[", b"{") or (not arrays and first.lstrip()[:2] == b"[{"):
        raise FileError(f"{where.name} is not one JSON object a line; convert it with {_JQ}")
    line = first
    readline = partial(file.readline, LARGEST_VALUE + 1)
    number = where.line
    while line:
        value = line.strip()
        if value:
            if len(line) > LARGEST_VALUE:
                limit = f"{LARGEST_VALUE >> 20} MiB"
                raise FileError(f"{where.name}, line {number} is over {limit}; no topic takes such a value")
            yield value
        if not number % REPORT_EVERY:
            report()
        where.line = number
        number += 1
        line = readline()


def _records(lines: Iterator[bytes], source: Format) -> Iterator[bytes]:
    """Lines, put together where an entry has several."""
    record = b""
    for line in lines:
        record = record + b"\n" + line if record else line
        if len(record) >= LARGEST_RECORD or not source.continues(record):
            yield record
            record = b""
    if record:
        yield record


def _csv_values(log: _Log, mapping: Mapping) -> Iterator[bytes]:
    if log.first.lstrip().startswith(b"{"):
        raise FileError(
            f"{log.where.name} is JSON, where a mapping of columns was given; leave --map and --set out"
        )
    header, rows = _csv_rows(log)
    encode = row_encoder(mapping, header)
    for row in rows:
        yield encode(row)


def _csv_entries(log: _Log, source: Mapped) -> Iterator[Entry]:
    header, rows = _csv_rows(log)
    source.check_columns(header)
    for row in rows:
        cells = [cell.encode("utf-8", "surrogateescape").decode(errors="replace") for cell in row]
        raw = ",".join(cells).encode()
        if len(cells) != len(header):
            why = f"{len(cells)} cells, where the header names {len(header)} columns"
            yield Entry(raw, RefusalError("not_this_format", why))
        else:
            yield Entry(raw, source.outcome(dict(zip(header, cells, strict=True))))


def _csv_rows(log: _Log) -> tuple[list[str], Iterator[list[str]]]:
    """The header's columns, and the rows after it that are not blank."""
    csv.field_size_limit(LARGEST_VALUE)
    header = log.first.decode("utf-8", "surrogateescape")
    delimiter = delimiter_of(header)
    return next(csv.reader([header], delimiter=delimiter), []), _rows(log, delimiter)


def _rows(log: _Log, delimiter: str) -> Iterator[list[str]]:
    # Bytes that are not UTF-8 pass through to `admit`, which rejects the one row they are in.
    text = io.TextIOWrapper(log.file, "utf-8", "surrogateescape", newline="")
    start = log.where.line
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for count, row in enumerate(rows):
            if row:
                yield row
            if not count % REPORT_EVERY:
                log.report()
    finally:
        log.where.line = start + rows.line_num
        # Else the wrapper would close the file when it is collected, which is its owner's to do.
        text.detach()
