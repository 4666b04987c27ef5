"""A log into Kafka, at the pace it happened or a multiple of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from streams.history.files import FileError
from streams.kafka.sender import Pace, Sender, Tally, producer
from streams.settings import Settings

#: Below this a pause is not worth its own batches.
SHORTEST_PAUSE = 0.005


async def replay(
    settings: Settings, topic: str, partitions: int, values: Iterable[bytes], speed: float, tally: Tally
) -> None:
    """Send values into their topic in order, each to the partition of its key.

    Args:
        settings: where the broker is, and how it is reached.
        topic: one of `streams.flow.sources.SOURCE_TOPICS`.
        partitions: how many the topic has.
        values: JSON values; broken ones are sent too, for admit to reject by name.
        speed: event seconds a second; infinity for as fast as it goes.
        tally: counted up as the broker answers.

    Raises:
        SendError: no broker, or it took no more; whatever is not in `tally` was not sent.
        FileError: from `values`, once all that came before it is sent.
    """
    pace = Pace(speed) if math.isfinite(speed) else None
    async with producer(settings) as client:
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
