"""Peer groups learnt from behaviour, for people whom the chart gives no role: those who do about as much a day.

How much somebody does separates jobs better than anything else every log has: a clerk, a call-centre agent and a batch
account differ by factors, and so do their usual extremes. Bands are wide, so that nobody changes his peers with a busy
week, and one who does so slowly takes his own history along.
"""

from __future__ import annotations

from detectors.base import STEPS, log_bin

#: Levels are kept in parts of ONE bin; a day weighs one in MEMORY.
ONE, MEMORY = 16, 4
#: Doublings a band spans.
DOUBLINGS = 2


def learn_level(level: int, touches: int) -> int:
    """The level of a person after a finished day with so many touches; 0 stands for nobody known yet.

    >>> learn_level(0, 100), learn_level(432, 100), learn_level(432, 400)
    (432, 432, 464)
    """
    seen = log_bin(touches) * ONE
    return level + (seen - level) // MEMORY if level else seen


def peer_group(role: str, level: int) -> str:
    """Whom a person is held against: the role where the directory gives one, else the band of his level.

    >>> peer_group("clerk", 432), peer_group("", 432), peer_group("", 0)
    ('clerk', '~3', '')
    """
    return role or (f"~{level // (ONE * STEPS * DOUBLINGS)}" if level else "")
