"""What the history gives back to the detect stage is what relate gave it: the same alerts, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.base import Touch
from streams.flow.events import Block, Explained, decode_block
from streams.flow.topics import ACCESS_EVENTS, ACTOR_LOG, PARCEL_CONTEXT, STAFF_DIRECTORY
from streams.history.archive import Archive
from streams.history.archive_files import ArchiveError
from streams.history.backtest import Backtest, alerted
from streams.history.detection import detect
from streams.history.pipeline import MemoryRecord, Pipeline
from streams.history.touches import Labelling, Spool, archived
from streams.history.translated import LogFile
from streams.simulator import SimulationConfig, simulate
from tests.archives import block, touch
from tests.law_harness import RING, WATCHFUL, Run
from tests.senders import DAY, MONDAY, Sent, carriers, seeded

LEAKS = ("bulk_read", "off_hours", "unrelated_parcel", "enumeration")


def archive(root: Path, logs: dict[int, Iterable[MemoryRecord]]) -> None:
    """Archive partitions of an actor log, a flush for every few blocks."""
    writer = Archive(root)
    for partition, records in logs.items():
        for record in records:
            writer.add(partition, record.offset, decode_block(record.value or b""))
            if record.offset % 40 == 0:
                writer.flush()
    writer.flush()


def rows(blocks: Iterable[bytes]) -> list[Touch | Explained]:
    """Rows of encoded blocks with their `Person`, one block after the other."""
    found: list[Touch | Explained] = []
    for value in blocks:
        one: Block = decode_block(value)
        both: list[Touch | Explained] = [*one.touches, *one.explained]
        for row in both:
            row.who = one.people[row.who]
        found += sorted(both, key=lambda row: (row.st, row.src, row.off, row.idx))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[LogFile]:
    """Two simulated days with leaks."""
    folder = tmp_path_factory.mktemp("logs")
    simulation = simulate(SimulationConfig(staff=20, days=2, leaks=LEAKS))
    lines: dict[str, list[bytes]] = {PARCEL_CONTEXT: [], ACCESS_EVENTS: []}
    for topic, record in simulation.events():
        lines[topic].append(orjson.dumps(record))
    lines[STAFF_DIRECTORY] = [orjson.dumps(record) for record in simulation.directory]
    for topic, values in lines.items():
        (folder / topic).write_bytes(b"\n".join(values))
    return [LogFile(topic, folder / topic) for topic in lines]


def test_a_history_gives_the_alerts_that_the_pipeline_gave(files: list[LogFile], tmp_path: Path) -> None:
    run = Backtest(
        files, RING, partitions=3, arrived=MONDAY + 90 * DAY, make=partial(Pipeline, keep_logs=True)
    )
    live = run.run()
    archive(tmp_path, {p: run.pipeline.logs[ACTOR_LOG, p] for p in range(3)})
    again = sorted(map(alerted, detect(archived(tmp_path))))
    assert again == live.alerts
    assert {orjson.loads(alert.value)["activity_id"] for alert in again} == {1, 2, 3}
    assert any(type(row) is Explained for row in rows(archived(tmp_path))), "no reason came late: prove more"


def test_files_kept_behind_relate_give_the_same_alerts_again_and_again(files: list[LogFile]) -> None:
    with Spool() as spool:
        keep = partial(Labelling, keep=spool.add)
        run = Backtest(files, RING, partitions=1, arrived=MONDAY + 90 * DAY, make=keep)
        assert run.run().alerts == [], "detectors see nothing while touches are kept"
        once, twice = (sorted(map(alerted, detect(spool))) for _ in range(2))
    assert once == twice
    assert once == Backtest(files, RING, partitions=1, arrived=MONDAY + 90 * DAY).run().alerts


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(carriers() | st.builds(seeded, st.integers(0, 2**32), st.integers(50, 200)))
def test_whatever_came_late_or_in_what_order_the_history_decides_as_the_log_did(sent: list[Sent]) -> None:
    """Late events, late reasons and clocks that stand still included, by detectors that decide by all they are told."""
    run = Run(sent, 1).finish()
    with TemporaryDirectory() as folder:
        archive(Path(folder), {0: run.logs[ACTOR_LOG, 0]})
        try:
            blocks = list(archived(Path(folder)))
        except ArchiveError:
            assert not run.alerts, "what alerts has touches"
            return
    assert sorted(detect(blocks, detectors=WATCHFUL)) == sorted(run.alerts.values())


def test_rows_come_in_the_one_order_though_late_events_and_reasons_lie_by_their_own_day(
    tmp_path: Path,
) -> None:
    late_touch = touch(50, time=MONDAY)
    late_touch.st = MONDAY + 3 * DAY + 5
    sent = [touch(n, time=MONDAY + n * DAY) for n in range(6)]
    for n, row in enumerate(sent):
        row.st = MONDAY + n * DAY
    reason = Explained(MONDAY + 4 * DAY + 7, 0, 60, 0, 0, (0, 1, 0), MONDAY + DAY, 3)
    everything = sorted([*sent, late_touch, reason], key=lambda row: row.st)
    order = [(row.st, row.off) for row in everything]
    archive_rows(tmp_path, everything)
    assert [(row.st, row.off) for row in rows(archived(tmp_path))] == order


def archive_rows(root: Path, sent: Iterable[Touch | Explained]) -> None:
    writer = Archive(root)
    for offset, row in enumerate(sent):
        writer.add(0, offset, block(row))
    writer.flush()


def test_days_and_carriers_can_be_chosen_and_only_their_late_reasons_come(tmp_path: Path) -> None:
    touches = [touch(n, time=MONDAY + n * DAY) for n in range(4)]
    for row in touches:
        row.st = row.time
    reasons = [
        Explained(MONDAY + 9 * DAY + n, 0, 90 + n, 0, 0, (0, n, 0), MONDAY + n * DAY, 3) for n in range(4)
    ]
    archive_rows(tmp_path, [*touches, *reasons])
    chosen = rows(archived(tmp_path, ["vnx"], since=date(2026, 3, 3), until=date(2026, 3, 4)))
    assert [row.off for row in chosen] == [1, 2, 91, 92]


@pytest.mark.parametrize(
    "chosen", [{"carriers": ["nobody"]}, {"since": date(2027, 1, 1)}, {"until": date(2020, 1, 1)}]
)
def test_nothing_chosen_is_an_error_that_says_where_to_look(
    tmp_path: Path, chosen: dict[str, object]
) -> None:
    archive_rows(tmp_path, [touch(1)])
    with pytest.raises(ArchiveError, match=r"no touches.*parcelwatch history list"):
        list(archived(tmp_path, **chosen))  # type: ignore[arg-type]  # by name


def test_time_ends_where_the_log_ended_or_with_the_last_row_of_the_days_chosen(tmp_path: Path) -> None:
    rows = [touch(n, time=MONDAY + n * DAY) for n in range(3)]
    for row in rows:
        row.st = row.time
    archive_rows(tmp_path, rows)
    *_, whole = archived(tmp_path)
    *_, part = archived(tmp_path, until=date(2026, 3, 3))
    # tests.archives.block says that its log has come one step beyond its last row.
    assert (decode_block(whole).clock, decode_block(whole).idle) == (MONDAY + 2 * DAY + 1, True)
    assert (decode_block(part).clock, decode_block(part).idle) == (MONDAY + DAY, True)
