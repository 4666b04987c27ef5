"""Control records: what people and models decide about detection, as records of the `control` topic.

They reach every decision in-band: admit puts them into the partitions of the actor log they concern, where they take
effect at their place in the order of event time. So a replay meets each of them exactly where the live stream did.
The topic itself is the audit: who, what, until when, why; it is kept for ever.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from streams.flow.events import Code, Short

#: Kinds, in the order of their codes.
CONTROL_KINDS = ("verdict", "suppress", "watch", "strictness", "model")
VERDICTS = ("true_positive", "false_positive", "benign")
SWITCH = ("on", "off")
#: Modes of a model: scores without a say, has a say, is not asked.
MODEL_MODES = ("shadow", "active", "off")
#: Bounds of the factor on every detector's limits.
STRICTEST, LOOSEST = 8.0, 0.25


class ControlRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """One decision about detection; required: time, carrier, kind.

    | kind | about | value |
    |---|---|---|
    | verdict | `alert` (finding uid) of `detector` on `actor` | true_positive, false_positive, benign |
    | suppress | `actor`, `detector`, or both: alerts are kept but told to nobody, up to `until` | on, off |
    | watch | `actor`: his limits are halved, his risk counts double, up to `until` | on, off |
    | strictness | the whole carrier: factor on every limit, 1 as shipped, more for fewer alerts | a number |
    | model | the whole carrier: which model scores, and in which mode | shadow:SHA256, active:SHA256, off |

    Attributes:
        actor: staff token as in the alert, or the clear id, which admit turns into the token.
        until: RFC 3339; required for suppress and watch that are `on`.
        by: who decided, as the organisation names its analysts; stays in the control topic.
        why: in words; stays in the control topic. Required for suppress and watch.
    """

    time: str
    carrier: Code
    kind: Literal["verdict", "suppress", "watch", "strictness", "model"]
    id: Short = ""
    actor: Short = ""
    detector: Short = ""
    alert: Short = ""
    value: Short = ""
    until: Short = ""
    by: Short = ""
    why: Annotated[str, msgspec.Meta(max_length=2000)] = ""


def suppressible(detector: str) -> bool:
    """Whether alerts of a detector may be suppressed: a honeytoken has no innocent reader."""
    return detector != "honeytoken"
