"""Sigma rules as pySigma reads them, made into what a control record carries; faults with file, line and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detectors.correlation import Correlation
from detectors.sigma import RULE_NAME, SEVERITIES, Node, Rule, RuleSet
from detectors.sigma_check import fault as set_fault
from streams.rules.condition import ConditionError, check_keys, condition, presence
from streams.rules.source import INSTALL, Document, Fault, RuleError, read_documents, rule_files

if TYPE_CHECKING:
    from sigma.correlations import SigmaCorrelationRule
    from sigma.rule import SigmaRule

LOGSOURCE = {"product": "parcelwatch", "category": "access"}
#: How sure an alert is, by how far a rule has been tried.
CONFIDENCES = {"stable": 3, "test": 2, "experimental": 1, "deprecated": 1, "unsupported": 1}
#: Key of what Sigma has no place for: examples, and the title in Vietnamese.
OWN = "parcelwatch"


#: What pySigma raises, without words of its own, where a value has another type than it expects.
UNSAID = (TypeError, AttributeError, KeyError, ValueError, IndexError, OverflowError, RecursionError)


class Loaded(NamedTuple):
    """Rules of a folder.

    Attributes:
        rules: all of them, those that are referred to first. documents: where each stands, by its name.
    """

    rules: RuleSet
    documents: dict[str, Document]


def load(folder: Path) -> Loaded:
    """The rules of a folder or file, without fault.

    Raises:
        RuleError: everything that is wrong with them.
    """
    return from_documents(one for path in rule_files(folder) for one in read_documents(path))


def from_documents(documents: Iterable[Document]) -> Loaded:
    """The rules of documents. Raises RuleError, and nothing else whatever they hold."""
    faults: list[Fault] = []
    named: dict[str, tuple[Document, Any]] = {}
    for one in documents:
        try:
            name, parsed = _parse(one)
            if name in named:
                first = named[name][0]
                text = f"name {name} is taken by {first.path}:{first.line}; names are unique"
                raise RuleError(one.fault(text, "name"))
            named[name] = one, parsed
        except RuleError as exc:
            faults += exc.faults
    if not faults:
        rules: dict[str, Rule] = {}
        silent: set[str] = set()
        for name in named:
            try:
                _add(name, named, rules, silent, ())
            except RuleError as exc:
                faults += [fault for fault in exc.faults if fault not in faults]
    if faults:
        raise RuleError(*faults)
    found = RuleSet(tuple(_output(rule, rule.name not in silent) for rule in rules.values()))
    if wrong := set_fault(found):
        rule, text = wrong
        raise RuleError(_located(named[rule][0], text) if rule else Fault("all rules", 0, text))
    return Loaded(found, {name: one for name, (one, _) in named.items()})


def _output(rule: Rule, output: bool) -> Rule:
    from msgspec.structs import replace

    return replace(rule, output=output)


def _located(one: Document, text: str) -> Fault:
    """A fault at the key its text names, if it names one."""
    words = [word.strip("`',:;") for word in text.split()]
    return one.fault(
        text, *(word for word in words if any(key.split("|")[0] == word for key, _ in one.lines))
    )


def _parse(one: Document) -> tuple[str, SigmaRule | SigmaCorrelationRule]:
    """The rule of a document as pySigma has it. Raises RuleError."""
    try:
        from sigma.correlations import SigmaCorrelationRule
        from sigma.exceptions import SigmaError
        from sigma.rule import SigmaRule
    except ImportError:
        raise RuleError(Fault(one.path, 0, INSTALL)) from None
    data = one.data
    for key in ("filter", "action"):
        if key in data:
            raise RuleError(one.fault(f"Sigma's {key} is not supported; write whole rules", key))
    for key, why in (
        ("title", "say in a few words what it finds"),
        ("id", "give it a UUID of its own, e.g. by `uuidgen`"),
        ("name", "alerts and other rules call it by its name: small letters, digits, underscores"),
    ):
        if not isinstance(data.get(key), str):
            raise RuleError(one.fault(f"{key} is missing or no text; {why}", *([key] if key in data else [])))
    if not RULE_NAME.fullmatch(data["name"]):
        text = "its name has 1 to 48 small letters, digits and underscores, and begins with a letter"
        raise RuleError(one.fault(text, "name"))
    try:
        kind = SigmaCorrelationRule if "correlation" in data else SigmaRule
        if kind is SigmaRule:
            _check_source(one)
            check_keys(data.get("detection"))
        return data["name"], kind.from_dict({key: value for key, value in data.items() if key != OWN})
    except ConditionError as exc:
        raise RuleError(one.fault(str(exc), exc.field)) from None
    except SigmaError as exc:
        raise RuleError(one.fault(f"it is not Sigma 2.1: {exc}", *_likely(str(exc)))) from None
    except UNSAID as exc:
        text = f"it is not Sigma 2.1: a value has the wrong type ({exc}); see the example in docs/rules.md"
        raise RuleError(one.fault(text, "correlation", "detection")) from None


def _check_source(one: Document) -> None:
    source = one.data.get("logsource")
    if source != LOGSOURCE:
        text = "its logsource is `product: parcelwatch` and `category: access`, and nothing else: rules see these alone"
        raise RuleError(one.fault(text, "logsource"))


def _likely(text: str) -> list[str]:
    """Keys a message of pySigma may be about."""
    low = text.lower().replace("identifier", "id")
    known = (
        "id",
        "level",
        "status",
        "date",
        "timespan",
        "condition",
        "group-by",
        "type",
        "rules",
        "logsource",
    )
    return [*(key for key in known if key in low.split() or f"'{key}'" in low), "correlation", "detection"]


def _add(
    name: str,
    named: dict[str, tuple[Document, Any]],
    rules: dict[str, Rule],
    silent: set[str],
    path: tuple[str, ...],
) -> None:
    """Add a rule after those it refers to. Raises RuleError."""
    if name in rules:
        return
    one, parsed = named[name]
    if name in path:
        raise RuleError(
            one.fault(f"{' refers to '.join((*path, name))}: rules cannot refer in a circle", "rules")
        )
    when, about = None, None
    try:
        if "correlation" in one.data:
            about = _correlation(one, parsed, named, rules, silent, (*path, name))
        else:
            trees = [condition(each.parsed) for each in parsed.detection.parsed_condition]
            when = trees[0] if len(trees) == 1 else Node("or", args=tuple(trees))
    except ConditionError as exc:
        raise RuleError(one.fault(str(exc), exc.field, "condition")) from None
    except UNSAID as exc:
        # Every error of pySigma is a ValueError; conditions are parsed only now.
        raise RuleError(one.fault(f"it is not Sigma 2.1: {exc}", "condition")) from None
    own = one.data.get(OWN)
    title_vi = own.get("title_vi", "") if isinstance(own, dict) else ""
    level = parsed.level.name.lower() if parsed.level else "medium"
    rules[name] = Rule(
        name=name, id=str(parsed.id), title=parsed.title, level=level if level in SEVERITIES else "medium", when=when,
        correlation=about, confidence=CONFIDENCES.get(parsed.status.name.lower() if parsed.status else "", 2),
        title_vi=str(title_vi), description=" ".join((parsed.description or "").split()),
    )  # fmt: skip


def _correlation(
    one: Document,
    parsed: SigmaCorrelationRule,
    named: dict[str, tuple[Document, Any]],
    rules: dict[str, Rule],
    silent: set[str],
    path: tuple[str, ...],
) -> Correlation:
    from sigma.correlations import SigmaCorrelationCondition, SigmaExtendedCorrelationCondition

    by_id = {str(rule.id): name for name, (_, rule) in named.items()}
    about, kind = parsed.condition, parsed.type.name.lower()
    words = about if isinstance(about, SigmaExtendedCorrelationCondition) else None
    given = [ref.reference for ref in parsed.rules or ()] or (words.get_referenced_rules() if words else [])
    names = [by_id.get(str(ref), str(ref)) for ref in given]
    for ref, name in zip(given, names, strict=True):
        if name not in named:
            raise RuleError(
                one.fault(f"it refers to {str(ref)[:64]}, which is no rule here; load both", "rules")
            )
        _add(name, named, rules, silent, path)
        if not parsed.generate:
            silent.add(name)
    wanted = _grouping(one, parsed, names, by_id)
    op, count, fields, percentile = "gte", float(len(names)), (), 50.0
    if isinstance(about, SigmaCorrelationCondition):
        op, count = about.op.name.lower(), float(about.count)
        if kind == "value_percentile" and about.percentile is None:
            raise RuleError(
                one.fault("type value_percentile needs `percentile: 95` in its condition", "condition")
            )
        percentile = float(50 if about.percentile is None else about.percentile)
        if isinstance(about.fieldref, str):
            fields = tuple(wanted(n, about.fieldref) for n in range(len(names)))
        elif about.fieldref is not None:
            raise RuleError(one.fault("field is one field; a list of fields is not supported", "field"))
    if kind == "temporal_ordered" and (words or (op, count) not in (("gte", len(names)), ("eq", len(names)))):
        raise RuleError(
            one.fault("temporal_ordered needs all its rules: leave its condition out", "condition")
        )
    extra = [
        name for name in parsed.group_by or () if any(wanted(n, name) != "actor" for n in range(len(names)))
    ]
    groups = tuple(tuple(wanted(n, name) for name in extra) for n in range(len(names))) if extra else ()
    for n, name in enumerate(names):
        child = rules[name].correlation
        if child is not None and extra and not {*groups[n]} <= {*(child.groups[0] if child.groups else ())}:
            raise RuleError(one.fault(f"{name} does not group by all of {', '.join(groups[n])}", "group-by"))
    return Correlation(
        type=kind, rules=tuple(names), timespan=parsed.timespan.seconds, op=op, count=count, groups=groups,
        fields=fields, percentile=percentile,
        presence=presence(words.parsed, {str(ref): n for n, ref in enumerate(given)}) if words else None,
    )  # fmt: skip


def _grouping(one: Document, parsed: SigmaCorrelationRule, names: list[str], by_id: dict[str, str]) -> Any:
    """What a field, or an alias, is called in the rule of a number. Raises RuleError where the person is left out."""
    aliases: dict[str, dict[str, str]] = {}
    for alias in parsed.aliases:
        aliases[alias.alias] = {
            by_id.get(str(ref.reference), str(ref.reference)): str(field)
            for ref, field in alias.mapping.items()
        }

    def wanted(slot: int, field: str) -> str:
        return aliases.get(field, {}).get(names[slot], field)

    if not any(all(wanted(n, name) == "actor" for n in range(len(names))) for name in parsed.group_by or ()):
        raise RuleError(
            one.fault(
                "group-by must contain actor: the stream is split by person, so no rule sees what others did",
                "group-by",
            )
        )
    return wanted
