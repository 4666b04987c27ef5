"""A claim comes weeks after delivery: its ticket and call explain who opens the parcel, the old round does not."""

from __future__ import annotations

import pytest

from detectors.base import EXPLANATIONS, Person
from streams.flow.events import CONTEXT_KINDS, Context
from streams.relate.parcels import DAY, HOUR, Parcel, apply_context, explain

COURIER = Person("k1.courier", "vnx", role="courier", team="HN-03-courier", site="HN-03")
AGENT = Person("k1.agent", "vnx", role="call_centre", team="call", site="office")
CLERK = Person("k1.clerk", "vnx", role="claims_clerk", team="claims", site="office")
CLAIM = 30 * DAY


def context(time: int, kind: str, *staff: Person, site: str = "", ticket: str = "") -> Context:
    return Context(
        time, 0, 0, 0, time, CONTEXT_KINDS.index(kind), "vnx", "k1.p", site, "", list(staff), ticket
    )


@pytest.fixture
def delivered() -> Parcel:
    """A parcel delivered on the first day."""
    parcel = Parcel()
    apply_context(parcel, context(DAY, "assigned", COURIER, site="HN-03"))
    apply_context(parcel, context(DAY + HOUR, "delivered", COURIER))
    return parcel


def why(parcel: Parcel, who: Person, time: int, reason: str = "") -> str:
    return EXPLANATIONS[explain(parcel, who, time, "", reason)]


def test_a_ticket_long_after_delivery_explains_whom_it_is_given_to(delivered: Parcel) -> None:
    apply_context(delivered, context(CLAIM, "ticket_opened", AGENT, ticket="T1"))
    assert why(delivered, AGENT, CLAIM + HOUR) == "ticket"
    assert why(delivered, CLERK, CLAIM + HOUR, "ticket:T1") == "ticket"


def test_a_call_long_after_delivery_explains_who_takes_it(delivered: Parcel) -> None:
    apply_context(delivered, context(CLAIM, "call", AGENT))
    assert why(delivered, AGENT, CLAIM) == "call"
    assert why(delivered, CLERK, CLAIM, "call:C1") == "call"


def test_a_claim_revives_nobodys_old_work(delivered: Parcel) -> None:
    assert why(delivered, COURIER, CLAIM + HOUR) == ""
    apply_context(delivered, context(CLAIM, "ticket_opened", AGENT, ticket="T1"))
    assert why(delivered, COURIER, CLAIM + HOUR) == ""


def test_an_invented_ticket_explains_nothing(delivered: Parcel) -> None:
    assert why(delivered, CLERK, CLAIM, "ticket:T9") == ""
