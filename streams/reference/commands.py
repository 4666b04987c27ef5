"""The page of commands: what `--help` says, of every command and subcommand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from streams.cli import COMMANDS, main
from streams.reference.markdown import code, table


def commands_part() -> str:
    """A section for each command, in the order of `parcelwatch --help`."""
    context = click.Context(main, info_name="parcelwatch")
    sections: list[str] = []
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        sections += _sections(command, click.Context(command, parent=context, info_name=name), 2)
    return "\n\n".join(sections)


def _sections(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {context.command_path}"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```\n{usage}\n```"
    yield from _help(command.help or "")
    options = [
        (
            code(*option.opts, *option.secondary_opts) + _metavar(option),
            _default(option, context),
            _meaning(option),
        )
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    if options:
        yield table(("option", "default", "meaning"), options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _sections(inner, click.Context(inner, parent=context, info_name=name), depth + 1)


def _help(text: str) -> Iterator[str]:
    """Paragraphs as prose; those after a mark against wrapping (`\\b`) as they stand."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            yield f"```\n{inspect.cleandoc(paragraph.removeprefix(chr(8)))}\n```"
        elif paragraph.strip():
            yield _plain(" ".join(paragraph.split()))


def _plain(text: str) -> str:
    """Text in which `<` begins no HTML."""
    return re.sub(r"(?<!`)<(\w[\w-]*)>", r"`<\1>`", text)


def _metavar(option: click.Option) -> str:
    if option.is_flag or option.count:
        return ""
    if isinstance(option.type, click.Choice):
        return " " + code(*map(str, option.type.choices))
    return f" {option.metavar or option.type.name.upper()}"


def _default(option: click.Option, context: click.Context) -> str:
    if option.required:
        return "required"
    default = option.get_default(context, call=False)
    if (
        option.is_flag
        or default in (None, (), "")
        or callable(default)
        or "Sentinel" in type(default).__name__
    ):
        return ""
    return code(str(default))


def _meaning(option: click.Option) -> str:
    more = "Repeatable." if option.multiple and "epeat" not in (option.help or "") else ""
    return _plain(" ".join(f"{option.help or ''} {more}".split()))
