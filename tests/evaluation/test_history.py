"""A history is a benign log like any other: what relate concluded from the carrier's records it concludes again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest

from detectors.base import EXPLANATIONS, Person, Touch
from streams.evaluation.background import SimulatedBackground
from streams.evaluation.history import HistoryBackground, access_event, directory_record
from streams.evaluation.log import AccessLog, read_log
from streams.evaluation.plan import make_plan
from streams.evaluation.run import fixed_keys
from streams.evaluation.scene import Scene
from streams.flow.events import Explained, decode_block
from streams.flow.topics import PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.history.archive import Archive
from streams.history.archive_files import ArchiveError
from streams.history.touches import Labelling, Spool
from tests.archives import block, touch
from tests.evaluation.office import NO_ZONES, Office
from tests.senders import DAY, MONDAY

ARRIVED = MONDAY + 90 * DAY


def labelled(blocks: list[bytes]) -> list[Touch]:
    """What relate sent, late reasons applied, in the order of the log."""
    found: dict[tuple[int, int, int], Touch] = {}
    late: list[Explained] = []
    for value in blocks:
        one = decode_block(value)
        for row in one.touches:
            row.who = one.people[row.who]
            found[row.src, row.off, row.idx] = row
        late += one.explained
    for reason in late:
        found[reason.touch].explanation = reason.explanation
    return sorted(found.values(), key=lambda row: (row.st, row.src, row.off, row.idx))


def run(directory: list[bytes], chunks: list[tuple[str, list[bytes]]]) -> tuple[list[Touch], list[bytes]]:
    """A log through admit and relate."""
    blocks: list[bytes] = []
    pipeline = Labelling(fixed_keys(["vnx"]), keep=blocks.append, arrived=lambda: ARRIVED)
    pipeline.feed(STAFF_DIRECTORY, directory)
    pipeline.finish((STAFF_DIRECTORY,))
    for topic, values in chunks:
        pipeline.feed(topic, values)
    pipeline.finish()
    assert not pipeline.rejected, "all of it can be read"
    return labelled(blocks), blocks


def archive(root: Path, blocks: list[bytes]) -> None:
    writer = Archive(root)
    for offset, value in enumerate(blocks):
        writer.add(0, offset, decode_block(value))
    writer.flush()


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Touch], list[Touch], AccessLog]:
    """Touches of a simulated carrier, the same after they were archived and labelled anew, and the log in between."""
    simulated = SimulatedBackground(20, 3)
    once, blocks = run(simulated.directory, list(simulated.chunks()))
    root = tmp_path_factory.mktemp("history")
    archive(root, blocks)
    with Spool() as spool:
        background = HistoryBackground(root, spool)
        again, _ = run(background.directory, list(background.chunks()))
        log = read_log(background, NO_ZONES, 0.3)
    return once, again, log


def test_touches_come_back_with_what_was_known_of_them(
    twice: tuple[list[Touch], list[Touch], AccessLog],
) -> None:
    once, again, _ = twice
    assert len(once) == len(again) > 1_000
    for name in ("time", "tz", "action", "records", "site", "channel", "failed", "seen", "idle", "crowd"):
        assert [getattr(row, name) for row in once] == [getattr(row, name) for row in again], name
    for name in ("device", "place", "parcel"):
        assert len({getattr(row, name) for row in once}) == len({getattr(row, name) for row in again}), name
    for name in ("role", "team", "site", "status", "service", "shifts"):
        assert [getattr(row.who, name) for row in once] == [getattr(row.who, name) for row in again], name


def test_what_was_explained_is_explained_and_hardly_anything_else(
    twice: tuple[list[Touch], list[Touch], AccessLog],
) -> None:
    once, again, _ = twice
    pairs = Counter((bool(a.explanation), bool(b.explanation)) for a, b in zip(once, again, strict=True))
    assert pairs[True, False] == 0
    assert pairs[False, True] <= 0.02 * len(once)
    same = sum(a.explanation == b.explanation for a, b in zip(once, again, strict=True))
    assert same >= 0.9 * len(once), Counter(
        (EXPLANATIONS[a.explanation], EXPLANATIONS[b.explanation]) for a, b in zip(once, again, strict=True)
    )
    assert sum(a.context == b.context for a, b in zip(once, again, strict=True)) >= 0.99 * len(once)


def test_neighbouring_parcel_numbers_stay_neighbours(
    twice: tuple[list[Touch], list[Touch], AccessLog],
) -> None:
    once, again, _ = twice
    shift = {(b.serial - a.serial) % 1_024 for a, b in zip(once, again, strict=True) if a.serial >= 0}
    assert len(shift) == 1
    assert all((a.serial < 0) == (b.serial < 0) for a, b in zip(once, again, strict=True))


def test_leaks_can_be_injected_and_what_cannot_is_named(
    twice: tuple[list[Touch], list[Touch], AccessLog],
) -> None:
    _, _, log = twice
    assert log.has_context
    assert log.has_ids
    assert log.devices
    plan = make_plan(Scene(log), 1, 1)
    assert "nothing to count up" in plan.left_out["enumeration"]


def test_an_office_without_context_directory_and_devices_stays_one(tmp_path: Path) -> None:
    office = Office(people=5, days=5)
    _, blocks = run([], list(office.chunks()))
    archive(tmp_path, blocks)
    with Spool() as spool:
        background = HistoryBackground(tmp_path, spool)
        assert background.directory == []
        assert background.name == "history, 2026-03-02 to 2026-03-06"
        chunks = list(background.chunks())
        assert chunks == list(background.chunks()), "it can be read again"
    assert PARCEL_CONTEXT not in {topic for topic, _ in chunks}
    assert sum(len(values) for _, values in chunks) == len(office.values)


def test_an_access_of_several_parcels_is_one_event_again() -> None:
    rows = [touch(7, parcel=f"k1.p{n}", records=0 if n else 3, serial=n, site="HN-03") for n in range(3)]
    for n, row in enumerate(rows):
        row.idx, row.who = n, Person("k1.a", "vnx")
    event = access_event(rows)
    assert event["parcels"] == ["k1.p0.0000", "k1.p1.0001", "k1.p2.0002"]
    assert (event["records"], event["site"], event["actor"]) == (3, "HN-03", "k1.a")
    assert not {"device", "ip", "channel", "reason", "outcome"} & event.keys()


def test_a_person_is_as_the_directory_had_him_for_most_touches(tmp_path: Path) -> None:
    active = Person("k1.a", "vnx", "clerk", "T", "S", status="active")
    left = Person("k1.a", "vnx", "clerk", "T", "S", status="left")
    writer = Archive(tmp_path)
    for n in range(5):
        writer.add(0, n, block(touch(n, who=n == 4), people=[active, left]))
    writer.flush()
    with Spool() as spool:
        [record] = HistoryBackground(tmp_path, spool).directory
    assert orjson.loads(record)["status"] == "active"
    assert directory_record(Person("k1.b", "vnx")) is None


def test_a_history_without_a_touch_is_an_error(tmp_path: Path) -> None:
    writer = Archive(tmp_path)
    writer.add(0, 0, block(touch(1)))
    writer.flush()
    with Spool() as spool, pytest.raises(ArchiveError, match=r"no touches.*history list"):
        HistoryBackground(tmp_path, spool, ["nobody"])
