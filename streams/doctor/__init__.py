"""What an on-call engineer asks first, answered in seconds: is it the broker, the disk, a key, a receiver,
a worker?"""

from __future__ import annotations

from streams.doctor.check import Check, Status
from streams.doctor.examination import examine

__all__ = ["Check", "Status", "examine"]
