"""What the documentation lists is what there is: fields, reasons, corrections, settings, commands, links."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
from msgspec.structs import replace

from detectors.base import ACTIONS
from streams.admit.validate import CORRECTIONS, REMEDIES
from streams.cli import COMMANDS, main
from streams.flow.events import CONTEXT_KINDS
from streams.flow.ocsf import headers, render
from tests.example_alerts import example_alerts
from tests.ocsf_checks import leaves

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "detectors" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page(name: str) -> str:
    return (ROOT / name).read_text()


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)


def anchors(path: Path) -> set[str]:
    """What a link may name of a page: its headings, as they are turned into names."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_call(words: list[str], where: str) -> None:
    """See that a command line names commands and options that there are."""
    command: click.Command = main
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        if not re.match("[a-z0-9]", words[0]):
            return  # a placeholder
        try:
            _, found, words = command.resolve_command(click.Context(command), words)
        except click.UsageError as exc:
            raise AssertionError(f"{where}: {exc.message}") from None
        assert found is not None, where
        command = found
    options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in words:
        if word.startswith("--") and word not in ("--help", "--"):
            assert word.partition("=")[0].rstrip(",.:)") in options, f"{where}: no option {word}"


def rows(text: str) -> set[str]:
    """What stands in backquotes in the first column of tables."""
    cells = re.findall(r"^\| (.*?) \|", text, re.M)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_action_and_kind_is_named() -> None:
    text = page("docs/events.md")
    for name in (*ACTIONS, *CONTEXT_KINDS):
        assert re.search(rf"\b{name}\b", text)


def test_every_reject_reason_and_correction_is_described() -> None:
    sections = re.split(r"^## ", page("docs/events.md"), flags=re.M)
    [reasons] = [section for section in sections if section.startswith("What is rejected")]
    [corrections] = [section for section in sections if section.startswith("What is corrected")]
    assert rows(reasons) == set(REMEDIES)
    assert rows(corrections) == set(CORRECTIONS)


def test_every_field_of_an_alert_is_described() -> None:
    described = set(re.findall(r"`([a-z_\[\].0-9]+)`", page("docs/alerts.md")))
    for alerts in example_alerts().values():
        rich = replace(
            alerts[0],
            person=replace(alerts[0].person, manager="k1.m", shifts=("06-14",)),
            samples=("k1.p",),
            reasons=("bulk_read",),
            related=(("0" * 32, "off_hours"),),
        )
        for leaf in leaves(render(rich)):
            assert _covers(described, leaf), f"docs/alerts.md does not say what {leaf} is"
        for name, _ in headers(rich, 1):
            assert name in described or name == "content-type", name


def _covers(described: set[str], leaf: str) -> bool:
    """Whether a field, or an object it is in, is described, with or without the number of the element."""
    parts = leaf.replace("[]", "").split(".")
    known = {re.sub(r"\[\d*\]", "", name) for name in described}
    return any(".".join(parts[:length]) in known for length in range(1, len(parts) + 1))


def test_every_room_of_the_house_has_a_floor_in_the_architecture() -> None:
    [floors] = tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"][1:2]
    rooms = [room for floor in floors["layers"] for room in floor.split(" | ")]
    described = set(re.findall(r"`(\w+)(?:/|\.py)`", page("docs/architecture.md")))
    assert set(rooms) - {"cli"} <= described


def test_every_command_is_in_the_readme() -> None:
    assert rows(page("README.md")) >= set(COMMANDS)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_no_link_leads_nowhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{name_of(path)} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{name_of(path)} links to {target}: no such heading"


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, open_pages = set(), [ROOT / "docs" / "README.md"]
    while open_pages:
        path = open_pages.pop()
        if path in reached or path.suffix != ".md" or not path.exists():
            continue
        reached.add(path)
        links = re.findall(r"\]\(([^)#\s]+)", prose(path))
        open_pages += [(path.parent / link).resolve() for link in links if "://" not in link]
    assert {path for path in PAGES if path.is_relative_to(ROOT / "docs")} <= reached


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_that_are_shown_exist_and_take_what_is_shown(path: Path) -> None:
    blocks = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", path.read_text(), re.M | re.S)
    spans = re.findall(r"`(parcelwatch [^`\n]+)`", prose(path))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = [part for line in lines for part in re.split(r"&&|\||;| & |#", line) if "parcelwatch" in part]
    for text in (*shown, *spans):
        if call := re.search(r"(?:^|[ /])parcelwatch ([a-z].*)", text):
            check_call(call[1].split(), f"{name_of(path)}: {text.strip()}")
