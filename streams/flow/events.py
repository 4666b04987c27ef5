"""Wire types: what carriers send, and the blocks of rows that travel between the stages.

Inbound records are JSON (design: contracts). Between stages a Kafka message is one *block*: msgpack, many rows, one
destination partition. Rows are positional (`array_like`) because a million of them a minute are encoded twice.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec

from detectors.base import Lesson, Person, Touch
from detectors.sigma import RuleSet

#: (order time, source, offset, index): where a row stands in the one order every stage applies rows in. Order time is
#: the running maximum of event time within a source partition, so a late event never moves the order back.
Position = tuple[int, int, int, int]
START: Position = (-1, -1, -1, -1)
#: An index after every row of the same offset.
LAST = 1 << 40

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Short = Annotated[str, msgspec.Meta(max_length=256)]


class Reason(msgspec.Struct, gc=False):
    """Why a staff member says he opened a record: kind `ticket`, `call`, ..., and the id of that ticket or call."""

    kind: Short = ""
    id: Short = ""


class AccessEvent(msgspec.Struct, gc=False):
    """Who read which shipment records; required: time, carrier, actor, action. Names, phones, addresses: never read.

    Attributes:
        time: when it was done.
        carrier: carrier code; it must have a key (`parcelwatch keys add`).
        actor: staff id or service account, as in the directory.
        action: search, view, list, export, print, download, reveal, update, scan, call or login.
        id: id of this event. One of the last 65,536 ids of its partition seen again is a duplicate.
        parcels: parcels that were shown; the first 5,000 distinct ones count.
        records: shipment records returned, when not all are listed; at least the number of parcels.
        fields: names of the fields that were shown.
        system: which system, e.g. `tms-web`.
        channel: `ui`, `app`, `api`, `batch` or `device`; another counts as not said.
        site: depot, hub or office it was done from.
        ip: network address it came from; only a keyed pseudonym of its network (IPv4 /24, IPv6 /48) is kept.
        device: which device; only a keyed pseudonym is kept.
        session: not kept.
        reason: `{"kind": "ticket", "id": "T9"}`: why the person says it was opened; a `ticket` or a `call` can explain,
            other kinds are not kept. The id is kept as a token.
        outcome: `success` (the default); anything else (not found, denied): nothing was shown, so no parcel counts as
            read, but the attempt does.
    """

    time: str
    carrier: Code
    actor: Id
    action: Short
    id: Short = ""
    parcels: list[Id] = []
    records: int | None = None
    fields: list[Short] = []
    system: Short = ""
    channel: Short = ""
    site: Short = ""
    ip: Short = ""
    device: Short = ""
    session: Short = ""
    reason: Reason | None = None
    outcome: Short = ""


class ContextEvent(msgspec.Struct, gc=False):
    """What happened to a parcel; required: time, carrier, parcel, kind.

    Attributes:
        time: when it happened.
        carrier: carrier code.
        parcel: parcel id.
        kind: accepted, assigned, arrived, departed, out_for_delivery, delivered, returned, ticket_opened,
            ticket_closed, call, cancelled or honeytoken.
        id: as in access events.
        site: where.
        route: which route.
        staff: who is assigned to it, scanned it, has the ticket, made the call.
        ticket: which ticket; kept as a token.
        feed: of kind `honeytoken`: the partner feed the ghost parcel was salted into.
    """

    time: str
    carrier: Code
    parcel: Id
    kind: Short
    id: Short = ""
    site: Short = ""
    route: Short = ""
    staff: list[Id] = []
    ticket: Short = ""
    feed: Short = ""


class StaffRecord(msgspec.Struct, gc=False):
    """One member of staff as the directory has it; required: carrier, actor.

    Attributes:
        carrier: carrier code.
        actor: staff id or service account.
        role: whose norms apply: people of one role are peers.
        team: colleagues whose work explains this person's.
        site: home site.
        manager: staff id of the supervisor.
        status: `active` (the default), `on_leave` or `left`.
        service: a declared service account.
        shifts: rostered hours in local time, `06-14` or `22:00-06:00`.
        since: date of joining.
    """

    carrier: Code
    actor: Id
    role: Short = ""
    team: Short = ""
    site: Short = ""
    manager: Short = ""
    status: Short = "active"
    service: bool = False
    shifts: list[Short] = []
    since: str = ""


CONTEXT_KINDS = (
    "accepted",
    "assigned",
    "arrived",
    "departed",
    "out_for_delivery",
    "delivered",
    "returned",
    "ticket_opened",
    "ticket_closed",
    "call",
    "cancelled",
    "honeytoken",
)


class Context(msgspec.Struct, array_like=True, gc=False):
    """A parcel-context record in the parcel log; `staff` are people as the directory knew them.

    `feed` names, of kind `honeytoken`, the partner feed the ghost parcel was salted into.
    """

    st: int
    src: int
    off: int
    idx: int
    time: int
    kind: int
    carrier: str
    parcel: str
    site: str
    route: str
    staff: list[Person]
    ticket: str
    feed: str = ""


class Explained(msgspec.Struct, array_like=True, gc=False):
    """The reason for an earlier, unexplained touch has arrived: `touch` is that touch's (source, offset, index)."""

    st: int
    src: int
    off: int
    idx: int
    who: Any
    touch: tuple[int, int, int]
    time: int
    explanation: int


