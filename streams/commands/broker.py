"""`parcelwatch broker`: the embedded Kafka broker, for things to be pointed at."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from streams.kafka.broker import Broker, BrokerError
from streams.kafka.jars import DOWNLOAD_MB, KAFKA_VERSION, missing


@click.command()
@click.option(
    "--data",
    "data_dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".parcelwatch/broker"),
    show_default=True,
    help="Folder for the broker's data and log; made when absent. Delete it to start afresh.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Port to listen on. Default: the one last used with this folder, or else any free one.",
)
def command(data_dir: Path, port: int | None) -> None:
    """Run a real Apache Kafka broker on this machine until Ctrl-C or SIGTERM.

    Needs neither Docker nor Java. Its jars (44 MB) are fetched once, at first use. It listens on 127.0.0.1
    only and asks nobody for a password, so it is for tests and for trying things out; in production set
    PARCELWATCH_BROKER to a cluster of your own. Topics and messages stay in the data folder and are there
    again at the next start; the broker's log is the file broker.log in it. Topics are not made by
    themselves: `parcelwatch topics create` makes them.

    \b
    Example, in two terminals:
      $ parcelwatch broker --port 9092
      $ export PARCELWATCH_BROKER=127.0.0.1:9092
      $ parcelwatch topics create
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if missing():
            click.echo(
                f"Fetching Apache Kafka {KAFKA_VERSION} ({DOWNLOAD_MB} MB, this once) ...",
                err=True,
            )
        with Broker(data_dir, port=port) as broker:
            click.echo(f"Apache Kafka {KAFKA_VERSION} is ready at {broker.bootstrap}; elsewhere now do")
            click.echo(f"  export PARCELWATCH_BROKER={broker.bootstrap}")
            click.echo(f"Data and log are in {broker.data_dir}. Ctrl-C stops it.")
            broker.wait()
    except BrokerError as exc:
        raise click.ClickException(str(exc)) from None
    except KeyboardInterrupt:
        click.echo("The broker has stopped; its data is kept.", err=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Make SIGTERM end the command just as Ctrl-C does."""
    raise KeyboardInterrupt
