"""Write the generated parts of docs/ anew, or with --check only say which are out of date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streams.reference.markdown import PageError
from streams.reference.pages import pages


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when a page is out of date.")
@click.option("--docs", type=click.Path(file_okay=False, exists=True, path_type=Path), default=Path("docs"))
def command(check: bool, docs: Path) -> None:
    """Write the generated parts of docs/ anew: settings, topics, fields of events, an alert, commands."""
    try:
        changed = {path: text for path, text in pages(docs).items() if path.read_text("utf-8") != text}
    except PageError as exc:
        raise click.ClickException(str(exc)) from None
    for path, text in changed.items():
        if not check:
            path.write_text(text, "utf-8")
        click.echo(f"{path} {'is out of date' if check else 'written'}")
    if check and changed:
        sys.exit(1)


if __name__ == "__main__":
    command()
