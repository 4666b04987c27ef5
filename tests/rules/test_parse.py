"""Rule files: what is wrong is said with file, line and remedy; nothing a file may hold does more than that."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.sigma import Engine, RuleSet
from detectors.touch_fields import FIELDS
from streams.rules.examples import run
from streams.rules.parse import Loaded, from_documents, load
from streams.rules.source import LARGEST, RuleError, parse_documents

SHIPPED = Path(__file__).parents[2] / "deploy" / "rules"
GOOD = """\
title: Reads at night
id: 2c3f6a4e-6b1e-4f0a-9c61-3d6f3c1f7a10
name: night
logsource:
  product: parcelwatch
  category: access
detection:
  selection:
    hour|lt: 6
  condition: selection
level: high
parcelwatch:
  examples:
    - name: at three
      expect: match
      events:
        - {time: "2026-03-02T03:00:00+07:00", action: view, parcel: P1}
    - name: at nine
      expect: no-match
      events:
        - {action: view, parcel: P1}
---
title: Often at night
id: 2c3f6a4e-6b1e-4f0a-9c61-3d6f3c1f7a11
name: often
correlation:
  type: event_count
  rules: night
  group-by: actor
  timespan: 10m
  condition:
    gte: 3
level: low
"""


def read(text: str) -> Loaded:
    return from_documents(parse_documents(text.encode(), "r.yml"))


def faults(text: str) -> list[str]:
    with pytest.raises(RuleError) as caught:
        read(text)
    return [str(fault) for fault in caught.value.faults]


def test_a_rule_that_others_correlate_alerts_only_if_they_say_so() -> None:
    assert [rule.output for rule in read(GOOD).rules.rules] == [False, True]
    both = GOOD.replace("  timespan", "  generate: true\n  timespan")
    assert [rule.output for rule in read(both).rules.rules] == [True, True]


def test_rules_may_refer_to_each_other_by_id_and_from_earlier_in_the_file() -> None:
    night, often = GOOD.split("---\n")
    turned = read(
        often.replace("rules: night", "rules: 2c3f6a4e-6b1e-4f0a-9c61-3d6f3c1f7a10") + "---\n" + night
    )
    assert [rule.name for rule in turned.rules.rules] == ["night", "often"]
    assert turned.rules == read(GOOD).rules


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("hour|lt: 6", "phone: '0901'", 9, "phone numbers never enter"),
        ("hour|lt: 6", "actor: nv0231", 9, "actor is a token, so no rule can match a clear id"),
        ("hour|lt: 6", "parcel|startswith: VN", 9, "parcel is a token"),
        ("hour|lt: 6", "device: d1", 9, "device is a pseudonym"),
        ("hour|lt: 6", "ip|cidr: 10.0.0.0/8", 9, "the modifier cidr is not supported"),
        ("hour|lt: 6", "site|base64: x", 9, "the modifier base64 is not supported"),
        ("hour|lt: 6", "site|re: (a+)+", 9, "which can take exponential time"),
        ("hour|lt: 6", "records: many", 9, "records is a number, and 'many' is none"),
        ("hour|lt: 6", "system: tms", 9, "admit does not keep it"),
        ("hour|lt: 6", "colour: red", 9, "there is no field 'colour'; there are: actor"),
        ("hour|lt: 6", "time: 6", 9, "parts of `time`"),
        ("hour|lt: 6", "time|hour|lt: 6", 9, "use the field hour"),
        ("condition: selection", "condition: selektion", 10, "'selektion' not defined"),
        ("  selection:\n    hour|lt: 6", "  selection:\n    - night", 10, "keywords without a field"),
        ("product: parcelwatch", "product: windows", 4, "its logsource is `product: parcelwatch`"),
        ("name: night\n", "", 1, "name is missing"),
        ("name: night\n", "name: Night Shift\n", 3, "its name has 1 to 48 small letters"),
        ("2c3f6a4e-6b1e-4f0a-9c61-3d6f3c1f7a10", "one", 2, "identifier must be an UUID"),
        ("level: high", "level: grave", 11, "not a valid Sigma rule level"),
        ("name: often", "name: night", 25, "name night is taken by r.yml:1"),
        ("group-by: actor", "group-by: site", 29, "group-by must contain actor"),
        ("rules: night", "rules: day", 28, "it refers to day, which is no rule here"),
        ("rules: night", "rules: often", 28, "rules cannot refer in a circle"),
        ("timespan: 10m", "timespan: 10x", 30, "Timespan '10x' is invalid"),
        ("timespan: 10m", "timespan: 30d", 30, "its timespan is 1 second to 7 days"),
        ("type: event_count", "type: value_count", 26, "without field reference"),
        ("    gte: 3", "    gte: 3\n    field: site", 27, "type event_count is about no field"),
        ("type: event_count", "type: temporal_ordered", 31, "temporal_ordered needs all its rules"),
        ("name: night\n", "name: night\nname: late\n", 4, "name stands here twice"),
        ("level: high", "level: [high", 12, "it is not YAML"),
        ("level: high", "filter: {}\nlevel: high", 11, "Sigma's filter is not supported"),
        ("name: night", "name: &x night\nauthor: {a: &y [1], b: *y}", 4, "aliases"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_how_to_mend_it(old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    [fault] = faults(GOOD.replace(old, new, 1) if "often" not in old else GOOD.replace(old, new))
    assert said in fault
    assert abs(int(fault.split(":")[1]) - line) <= 2, fault


def test_every_fault_of_every_file_is_told_at_once() -> None:
    assert len(faults(GOOD.replace("hour|lt", "colour").replace("group-by: actor", "group-by: site"))) == 1
    bare = GOOD.replace("name: night\n", "").replace("name: often\n", "")
    assert len(faults(bare)) == 2


@pytest.mark.parametrize("raw", [b"\xff", b"[1, 2]", b"a: " + b"[" * 400, b"x" * (LARGEST + 1), b"a: !!int x",
                                 b"? {a: 1}\n: 2",
                                 b"a: 2026-99-99", b"a: !!python/object:os.system {}", b"a: \x07"])  # fmt: skip
def test_what_is_no_yaml_is_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(RuleError, match=r"r\.yml"):
        parse_documents(raw, "r.yml")


def test_without_pysigma_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigma.rule", None)
    assert "pip install 'parcelwatch[sigma]'" in faults(GOOD)[0]


def test_a_folder_without_rules_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"no \.yml or \.yaml"):
        load(tmp_path)
    with pytest.raises(RuleError, match="no such file"):
        load(tmp_path / "gone")


_words = st.sampled_from(
    ["title", "id", "name", "logsource", "detection", "correlation", "condition", "selection", "level", "rules",
     "actor", "site|re", "records|gt", "type", "timespan", "group-by", "1 of them", "not selection", "event_count",
     "5m", "a*", "2c3f6a4e-6b1e-4f0a-9c61-3d6f3c1f7a10", "night", "aliases", "field", "gte", "status", "date",
     "tags", "fields"]
)  # fmt: skip
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_do_more_than_raise_the_error_of_rules(raw: bytes) -> None:
    try:
        from_documents(parse_documents(raw, "r.yml"))
    except RuleError as exc:
        assert str(exc)  # noqa: PT017  # it may raise this or nothing


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(range(34)), _values), min_size=1, max_size=3), st.randoms())
def test_no_rule_that_is_nearly_right_does_more_either(
    changes: list[tuple[int, object]], rng: object
) -> None:
    """Lines of a good rule get other values; what still passes, runs."""

    lines = GOOD.splitlines()
    for number, value in changes:
        key, colon, _ = lines[number % len(lines)].partition(":")
        lines[number % len(lines)] = f"{key}{colon or ':'} {json.dumps(value)}"
    try:
        found = read("\n".join(lines))
        Engine(found.rules)
        run(found)
    except RuleError as exc:
        assert str(exc)  # noqa: PT017  # it may raise this or nothing


def test_every_shipped_rule_passes_its_examples_and_has_both_kinds() -> None:
    loaded = load(SHIPPED)
    results = run(loaded)
    assert [one.example.name for one in results if not one.passed] == []
    told = [rule.name for rule in loaded.rules.rules if rule.output]
    assert len(told) == 10
    for name in told:
        kinds = {one.example.match for one in results if one.rule == name}
        assert kinds == {True, False}, name
    for rule in loaded.rules.rules:
        assert rule.title_vi or not rule.output, rule.name


def test_an_example_that_does_not_hold_fails() -> None:
    wrong = read(GOOD.replace("hour|lt: 6", "hour|lt: 2"))
    assert [one.passed for one in run(wrong)] == [False, True]
    assert run(Loaded(RuleSet(), {})) == []


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{hour: 3}", "hour follows from time"), ("{colour: 1}", "no field 'colour'"),
        ("{action: steal}", "action is one of"),
        ("{records: many}", "records is a number"), ("{service: 1}", "service is true or false"),
        ("{time: '2026-03-02T03:00:00'}", "RFC 3339"), ("{after: soon}", "after is a span"),
        ("3", "an event is a mapping"),
        ("{repeat: 0}", "repeat is 1 to"), ("{site: 3}", "put it in quotes"), ("{shifts: 6}", "shifts is a list"),
    ],
)  # fmt: skip
def test_an_example_that_cannot_be_read_is_told_of(event: str, said: str) -> None:
    text = GOOD.replace('- {time: "2026-03-02T03:00:00+07:00", action: view, parcel: P1}', f"- {event}")
    with pytest.raises(RuleError, match="at three") as caught:
        run(read(text))
    assert said in str(caught.value)


def test_the_page_lists_every_field_with_its_kind_and_meaning() -> None:
    page = (SHIPPED.parents[1] / "docs" / "rules.md").read_text()
    for name, field in FIELDS.items():
        assert f"| `{name}` | {field.kind} | {field.words} |" in page


def test_the_rules_the_page_shows_are_good() -> None:
    page = (SHIPPED.parents[1] / "docs" / "rules.md").read_text()
    one, other = re.findall(r"```yaml\n(.*?)```", page, re.S)
    base = (SHIPPED / "many_unexplained_parcels.yml").read_text().split("---\n")[0]
    shown = read(f"{one}---\n{base}---\n{other}")
    assert [result.passed for result in run(shown)] == [True, True]
