"""What the documentation lists is what there is: fields, reasons, corrections, settings, commands, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detectors.base import ACTIONS, Finding, Person
from detectors.episodes import Alert
from streams.admit.validate import CORRECTIONS, REMEDIES
from streams.cli import COMMANDS
from streams.flow.events import CONTEXT_KINDS, AccessEvent, ContextEvent, StaffRecord
from streams.flow.ocsf import headers, render
from streams.receivers import WebhookReceiver
from streams.settings import CarrierSettings, Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def page(name: str) -> str:
    return (ROOT / name).read_text()


def rows(text: str) -> set[str]:
    """What stands in backquotes in the first column of tables."""
    cells = re.findall(r"^\| (.*?) \|", text, re.M)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("kind", [AccessEvent, ContextEvent, StaffRecord])
def test_every_field_a_carrier_may_send_is_described_where_its_topic_is(kind: type) -> None:
    sections = re.split(r"^## ", page("docs/events.md"), flags=re.M)
    title = {AccessEvent: "Access events", ContextEvent: "Parcel context", StaffRecord: "Staff directory"}[
        kind
    ]
    [section] = [section for section in sections if section.startswith(title)]
    assert rows(section) == set(kind.__struct_fields__)  # type: ignore[attr-defined]  # every Struct has them


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


@pytest.mark.parametrize("kind", [Settings, CarrierSettings, WebhookReceiver])
def test_every_setting_is_described_with_its_default(kind: type[Settings]) -> None:
    lines = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page("docs/settings.md"), re.M))
    for name, info in kind.model_fields.items():
        assert name in lines, f"{name} of {kind.__name__} is not in docs/settings.md"
        if info.is_required():
            assert lines[name] == "required"
            continue
        default = info.get_default(call_default_factory=True)
        shown = (
            "none"
            if default is None
            else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        assert lines[name] == shown


def test_every_field_of_an_alert_is_described() -> None:
    person = Person("k1.a", "vnx", "clerk", "t", "s", "k1.m", "active", False, ("06-14",))
    finding = Finding(
        severity=3, score=1.0, confidence=1, evidence=1.0, window=60, since=1, measures={}, baseline={}, en="e", vi="v"
    )  # fmt: skip
    alert = Alert(
        uid="u", activity=1, sequence=1, detector="d", version="d-1", summary="s", person=person, finding=finding,
        opened=1, first=1, last=1, at=1, utc_offset=0, records=1, samples=("k1.p",),
    )  # fmt: skip
    text = page("docs/alerts.md")
    known = {"category_uid", "category_name", "class_uid", "class_name", "type_uid", "type_name"}
    for field in render(alert).keys() - known:
        assert f"`{field}" in text, field
    for name, _ in headers(alert, 1):
        assert f"`{name}`" in text or name in ("ce_specversion", "content-type"), name


def test_every_command_is_in_the_readme() -> None:
    assert rows(page("README.md")) >= set(COMMANDS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_link_leads_nowhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_that_are_shown_exist(path: Path) -> None:
    shown = re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), re.S)
    for name in re.findall(r"\bparcelwatch ([a-z]+)", "\n".join(shown)):
        assert name in COMMANDS