class NormsRow(msgspec.Struct, array_like=True, gc=False):
    """What one finished day of one person taught: it goes to every partition of the actor log."""

    st: int
    src: int
    off: int
    idx: int
    carrier: str
    role: str
    lessons: list[Lesson]


class Control(msgspec.Struct, array_like=True, gc=False):
    """A control record (see `streams.flow.control`) in the actor log. `until` in ms, 0 for none; `actor` a token or
    empty. Its order time is where it stands in the log.
    """

    st: int
    src: int
    off: int
    idx: int
    time: int
    kind: int
    carrier: str
    actor: str
    detector: str
    alert: str
    value: str
    until: int
    rules: RuleSet | None = None


class Block(msgspec.Struct, array_like=True, gc=False):
    """Rows of one upstream partition for one downstream partition.

    Attributes:
        source: upstream partition, see `source_id`.
        through: position up to which this block and its predecessors cover the upstream.
        clock: no later row of this source will stand before this order time (ms).
        idle: the upstream has nothing more at present; do not wait for it.
        people: whom the rows' `who` indexes.
    """

    source: int
    through: Position
    clock: int
    idle: bool
    people: list[Person] = []
    touches: list[Touch] = []
    contexts: list[Context] = []
    explained: list[Explained] = []
    norms: list[NormsRow] = []
    controls: list[Control] = []


#: Kinds of upstream. Their numbers are part of every position: changing one reorders ties.
ACCESS_SOURCE, CONTEXT_SOURCE, RELATE_SOURCE, DETECT_SOURCE, CONTROL_SOURCE = 0, 1, 2, 3, 4


def source_id(kind: int, partition: int) -> int:
    """One number for an upstream partition; sorts by kind, then partition."""
    return kind << 16 | partition


encode_block = msgspec.msgpack.Encoder().encode
decode_block = msgspec.msgpack.Decoder(Block).decode


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record was not admitted, where it stands, how to mend it; the raw bytes are sealed, never in clear."""

    reason: str
    where: str = ""
    detail: str
    remedy: str
    carrier: str = ""
    topic: str
    partition: int
    offset: int
    rejected_at: str
    size: int
    sealed: str = ""

    def encode(self) -> bytes:
        """JSON, as the `rejected` topic holds it."""
        return msgspec.json.encode(self)

    def raw(self) -> bytes:
        """The sealed original; open it with `Keyring.unseal`."""
        return base64.b64decode(self.sealed)
