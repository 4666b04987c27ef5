"""The job as a good user writes it in stock Faust, by its documentation: Records, agents, Tables on RocksDB.

    access-events ─► touches (keyed by parcel) ─► labelled (keyed by staff member) ─► alerts

Hop one takes an event apart into touches; hop two keeps who handled each parcel, says whether a touch is the
person's first and whether anything explains it; hop three keeps each person's counts and decides. Counts are
in event time, in buckets within one plain Table value: windowed Tables expire by the wall clock and write
several keys an event. First touches stand for distinct parcels, so that a person's state stays small. It is
tuned by settings only; nothing of Faust is subclassed. It does less than parcelwatch: no pseudonyms, no
rejects, no peer baselines, no late explanations, no exactly-once state.

Environment: BENCH_BROKER (host:port), BENCH_APP_ID, BENCH_DATA_DIR, BENCH_PARTITIONS. It is run as
`-m benchmarks.stock_faust worker -l info`: with a quieter level Faust's start-up spinner sets the root logger
to DEBUG, and formatting what nobody sees costs a tenth of the time.
"""

import os
from datetime import datetime

import faust
from faust.types import StreamT

APP_ID = os.environ.get("BENCH_APP_ID", "stock-faust")
PARTITIONS = int(os.environ.get("BENCH_PARTITIONS", "4"))
TOUCHES, LABELLED, ALERTS = (f"{APP_ID}-{name}" for name in ("touches", "labelled", "alerts"))

#: Most first touches and most records before a person stands out, by window in seconds.
PARCEL_LIMITS = {300: 40, 3_600: 100, 86_400: 500}
RECORD_LIMITS = {300: 1_000, 3_600: 2_000, 86_400: 5_000}
#: Hours of the week a person must have worked (a working week) before another hour is unusual.
USUAL_HOURS = 40
TAKES_AWAY = {"export", "print", "download"}
EPISODE_QUIET = 3_600

Buckets = dict[str, list[int]]

app = faust.App(
    APP_ID,
    broker=f"kafka://{os.environ.get('BENCH_BROKER', '127.0.0.1:9092')}",
    datadir=os.environ.get("BENCH_DATA_DIR", ".stock-faust"),
    store="rocksdb://",
    topic_partitions=PARTITIONS,
    topic_disable_leader=True,
    table_standby_replicas=0,
    web_enabled=False,
    cython_optimizations=True,
    consumer_auto_offset_reset="earliest",
    consumer_max_fetch_size=4 * 1024 * 1024,
    stream_buffer_maxsize=65_536,
    producer_linger=0.02,
    producer_compression_type="lz4",
    producer_max_batch_size=1024 * 1024,
    worker_redirect_stdouts=False,
)


class AccessEvent(faust.Record, serializer="json"):
    time: str
    carrier: str
    actor: str
    action: str
    parcels: list[str]
    records: int
    site: str
    reason: dict[str, str] | None = None


class Touch(faust.Record, serializer="json"):
    at: float
    carrier: str
    actor: str
    action: str
    parcel: str
    records: int
    site: str
    reason: bool
    produced: int


class Labelled(faust.Record, serializer="json"):
    at: float
    carrier: str
    actor: str
    action: str
    parcel: str
    records: int
    first: bool
    explained: bool
    produced: int


class Parcel(faust.Record, serializer="json"):
    """Who handled one parcel: touches by staff member, scans, and touches by site."""

    staff: dict[str, int]
    scanned: list[str]
    sites: dict[str, int]


class Person(faust.Record, serializer="json"):
    """One person's counts.

    First touches and records by 5 minutes (last hour) and by hour (last day), touches by hour of the week,
    touches and unexplained touches in all, and when each kind of finding last held.
    """

    minutes: Buckets
    hours: Buckets
    week: dict[str, int]
    touches: int
    unexplained: int
    episodes: dict[str, float]


access_events = app.topic("access-events", key_type=str, value_type=AccessEvent)
touches = app.topic(TOUCHES, key_type=str, value_type=Touch)
labelled = app.topic(LABELLED, key_type=str, value_type=Labelled)
alerts = app.topic(ALERTS, key_type=str, value_serializer="json")

parcels = app.Table("parcels", key_type=str, value_type=Parcel, partitions=PARTITIONS)
people = app.Table("people", key_type=str, value_type=Person, partitions=PARTITIONS)


