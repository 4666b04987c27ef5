"""`parcelwatch replay`: a log file into Kafka, at a chosen speed."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import Counter

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams.admit.translation import IgnoredError
from streams.commands.common import plain_errors
from streams.commands.source_options import format_options
from streams.flow.sources import SOURCE_TOPICS
from streams.flow.topics import ACCESS_EVENTS, STAFF_DIRECTORY
from streams.formats.base import Format
from streams.formats.mapping import Mapping
from streams.formats.native import Native
from streams.history.files import FileError, read_values, total_bytes
from streams.history.replay import replay
from streams.history.translated import Aside, Translated
from streams.kafka.sender import SendError, Tally, topic_partitions
from streams.kafka.topic_admin import TopicError
from streams.settings import load_settings


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
@format_options
@plain_errors(FileError, SendError, TopicError)
def command(file: str, topic: str, speed: float, mapping: Mapping | None, source: Format | None) -> None:
    """Send the records of FILE (`-`: standard input) into Kafka, in their order.

    FILE is NDJSON, one JSON object a line, or CSV with a header; plain or gzip, which is seen by itself.
    Values go as they are: what admit cannot read, it rejects with the reason. With --format a log in a format
    of its own goes as native events, for workers that read those; what it refuses is counted at the end and not
    sent. Without, its lines go as they are, for workers whose input_format it is. The key is the actor (of
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
      $ parcelwatch replay trail.json.gz --format cloudtrail --set carrier=vnx
    """
    if source is not None and topic != ACCESS_EVENTS:
        raise click.UsageError(f"--format: only for {ACCESS_EVENTS}; other topics are native")
    if topic == STAFF_DIRECTORY and math.isfinite(speed):
        raise click.UsageError("the staff directory has no event times; leave --speed out")
    settings = load_settings()
    if source is not None and settings.input_format != Native.name:
        raise click.UsageError(
            f"the workers read {settings.input_format} (input_format); leave --format out, lines go as they are"
        )
    partitions = topic_partitions(settings, topic)
    tally, asides = Tally(), Counter[str]()

    def put_aside(aside: Aside) -> None:
        asides["ignored" if isinstance(aside.why, IgnoredError) else f"refused, {aside.why.reason}"] += 1

    began = time.monotonic()
    try:
        with _progress() as progress:
            task = progress.add_task(topic, total=total_bytes(file), sent=0)

            def show(position: int) -> None:
                progress.update(task, completed=position, sent=tally.sent)

            values = Translated(file, source, show, put_aside) if source else read_values(file, mapping, show)
            asyncio.run(replay(settings, topic, partitions, values, speed, tally))
    finally:
        seconds = time.monotonic() - began
        rate = tally.sent / seconds
        click.echo(f"{tally.sent:,} sent, {tally.failed:,} failed, {seconds:.1f} s, {rate:,.0f}/s to {topic}")
        for what, n in sorted(asides.items()):
            click.echo(f"not sent: {n:,} {what}; `parcelwatch formats try` says of each line why", err=True)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[sent]:,} sent"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
