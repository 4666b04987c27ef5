"""Runs a simulated carrier day by day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streams.simulator.config import SimulationConfig
from streams.simulator.delivery import Delivery
from streams.simulator.leaks import Leaks
from streams.simulator.lookalikes import LookAlikes
from streams.simulator.office import Office
from streams.simulator.parcels import Flow
from streams.simulator.world import World

#: Days of parcels taken in before the run, so that its first day finds parcels under way.
_WARM_UP = 3


class _Run:
    """One pass over the days of a configuration."""

    def __init__(self, config: SimulationConfig) -> None:
        self.world = World(config)
        self._flow = Flow(self.world)
        self._delivery = Delivery(self.world)
        self._office = Office(self.world, self._delivery)
        self._lookalikes = LookAlikes(self.world, self._office)
        self._leaks = Leaks(self.world)

    def days(self) -> Iterator[int]:
        """Simulate day after day; the recorder then holds each day in full."""
        for day in range(-_WARM_UP, self.world.config.days):
            self.world.recorder.open_day(day)
            if day >= 0:
                self._delivery.run(day)
            accepted = self._flow.accept(day)
            if day >= 0:
                self._office.run(day)
                self._lookalikes.run(day)
                self._leaks.run(day)
                yield day
            self.world.remember(accepted)
            self.world.roster.forget(day)


class Simulation:
    """A simulated carrier's staff directory, records and truth.

    Attributes:
        config: what was asked for.
        directory: staff-directory records, one an account.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        world = _Run(config).world
        self.directory: list[dict[str, Any]] = [
            person.directory(world.clock, config.carrier) for person in world.staff.everybody
        ]
        self._truth: list[dict[str, Any]] | None = None
        self._left_out: dict[str, str] = {}

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(topic, record) for access events and parcel context, in time order; every call begins anew.

        One day at a time is in memory. The truth is known when the iterator is exhausted.
        """
        run = _Run(self.config)
        for day in run.days():
            yield from run.world.recorder.close_day(day)
        lines = [(entry, entry.truth(run.world.clock)) for entry in run.world.planted]
        for entry, line in lines:
            if line is None:
                run.world.left_out.setdefault(
                    entry.shape, "nothing of it fell into the run; simulate more staff or days"
                )
        self._truth = [line for _, line in lines if line is not None]
        self._left_out = run.world.left_out

    @property
    def truth(self) -> list[dict[str, Any]]:
        """One line for each planted leak or look-alike; simulates first unless events() was read to its end.

        `label` is leak or benign, `shape` one of LEAKS or LOOKALIKES, `actor` an id or `*` for everybody,
        `parcels` the distinct parcels and `records` the rows that were read, `event_ids` the access events
        (none for `*`).
        """
        self._finish()
        assert self._truth is not None
        return self._truth

    @property
    def left_out(self) -> dict[str, str]:
        """What was asked for and could not be planted in so small a run, with the reason, by shape."""
        self._finish()
        return self._left_out

    def _finish(self) -> None:
        if self._truth is None:
            for _ in self.events():
                pass


def simulate(config: SimulationConfig) -> Simulation:
    """A carrier simulated as the configuration says; nothing runs until the events are read.

    Raises:
        SimulationError: already by the configuration, when it is out of range.
    """
    return Simulation(config)
