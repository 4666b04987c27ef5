"""`python -m benchmarks`: see `--help`."""

from __future__ import annotations

import asyncio
import json
import pstats
import shutil
import time
from pathlib import Path

import click
from rich.console import Console

from benchmarks import systems
from benchmarks.cluster import BenchmarkError, Cluster
from benchmarks.harness import Plan, Round, run_round
from benchmarks.report import as_json, as_table
from benchmarks.worker import ROOT
from benchmarks.workload import Workload
from streams.kafka.broker import Broker, BrokerError

#: Stock Faust is so much slower that a minute's steady work is a small part of the backlog.
STOCK_EVENTS = 60_000
PROFILE_ROWS = 40
WORK_DIR = ROOT / ".parcelwatch" / "bench"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--events", default=1_000_000, show_default=True, help="Backlog for parcelwatch.")
@click.option("--stock-events", default=STOCK_EVENTS, show_default=True, help="Backlog for stock Faust.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of each system, alternating.")
@click.option("--partitions", default=4, show_default=True, help="Partitions of each topic.")
@click.option("--staff", default=5_040, show_default=True, help="Staff of the carrier, a multiple of 60.")
@click.option(
    "--latency-seconds", default=30.0, show_default=True, help="Length of the half-load part; 0: none."
)
@click.option("--drain-seconds", default=600.0, show_default=True, help="Give a backlog up after this long.")
@click.option("--only", type=click.Choice(["stock-faust", "parcelwatch"]), help="Measure one system alone.")
@click.option("--profile", is_flag=True, help="Drain one backlog with parcelwatch under cProfile instead.")
@click.option(
    "--work-dir", type=click.Path(path_type=Path), default=WORK_DIR, help="Where events, logs, stores are."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write everything as JSON.")
def main(
    events: int,
    stock_events: int,
    rounds: int,
    partitions: int,
    staff: int,
    latency_seconds: float,
    drain_seconds: float,
    only: str | None,
    profile: bool,
    work_dir: Path,
    json_path: Path | None,
) -> None:
    """Measure parcelwatch and stock Faust at the same job, one after the other, on one embedded broker.

    Each round loads a backlog of access events, starts a worker, and measures how it drains it; then it sends
    what follows at half of that rate, with ten exports a second that must alert, and measures how long alerts
    take. Reported is the median over the rounds. The worker shares the machine with broker and producer.

    \b
    Example, two minutes:
      python -m benchmarks --rounds 1 --events 300000 --stock-events 20000 --latency-seconds 15
    """
    work_dir = work_dir.absolute()
    if profile:
        only, rounds, latency_seconds = "parcelwatch", 1, 0.0
    backlog = {"stock-faust": stock_events, "parcelwatch": events}
    names = [only] if only else list(backlog)
    results: dict[str, list[Round]] = {name: [] for name in names}
    console = Console()
    stats = work_dir / "parcelwatch.prof"
    try:
        shutil.rmtree(work_dir / "broker", ignore_errors=True)
        stats.unlink(missing_ok=True)
        with Broker(work_dir / "broker") as broker:
            cluster = Cluster(broker.bootstrap)
            for number in range(1, rounds + 1):
                for name in names:
                    plan = Plan(
                        Workload(staff), work_dir, partitions, backlog[name], latency_seconds, drain_seconds
                    )
                    console.print(f"round {number} of {rounds}: {name}, {plan.events:,} events …")
                    run, folder = f"{int(time.time())}", work_dir / "run"
                    shutil.rmtree(folder, ignore_errors=True)
                    if name == "parcelwatch":
                        system = systems.parcelwatch(
                            broker.bootstrap, run, folder, partitions, stats if profile else None
                        )
                    else:
                        system = systems.stock_faust(broker.bootstrap, run, folder, partitions)
                    measured = asyncio.run(run_round(cluster, system, plan, work_dir / f"{name}.log"))
                    console.print(f"  {measured.events_per_second:,.0f} events/s in {measured.seconds:.1f} s")
                    results[name].append(measured)
            cluster.close()
    except (BenchmarkError, BrokerError, ValueError) as exc:
        raise click.ClickException(str(exc)) from None
    console.print(as_table(results))
    if profile:
        if not stats.exists():
            raise click.ClickException(
                f"the worker left no profile: it did not end by itself; see {work_dir / 'parcelwatch.log'}"
            )
        for order in ("cumulative", "tottime"):
            pstats.Stats(str(stats)).sort_stats(order).print_stats(PROFILE_ROWS)
    if json_path is not None:
        json_path.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
