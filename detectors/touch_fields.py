"""What a rule may look at in a touch: each field's name, what kind of value it has, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from detectors.base import ACTIONS, CHANNELS, EXPLANATIONS, Touch
from detectors.calendar import in_shift, weekday_and_hour

Value = str | float | bool | None
#: Kinds of fields. A token or pseudonym stands for an id that is nowhere in clear: it can be told apart from others and
#: counted, but not compared with what somebody wrote. A moment is compared by its parts alone.
TEXT, NUMBER, FLAG, TOKEN, PSEUDONYM, MOMENT = (
    "text",
    "number",
    "true or false",
    "token",
    "pseudonym",
    "moment",
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Field(NamedTuple):
    """One field of a touch.

    Attributes:
        kind: see above.
        get: its value; None when the log does not say.
        words: its meaning, for the documentation and for errors.
    """

    kind: str
    get: Callable[[Touch], Value]
    words: str


def _at_home(touch: Touch) -> bool | None:
    return touch.site == touch.who.site if touch.site and touch.who.site else None


def _on_shift(touch: Touch) -> bool | None:
    shifts = touch.who.shifts
    return in_shift(shifts, touch.time, touch.tz) if shifts else None


FIELDS: dict[str, Field] = {
    "actor": Field(TOKEN, lambda t: t.who.token, "who did it, as a token"),
    "carrier": Field(TEXT, lambda t: t.who.carrier, "carrier code"),
    "role": Field(TEXT, lambda t: t.who.role or None, "role in the staff directory"),
    "team": Field(TEXT, lambda t: t.who.team or None, "team in the staff directory"),
    "home_site": Field(TEXT, lambda t: t.who.site or None, "site in the staff directory"),
    "manager": Field(TOKEN, lambda t: t.who.manager or None, "supervisor, as a token"),
    "status": Field(TEXT, lambda t: t.who.status or None, "`active`, `on_leave` or `left`"),
    "service": Field(FLAG, lambda t: t.who.service, "a declared service account"),
    "action": Field(TEXT, lambda t: ACTIONS[t.action], "what was done, one of the eleven actions"),
    "channel": Field(TEXT, lambda t: CHANNELS[t.channel] or None, "`ui`, `app`, `api`, `batch` or `device`"),
    "site": Field(TEXT, lambda t: t.site or None, "where it was done from"),
    "at_home_site": Field(FLAG, _at_home, "whether that is the person's own site"),
    "parcel": Field(TOKEN, lambda t: t.parcel or None, "the parcel that was shown, as a token"),
    "records": Field(NUMBER, lambda t: t.records, "shipment records the access returned, on its first row"),
    "reason": Field(TEXT, lambda t: t.reason.partition(":")[0] or None, "`ticket` or `call`, as the person says"),
    "explanation": Field(
        TEXT, lambda t: EXPLANATIONS[t.explanation] or None, "work that explains it, as known at once, strongest"
    ),
    "context": Field(FLAG, lambda t: t.context, "whether the carrier sends parcel context at all"),
    "first": Field(FLAG, lambda t: bool(t.parcel) and not t.seen, "the person never opened this parcel before"),
    "seen_days": Field(
        NUMBER, lambda t: (t.time - t.seen) / 86_400_000 if t.seen else None, "days since he last opened it"
    ),
    "closed_days": Field(
        NUMBER, lambda t: (t.time - t.closed) / 86_400_000 if t.closed else None, "days since it was delivered or ended"
    ),
    "handlers": Field(NUMBER, lambda t: len(t.others), "others who handled the parcel before, at most 6"),
    "crowd": Field(NUMBER, lambda t: t.crowd, "others who took a first look without a reason in a day, from 4 on"),
    "honeytoken": Field(TEXT, lambda t: t.ghost or None, "the partner feed whose honeytoken the parcel is"),
    "outcome": Field(TEXT, lambda t: "failure" if t.failed else "success", "`success` or `failure`"),
    "device": Field(PSEUDONYM, lambda t: t.device or None, "from which device"),
    "network": Field(PSEUDONYM, lambda t: t.place or None, "from which network (IPv4 /24, IPv6 /48)"),
    "holiday": Field(FLAG, lambda t: t.holiday, "a public holiday at the carrier"),
    "on_shift": Field(FLAG, _on_shift, "within rostered hours, give or take an hour"),
    "hour": Field(NUMBER, lambda t: weekday_and_hour(t.time, t.tz)[1], "local hour, 0 to 23"),
    "weekday": Field(TEXT, lambda t: WEEKDAYS[weekday_and_hour(t.time, t.tz)[0]], "local day, `monday` to `sunday`"),
    "time": Field(MOMENT, lambda t: t.time + t.tz * 60_000, "when, local; by a part: `|minute`, `|hour`, …, `|year`"),
}  # fmt: skip

_KEPT_AWAY = "admit does not keep it: a touch has only what detectors need"
#: Fields people look for, and why they are not there.
ABSENT: dict[str, str] = {
    "system": f"{_KEPT_AWAY}; use channel, site or action",
    "fields": f"{_KEPT_AWAY}; the action reveal says that hidden fields were shown",
    "session": f"{_KEPT_AWAY}; use device, or a correlation over actor",
    "ip": "addresses are kept as pseudonyms of their network alone; group or count by network, cidr is not possible",
    "user": "people are tokens; group by actor, and match role, team or home_site",
    "name": "names never enter parcelwatch; match role, team or home_site",
    "phone": "phone numbers never enter parcelwatch",
    "address": "addresses never enter parcelwatch",
}


def value_of(name: str) -> Callable[[Touch], Any]:
    """How a field's value is taken from a touch.

    >>> from detectors.testing import at, touch
    >>> event = touch(at(hour=22), "export", records=40)
    >>> [value_of(name)(event) for name in ("action", "records", "hour", "weekday", "parcel")]
    ['export', 40, 22, 'monday', None]
    """
    return FIELDS[name].get
