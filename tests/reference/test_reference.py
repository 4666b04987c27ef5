"""Generated parts of the documentation say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import COMMANDS
from streams.flow.topics import topic_specs
from streams.reference.__main__ import command
from streams.reference.docstrings import attributes, summary
from streams.reference.markdown import PageError, replaced
from streams.reference.pages import PARTS, pages
from streams.settings import CarrierSettings, Settings

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.parametrize("name", PARTS)
def test_a_page_is_up_to_date(name: str) -> None:
    assert pages(DOCS)[DOCS / name] == (DOCS / name).read_text("utf-8"), (
        "run `python -m streams.reference` and commit docs/"
    )


def test_every_setting_topic_and_command_is_there_with_its_meaning() -> None:
    made = {path.name: text for path, text in pages(DOCS).items()}
    for kind in (Settings, CarrierSettings):
        for field in kind.model_fields:
            [row] = re.findall(rf"^\| `{field}` \|.+\|$", made["settings.md"], re.M)[:1]
            assert len(row.split(" | ")[-1]) > 8, field
    for spec in topic_specs(Settings.model_construct()):
        assert f"| `{spec.name}` |" in made["topics.md"]
    for name in COMMANDS:
        assert f"\n## parcelwatch {name}\n" in made["commands.md"]


def test_pages_do_not_depend_on_the_settings_of_who_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pages(DOCS)
    monkeypatch.setenv("PARCELWATCH_PARTITIONS", "99")
    monkeypatch.setenv("PARCELWATCH_BROKER", "elsewhere:1")
    assert pages(DOCS) == before


def test_a_page_out_of_date_is_named_and_written_anew(tmp_path: Path) -> None:
    for name in PARTS:
        (tmp_path / name).write_text((DOCS / name).read_text("utf-8"), "utf-8")
    stale = (tmp_path / "topics.md").read_text("utf-8").replace("`alerts`", "`allerts`")
    (tmp_path / "topics.md").write_text(stale, "utf-8")
    checked = CliRunner().invoke(command, ["--check", "--docs", str(tmp_path)])
    assert checked.exit_code == 1
    assert "topics.md is out of date" in checked.output
    assert (tmp_path / "topics.md").read_text("utf-8") == stale
    assert CliRunner().invoke(command, ["--docs", str(tmp_path)]).exit_code == 0
    assert "allerts" not in (tmp_path / "topics.md").read_text("utf-8")
    assert CliRunner().invoke(command, ["--check", "--docs", str(tmp_path)]).exit_code == 0


def test_a_page_without_room_for_its_part_is_said_with_the_lines_to_add() -> None:
    with pytest.raises(
        PageError, match=r"x\.md: the part settings must stand there once, between .*settings"
    ):
        replaced("x.md", "# Settings\n", "settings", "")


def test_what_stands_around_a_part_is_kept() -> None:
    page = "before\n<!-- python -m streams.reference: p -->\nold\n<!-- end of p -->\nafter\n"
    once = replaced("x.md", page, "p", "new")
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert "old" not in once
    assert replaced("x.md", once, "p", "new") == once


def test_meanings_come_from_the_class_and_those_it_is_made_from() -> None:
    class Base:
        """A base.

        Attributes:
            one, two: both, e.g.
                in two lines.
            three: of the base.
        """

    class Derived(Base):
        """Something derived. It has
        two lines.

        Attributes:
            three: its own: with a colon.

        Raises:
            four: no field.
        """

    assert attributes(Derived) == {
        "one": "both, e.g. in two lines",
        "two": "both, e.g. in two lines",
        "three": "its own: with a colon",
    }
    assert summary(Derived) == "Something derived. It has\ntwo lines."