@app.agent(access_events, name="take-apart")
async def take_apart(stream: StreamT[AccessEvent]) -> None:
    """Send one touch for each parcel of an event, keyed by parcel, or by actor where it names none."""
    async for event in stream.events():
        access = event.value
        at = datetime.fromisoformat(access.time).timestamp()
        produced = int(event.message.timestamp * 1000)
        many = len(access.parcels) or 1
        for parcel in access.parcels or [""]:
            touch = Touch(
                at=at,
                carrier=access.carrier,
                actor=access.actor,
                action=access.action,
                parcel=parcel,
                records=max(access.records // many, 1),
                site=access.site,
                reason=bool(access.reason),
                produced=produced,
            )
            await touches.send(key=parcel or access.actor, value=touch)


@app.agent(touches, name="label")
async def label(stream: StreamT[Touch]) -> None:
    """Keep who handled each parcel, and send the touch on to its actor with first and explained filled in."""
    async for touch in stream:
        first, explained = True, touch.reason or touch.action == "scan"
        if touch.parcel:
            parcel = parcels.get(touch.parcel) or Parcel(staff={}, scanned=[], sites={})
            first = touch.actor not in parcel.staff
            explained = explained or touch.actor in parcel.scanned or touch.site in parcel.sites
            if touch.action == "scan" and touch.actor not in parcel.scanned:
                parcel.scanned.append(touch.actor)
            parcel.staff[touch.actor] = parcel.staff.get(touch.actor, 0) + 1
            parcel.sites[touch.site] = parcel.sites.get(touch.site, 0) + 1
            parcels[touch.parcel] = parcel
        await labelled.send(
            key=touch.actor,
            value=Labelled(
                at=touch.at,
                carrier=touch.carrier,
                actor=touch.actor,
                action=touch.action,
                parcel=touch.parcel,
                records=touch.records,
                first=first and bool(touch.parcel),
                explained=explained,
                produced=touch.produced,
            ),
        )


@app.agent(labelled, name="decide")
async def decide(stream: StreamT[Labelled]) -> None:
    """Count for the person, and send an alert when an episode opens."""
    async for touch in stream:
        person = people.get(touch.actor) or Person(
            minutes={}, hours={}, week={}, touches=0, unexplained=0, episodes={}
        )
        found = findings(person, touch)
        people[touch.actor] = person
        for kind, evidence in found.items():
            await alerts.send(
                key=touch.actor,
                value={
                    "carrier": touch.carrier,
                    "actor": touch.actor,
                    "detector": kind,
                    "at": touch.at,
                    "parcel": touch.parcel,
                    "evidence": evidence,
                },
                headers={"ce_producedat": str(touch.produced).encode()},
            )


def findings(person: Person, touch: Labelled) -> dict[str, dict[str, int]]:
    """Add the touch to the person's counts (in place); what opens an episode, by kind, with evidence."""
    five, hour = int(touch.at // 300), int(touch.at // 3_600)
    add(person.minutes, five, five - 12, touch)
    add(person.hours, hour, hour - 24, touch)
    person.touches += 1
    person.unexplained += not touch.explained
    now = {
        300: person.minutes[str(five)],
        3_600: total(person.minutes),
        86_400: total(person.hours),
    }
    raised = {}
    for window, (firsts, records) in now.items():
        if firsts > PARCEL_LIMITS[window] or records > RECORD_LIMITS[window]:
            raised["bulk_read"] = {"window": window, "first_touches": firsts, "records": records}
    hour_of_week = str((hour + 7) % 168)
    if len(person.week) >= USUAL_HOURS and hour_of_week not in person.week and touch.action in TAKES_AWAY:
        raised["off_hours"] = {"records": touch.records, "usual_hours": len(person.week)}
    person.week[hour_of_week] = person.week.get(hour_of_week, 0) + 1
    if person.touches >= 50 and person.unexplained > person.touches * 0.5:
        raised["unrelated_parcel"] = {"touches": person.touches, "unexplained": person.unexplained}
    opened = {}
    for kind, evidence in raised.items():
        if touch.at - person.episodes.get(kind, 0) > EPISODE_QUIET:
            opened[kind] = evidence
        person.episodes[kind] = touch.at
    return opened


def add(buckets: Buckets, bucket: int, oldest: int, touch: Labelled) -> None:
    """Count the touch in its bucket, forget those not newer than `oldest`; JSON makes the keys strings."""
    name = str(bucket)
    if name not in buckets:
        buckets[name] = [0, 0]
        for old in [other for other in buckets if int(other) <= oldest]:
            del buckets[old]
    buckets[name][0] += touch.first
    buckets[name][1] += touch.records


def total(buckets: Buckets) -> tuple[int, int]:
    """First touches and records over all buckets."""
    return sum(bucket[0] for bucket in buckets.values()), sum(bucket[1] for bucket in buckets.values())


if __name__ == "__main__":
    app.main()
