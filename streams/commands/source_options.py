"""Options of commands that read a carrier's log: how it is to be understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from streams.formats.base import Format
from streams.formats.catalogue import FORMATS, make_format
from streams.formats.mapping import Mapping, MappingError
from streams.formats.native import Native
from streams.settings import load_settings


def mapping_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command `--map` and `--set`, and pass it what they say as `mapping: Mapping | None`."""

    @wraps(command)
    def with_mapping(*args: Any, columns: Sequence[str], constants: Sequence[str], **kwargs: Any) -> Any:
        try:
            mapping = Mapping.parse(columns, constants)
        except MappingError as exc:
            raise click.UsageError(str(exc)) from None
        return command(*args, mapping=mapping, **kwargs)

    for option in (
        click.option(
            "--set",
            "constants",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Give FIELD the same VALUE in every row, e.g. --set carrier=vnx. Repeatable.",
        ),
        click.option(
            "--map",
            "columns",
            multiple=True,
            metavar="FIELD=COLUMN",
            help="CSV: take FIELD from COLUMN, e.g. --map actor=staff; only mapped columns are read then. "
            "Lists (parcels, fields, staff, shifts) are split at semicolons. Repeatable. Without it, columns "
            "named like fields are taken. With --format, COLUMN may be a dotted path into JSON.",
        ),
    ):
        with_mapping = option(with_mapping)
    return with_mapping


def format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command `--format` and `--mapping` besides those of `mapping_options`.

    It gets `mapping: Mapping | None`, or, with `--format`, `source: Format | None`; None for the native format.
    """

    @wraps(command)
    def with_format(
        *args: Any, format_name: str | None, mapping_file: Path | None, mapping: Mapping | None, **kwargs: Any
    ) -> Any:
        source = None
        if format_name is None and mapping_file is not None:
            raise click.UsageError(
                "--mapping FILE goes with --format; for any JSON or CSV log: --format mapping"
            )
        if format_name not in (None, Native.name):
            source, mapping = _made(format_name or "", mapping_file, mapping), None
        return command(*args, mapping=mapping, source=source, **kwargs)

    for option in (
        click.option(
            "--mapping",
            "mapping_file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="TOML file of what is particular to the log: paths, patterns, values, time zone.",
        ),
        click.option(
            "--format",
            "format_name",
            type=click.Choice(list(FORMATS)),
            help="What the log is written in; see `parcelwatch formats list`.",
        ),
    ):
        with_format = option(with_format)
    return mapping_options(with_format)


def _made(name: str, file: Path | None, options: Mapping | None) -> Format:
    """The format with the file's mapping, to which what the options say is added."""
    try:
        if options is None:
            return make_format(name, file, load_settings().input_carrier)
        base = Mapping.load(file) if file else Mapping()
        mapping = msgspec.structs.replace(
            base,
            fields={**base.fields, **options.fields},
            constants={**base.constants, **options.constants},
        )
        return FORMATS[name](mapping, load_settings().input_carrier)
    except MappingError as exc:
        raise click.UsageError(str(exc)) from None
