"""The demo: a simulated carrier's days through a real broker, worker, tell and webhook receiver."""

from streams.demo.plan import Judged, Outcome, Plan, Seen, judge
from streams.demo.play import play
from streams.demo.players import DemoError
from streams.demo.scene import CONFIG, Scene, Screen, prepare

__all__ = [
    "CONFIG",
    "DemoError",
    "Judged",
    "Outcome",
    "Plan",
    "Scene",
    "Screen",
    "Seen",
    "judge",
    "play",
    "prepare",
]
