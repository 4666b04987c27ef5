"""Control records: what people and models decide about detection, as records of the `control` topic.

They reach every decision in-band: admit puts them into the partitions of the actor log they concern, where they take
effect at their place in the order of event time. So a replay meets each of them exactly where the live stream did.
The topic itself is the audit: who, what, until when, why; it is kept for ever.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, get_args

import msgspec

from detectors import DETECTORS
from detectors.honeytoken import HoneyToken
from detectors.model_score import ModelScore
from detectors.risk import RiskScore
from detectors.sigma import RuleSet
from detectors.sigma_check import fault as rules_fault
from streams.flow.events import Code, Short

Kind = Literal["verdict", "suppress", "watch", "strictness", "model", "rules"]
#: Kinds, in the order of their codes.
CONTROL_KINDS: tuple[str, ...] = get_args(Kind)
VERDICTS = ("true_positive", "false_positive", "benign")
SWITCH = ("on", "off")
#: Bounds of the factor on every detector's limits.
STRICTEST, LOOSEST = 8.0, 0.25
#: What a detector and an alert's uid are called. Nothing else may travel in their place: it would leave admit in clear.
DETECTOR_NAME = re.compile(r"(?:[a-z][a-z_]{0,63}|rule\.[a-z][a-z0-9_]{0,47})?")
RULE = re.compile(r"rule\.[a-z][a-z0-9_]{0,47}")
ALERT_UID = re.compile(r"(?:[0-9a-f]{32})?")
#: Modes of a model in force: it has a say, or only scores.
ACTIVE, SHADOW = "active", "shadow"
MODEL = re.compile(rf"(?:{SHADOW}|{ACTIVE}):[0-9a-f]{{64}}|off")
DAY = 86_400_000
#: Characters a reason may have.
LONGEST_WHY = 2_000
#: The longest time (ms) a suppression or a watch may be given at once: both end by themselves.
LONGEST = 90 * DAY


class ControlRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """One decision about detection; required: time, carrier, kind.

    | kind | about | value |
    |---|---|---|
    | verdict | `alert` (finding uid) of `detector` on `actor` | true_positive, false_positive, benign |
    | suppress | `actor`, `detector`, or both: alerts are kept but told to nobody, up to `until` | on, off |
    | watch | `actor`: his limits are halved, his risk counts double, up to `until` | on, off |
    | strictness | the whole carrier: factor on every limit, 1 as shipped, more for fewer alerts | a number |
    | model | the whole carrier: which model scores, and in which mode | shadow:SHA256, active:SHA256, off |
    | rules | the whole carrier: the Sigma rules in `rules` take the place of those before | their hash, or off |

    Attributes:
        actor: staff token as in the alert, or the clear id, which admit turns into the token.
        until: RFC 3339; required for suppress and watch that are `on`.
        by: who decided, as the organisation names its analysts; stays in the control topic.
        why: in words; stays in the control topic. Required for suppress and watch.
    """

    time: str
    carrier: Code
    kind: Kind
    id: Short = ""
    actor: Short = ""
    detector: Short = ""
    alert: Short = ""
    value: Short = ""
    until: Short = ""
    by: Short = ""
    why: Annotated[str, msgspec.Meta(max_length=LONGEST_WHY)] = ""
    rules: RuleSet | None = None


def suppressible(detector: str) -> bool:
    """Whether alerts of a detector may be suppressed: a honeytoken has no innocent reader."""
    return detector != HoneyToken.name


def known_detectors() -> tuple[str, ...]:
    """Names alerts are told under: the detectors of the catalogue, and what weighs them up."""
    return (*(detector.name for detector in DETECTORS), ModelScore.name, RiskScore.name)


def fault(record: ControlRecord, time: int, until: int) -> tuple[str, str] | None:
    """What keeps a record from taking effect: the field, and what is wrong or missing; None when nothing does.

    Args:
        time, until: the record's, ms since the epoch; `until` 0 when it has none.
    """
    kind, value = record.kind, record.value
    if not DETECTOR_NAME.fullmatch(record.detector) and record.detector not in known_detectors():
        return "detector", "a detector's name has small letters and underscores only"
    if not ALERT_UID.fullmatch(record.alert):
        return "alert", "an alert is named by its whole uid, 32 characters of 0-9 and a-f"
    if kind == "verdict":
        if value not in VERDICTS:
            return "value", f"a verdict is one of {', '.join(VERDICTS)}"
        missing = next((name for name in ("alert", "actor", "detector") if not getattr(record, name)), None)
        return (missing, "an alert (its uid), its detector and its person are needed") if missing else None
    if kind == "strictness":
        factor = f"the factor on the detectors' limits is a number from {LOOSEST:g} to {STRICTEST:g}"
        return None if LOOSEST <= _number(value) <= STRICTEST else ("value", factor)
    if kind == "model":
        return (
            None if MODEL.fullmatch(value) else ("value", "the value is shadow:SHA256, active:SHA256 or off")
        )
    if kind == "rules":
        return _rules_fault(record)
    return _switch_fault(record, time, until)


def _rules_fault(record: ControlRecord) -> tuple[str, str] | None:
    if record.rules is None:
        return None if record.value == "off" else ("value", "rules are sent with their hash, or are off")
    if wrong := rules_fault(record.rules):
        return "rules", f"rule {wrong[0]}: {wrong[1]}" if wrong[0] else wrong[1]
    if record.value != record.rules.version():
        return "value", "the value is not the hash of the rules; send them with `parcelwatch rules load`"
    return None


def _switch_fault(record: ControlRecord, time: int, until: int) -> tuple[str, str] | None:
    if record.value not in SWITCH:
        return "value", f"the value is one of {', '.join(SWITCH)}"
    if not record.why.strip():
        return "why", "say why; an empty reason is not one (a case number will do)"
    if not record.actor and (record.kind == "watch" or not record.detector):
        return "actor", "say whom" if record.kind == "watch" else "say whom, which detector, or both"
    if record.value == "off":
        return None
    if record.kind == "suppress" and not suppressible(record.detector):
        why = (
            "a honeytoken cannot be suppressed: no work leads to one, so whoever opens one is always told of"
        )
        return "detector", why
    if record.detector and record.detector not in known_detectors() and not RULE.fullmatch(record.detector):
        return "detector", f"no detector has that name; there are: {', '.join(known_detectors())}"
    if not until:
        return "until", "say until when, as RFC 3339 with offset, e.g. 2026-12-01T00:00:00+07:00"
    if until <= time:
        return "until", "its end is not in the future"
    if until - time > LONGEST:
        ahead = f"at most {LONGEST // DAY} days ahead, so that everything ends by itself"
        return "until", f"{ahead}; give it anew when that time has come"
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
