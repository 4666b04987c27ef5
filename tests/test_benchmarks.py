"""The benchmark feeds both systems the same stream, and its figures mean what they say."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from benchmarks.cluster import BenchmarkError, Cluster
from benchmarks.harness import Plan, Round, run_round
from benchmarks.report import as_json, medians, percentile, ratios
from benchmarks.stock_faust import Labelled, Person, findings
from benchmarks.systems import parcelwatch, stock_faust
from benchmarks.worker import Worker
from benchmarks.workload import CARRIER, START, Workload, cached, read
from streams.flow.events import AccessEvent
from streams.flow.topics import ACCESS_EVENTS
from streams.kafka.broker import Broker
from streams.privacy.tokens import Keyring

decode = msgspec.json.Decoder(AccessEvent).decode


def take(workload: Workload, count: int) -> list[bytes]:
    return list(itertools.islice(workload.events(), count))


def a_round(**changed: object) -> Round:
    base = Round(
        events=1000,
        seconds=2.0,
        events_per_second=500.0,
        cpu_per_million=1000.0,
        peak_rss=100.0,
        alerts=1,
        paced_rate=250.0,
        delays=[0.1, 0.2, 0.3],
    )
    return replace(base, **changed)


def a_touch(at: float, **changed: object) -> Labelled:
    fields: dict[str, object] = {
        "carrier": "vnx",
        "actor": "nv1",
        "action": "view",
        "parcel": "VN1",
        "records": 1,
        "first": True,
        "explained": True,
        "produced": 0,
    }
    return Labelled(at=at, **(fields | changed))


def nobody() -> Person:
    return Person(minutes={}, hours={}, week={}, touches=0, unexplained=0, episodes={})


class TestWorkload:
    def test_equal_seeds_give_equal_bytes_and_other_seeds_others(self) -> None:
        assert take(Workload(), 2000) == take(Workload(), 2000)
        assert take(Workload(), 2000) != take(Workload(seed=2), 2000)

    def test_every_event_is_valid_native_json_of_about_300_bytes_in_time_order(self) -> None:
        values = take(Workload(), 5000)
        times = [datetime.fromisoformat(decode(value).time) for value in values]
        assert times == sorted(times)
        assert times[0] == START
        assert 250 < sum(map(len, values)) / len(values) < 350

    def test_parcels_are_shared_by_a_few_people(self) -> None:
        people: dict[str, set[str]] = {}
        for value in take(Workload(staff=60), 20_000):
            event = decode(value)
            for parcel in event.parcels:
                people.setdefault(parcel, set()).add(event.actor)
        assert 2 < sum(map(len, people.values())) / len(people) < 6

    def test_leaks_are_planted_at_their_rate(self) -> None:
        exports = [decode(value) for value in take(Workload(), 100_000) if b'"action":"export"' in value]
        assert 4 <= len(exports) <= 20
        assert {event.records for event in exports} == {500, 5000}

    def test_a_probe_continues_the_clock_and_takes_twenty_thousand_records(self) -> None:
        workload = Workload()
        event = decode(workload.probe(1_000_000, workload.seconds_at(1_000_000), 3))
        assert event.records == 20_000
        assert abs((datetime.fromisoformat(event.time) - START).total_seconds() - 86_400) < 0.02 * 86_400

    def test_staff_that_does_not_make_whole_teams_is_refused(self) -> None:
        with pytest.raises(ValueError, match="multiple of 60"):
            Workload(staff=61)

    def test_a_cached_file_serves_shorter_workloads_and_holds_the_stream(self, tmp_path: Path) -> None:
        path = cached(Workload(), 300, tmp_path)
        assert cached(Workload(), 200, tmp_path) == path
        assert cached(Workload(), 301, tmp_path) != path
        assert list(read(path, 100, 300)) == take(Workload(), 300)[100:]

    def test_reading_past_the_end_says_so(self, tmp_path: Path) -> None:
        path = cached(Workload(), 10, tmp_path)
        with pytest.raises(ValueError, match="holds 10 events, not 11"):
            list(read(path, 0, 11))


class TestStockFaust:
    def test_an_episode_of_bulk_reading_alerts_once(self) -> None:
        person, at = nobody(), START.timestamp()
        opened = [findings(person, a_touch(at + n, parcel=f"VN{n}")) for n in range(120)]
        assert [list(each) for each in opened if each] == [["bulk_read"]]

    def test_the_same_parcels_again_are_no_bulk_reading(self) -> None:
        person, at = nobody(), START.timestamp()
        assert not any(findings(person, a_touch(at + n, first=False)) for n in range(120))

    def test_an_export_at_an_hour_never_worked_alerts(self) -> None:
        person = nobody()
        monday = START.timestamp()
        for day, hour in itertools.product((0, 1, 2, 3, 4, 7), range(8)):
            assert not findings(person, a_touch(monday + day * 86_400 + hour * 3600, action="export"))
        night = findings(person, a_touch(monday + 7 * 86_400 + 20 * 3600, action="export"))
        assert list(night) == ["off_hours"]

    def test_mostly_unexplained_touches_alert_once_enough_are_known(self) -> None:
        person, at = nobody(), START.timestamp()
        opened = [
            findings(person, a_touch(at + 600 * n, first=False, explained=n % 4 == 0)) for n in range(60)
        ]
        assert [n for n, each in enumerate(opened) if each] == [49]


class TestReport:
    @pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
    def test_percentiles_are_nearest_rank(self, share: float, expected: float) -> None:
        assert percentile([float(n) for n in range(1, 101)], share) == expected

    def test_no_delays_is_no_figure_rather_than_zero(self) -> None:
        assert medians([a_round(delays=[])])["p99_ms"] is None

    def test_a_ratio_above_one_always_means_better(self) -> None:
        ours = medians([a_round(events_per_second=1000.0, cpu_per_million=100.0)])
        better = ratios(ours, medians([a_round()]))
        assert better["events_per_second"] == 2
        assert better["cpu_seconds_per_million"] == 10

    def test_the_median_is_of_the_rounds(self) -> None:
        rounds = [a_round(peak_rss=value) for value in (1.0, 9.0, 2.0)]
        assert medians(rounds)["peak_rss_mb"] == 2

    def test_the_json_holds_machine_rounds_medians_and_ratios(self) -> None:
        report = as_json({"stock-faust": [a_round()], "parcelwatch": [a_round()]})
        assert set(report) == {"machine", "median", "rounds", "times_better"}


class TestSystems:
    def test_both_read_the_same_topic_and_have_their_alerts_stamped_by_the_broker(
        self, tmp_path: Path
    ) -> None:
        for build in (parcelwatch, stock_faust):
            system = build("127.0.0.1:1", "test", tmp_path / build.__name__, 3)
            topics = {spec.name: spec for spec in system.topics}
            assert system.hops[0] == ACCESS_EVENTS
            assert {ACCESS_EVENTS, *system.hops, system.alerts} <= set(topics)
            assert {spec.partitions for spec in topics.values()} == {3}
            for name in (ACCESS_EVENTS, system.alerts):
                assert topics[name].config["message.timestamp.type"] == "LogAppendTime"

    def test_parcelwatch_gets_a_key_for_the_carrier_of_the_workload(self, tmp_path: Path) -> None:
        system = parcelwatch("127.0.0.1:1", "test", tmp_path, 3)
        assert CARRIER in Keyring.load(Path(system.env["PARCELWATCH_KEYS_FILE"]))


class TestWorker:
    def test_usage_counts_processor_time_and_memory(self, tmp_path: Path) -> None:
        burn = "print(sum(range(10**7)), flush=True)\nimport time\ntime.sleep(60)"
        with Worker([sys.executable, "-c", burn], {}, tmp_path / "log") as worker:
            while not (tmp_path / "log").read_text():
                worker.usage()
            assert worker.usage().cpu > 0.02
            assert worker.usage().peak_rss > 5

    def test_a_worker_that_dies_is_reported_with_its_last_words(self, tmp_path: Path) -> None:
        def until_it_ends(worker: Worker) -> None:
            while True:
                worker.usage()

        command = [sys.executable, "-c", "raise SystemExit('no keys')"]
        ended = pytest.raises(BenchmarkError, match=r"ended with code 1;(.|\n)*no keys")
        with Worker(command, {}, tmp_path / "log") as worker, ended:
            until_it_ends(worker)


@pytest.mark.broker
async def test_a_round_of_stock_faust_drains_its_backlog_and_times_its_alerts(tmp_path: Path) -> None:
    """Its own broker, since a round deletes every topic there is."""
    with Broker(tmp_path / "broker") as broker:
        cluster = Cluster(broker.bootstrap)
        plan = Plan(Workload(), tmp_path, 2, 600, latency_seconds=5, drain_seconds=120)
        system = stock_faust(broker.bootstrap, "test", tmp_path / "run", 2)
        measured = await run_round(cluster, system, plan, tmp_path / "log")
        assert cluster.lag(system.group, system.hops, 2) == 0
        cluster.close()
    assert measured.events_per_second == pytest.approx(600 / measured.seconds)
    assert measured.cpu_per_million > 0
    assert measured.delays
    assert all(0 <= delay < 60 for delay in measured.delays)
