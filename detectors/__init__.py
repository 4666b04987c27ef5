"""What a leak looks like: one detector, one file. Pure: no I/O, no clock, no Kafka, no settings.

The catalogue is the list below. A new detector is one file, one line here and one test.
"""

from typing import Any

from detectors.base import Detector
from detectors.borrowed_login import BorrowedLogin
from detectors.bulk_read import BulkRead
from detectors.crowd import Crowd
from detectors.dormant_account import DormantAccount
from detectors.enumeration import Enumeration
from detectors.honeytoken import HoneyToken
from detectors.long_delivered import LongDelivered
from detectors.low_and_slow import LowAndSlow
from detectors.off_hours import OffHours
from detectors.sequence import SequenceOfSteps
from detectors.service_account import ServiceAccount
from detectors.shared_account import SharedAccount
from detectors.unrelated_parcel import UnrelatedParcel

DETECTORS: tuple[Detector[Any], ...] = (
    BulkRead(),
    OffHours(),
    UnrelatedParcel(),
    HoneyToken(),
    Crowd(),
    LongDelivered(),
    LowAndSlow(),
    BorrowedLogin(),
    SharedAccount(),
    ServiceAccount(),
    DormantAccount(),
    Enumeration(),
    SequenceOfSteps(),
)
