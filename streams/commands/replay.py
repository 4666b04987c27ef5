"""`parcelwatch replay`: a log file into Kafka, at a chosen speed."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Iterable

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams.commands.common import plain_errors
from streams.files import FileError, read_values, total_bytes
from streams.mapping import CsvMapping, mapping_options
from streams.sender import Pace, Sender, SendError, Tally, producer, topic_partitions
from streams.settings import load_settings
from streams.sources import SOURCE_TOPICS
from streams.topic_admin import TopicError
from streams.topics import ACCESS_EVENTS, STAFF_DIRECTORY

#: Below this a pause is not worth its own batches.
SHORTEST_PAUSE = 0.005


class Speed(click.ParamType):
    """`max`, or how many times as fast as the events happened."""

    name = "speed"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            speed = math.inf if text == "max" else float(text)
        except ValueError:
            speed = math.nan
        if not speed > 0:
            self.fail(f"{text!r} is no speed; write max, or a number above 0 such as 60", param, ctx)
        return speed


async def replay(
    bootstrap: str, topic: str, partitions: int, values: Iterable[bytes], speed: float, tally: Tally
) -> None:
    """Send values into their topic in order, each to the partition of its key.

    Args:
        bootstrap: Kafka bootstrap servers.
        topic: one of `streams.sources.SOURCE_TOPICS`.
        partitions: how many the topic has.
        values: JSON values; broken ones are sent too, for admit to reject by name.
        speed: event seconds a second; infinity for as fast as it goes.
        tally: counted up as the broker answers.

    Raises:
        SendError: no broker, or it took no more; whatever is not in `tally` was not sent.
        FileError: from `values`, once all that came before it is sent.
    """
    pace = Pace(speed) if math.isfinite(speed) else None
    async with producer(bootstrap) as client:
        sender = Sender(client, topic, partitions, tally)
        try:
            for value in values:
                if pace is not None and (pause := pace.wait(value)) > SHORTEST_PAUSE:
                    await sender.push_all()
                    await asyncio.sleep(pause)
                if sender.add(value):
                    await sender.push()
        except FileError:
            # What could be read goes out, so that the line the error names is where to go on.
            await sender.finish()
            raise
        await sender.finish()


@click.command()
@click.argument("file")
@click.option(
    "--topic",
    type=click.Choice(SOURCE_TOPICS),
    default=ACCESS_EVENTS,
    show_default=True,
    help="What the file holds.",
)
@click.option(
    "--speed",
    type=Speed(),
    default="max",
    show_default=True,
    help="How many times as fast as it happened: 1 as it was, 60 an hour a minute, max as fast as it goes.",
)
@mapping_options
@plain_errors(FileError, SendError, TopicError)
def command(file: str, topic: str, speed: float, mapping: CsvMapping | None) -> None:
    """Send the records of FILE (`-`: standard input) into Kafka, in their order.

    FILE is NDJSON, one JSON object a line, or CSV with a header; plain or gzip, which is seen by itself.
    Values go as they are: what admit cannot read, it rejects with the reason. The key is the actor (of
    parcel-context the parcel, of staff-directory carrier/actor), so one person's records stay in order.

    A value counts as sent once the broker has acknowledged it. When the broker refuses, nothing more is sent
    and the exit code is 1. Running it again sends everything again; events with an `id` are then dropped as
    duplicates.

    \b
    Examples:
      $ parcelwatch replay access.ndjson.gz
      $ parcelwatch replay context.ndjson --topic parcel-context --speed 60
      $ parcelwatch replay log.csv --map time=time --map actor=staff --map parcels=record \\
            --set carrier=vnx --set action=view
    """
    if topic == STAFF_DIRECTORY and math.isfinite(speed):
        raise click.UsageError("the staff directory has no event times; leave --speed out")
    settings = load_settings()
    partitions = topic_partitions(settings, topic)
    tally = Tally()
    began = time.monotonic()
    try:
        with _progress() as progress:
            task = progress.add_task(topic, total=total_bytes(file), sent=0)

            def show(position: int) -> None:
                progress.update(task, completed=position, sent=tally.sent)

            values = read_values(file, mapping, show)
            asyncio.run(replay(settings.broker, topic, partitions, values, speed, tally))
    finally:
        seconds = time.monotonic() - began
        rate = tally.sent / seconds
        click.echo(f"{tally.sent:,} sent, {tally.failed:,} failed, {seconds:.1f} s, {rate:,.0f}/s to {topic}")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[sent]:,} sent"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
