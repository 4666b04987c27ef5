"""A simulated carrier: staff at work, parcels on their way, leaks and look-alikes with the truth about them.

>>> from streams.simulator import SimulationConfig, simulate
>>> simulation = simulate(SimulationConfig(staff=20, leaks=("bulk_export",), lookalikes=()))
>>> topic, record = next(iter(simulation.events()))
>>> topic, record["carrier"]
('access-events', 'vnx')
>>> [(line["label"], line["shape"]) for line in simulation.truth]
[('leak', 'bulk_export')]
"""

from streams.simulator.config import LEAKS, LOOKALIKES, SimulationConfig, SimulationError, parse_counts
from streams.simulator.simulation import Simulation, simulate

__all__ = [
    "LEAKS",
    "LOOKALIKES",
    "Simulation",
    "SimulationConfig",
    "SimulationError",
    "parse_counts",
    "simulate",
]
