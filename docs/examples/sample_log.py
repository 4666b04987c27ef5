"""Write log.csv, staff.csv and tracuu.csv: 30 invented people, 2,000 lines in two weeks, and one thief of 240 parcels.

tracuu.csv is the same log as a system with a mind of its own might write it: other columns, times without a zone.

Run it in an empty folder: `python sample_log.py`. It gives the same files every time.
"""

from __future__ import annotations

import csv
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

LINES, STOLEN, THIEF = 2_000, 240, "nv0017"
ZONE = timezone(timedelta(hours=7))
ROLES = {"call_centre": range(1, 19), "depot": range(19, 29), "claims": range(29, 31)}


def main() -> None:
    """Draw ordinary accesses on working days, add the thief's afternoon, write all in order of time."""
    rng = random.Random(7)  # noqa: S311  # the same invented people every time; nothing is kept secret by it
    staff = {f"nv{number:04}": role for role, numbers in ROLES.items() for number in numbers}
    days = [datetime(2026, 11, 9, tzinfo=ZONE) + timedelta(days=day) for day in range(12)]
    working = [day for day in days if day.weekday() < 5]
    rows = []
    for number in range(LINES - STOLEN):
        time = rng.choice(working) + timedelta(seconds=rng.randrange(8 * 3600, 17 * 3600))
        rows.append((time, list(staff)[number % len(staff)], f"VN{rng.randrange(10**9):09}"))
    for number in range(STOLEN):
        time = working[-2] + timedelta(hours=14, seconds=7 * number)
        rows.append((time, THIEF, f"VN{rng.randrange(10**9):09}"))
    with Path("log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["TIMESTAMP", "USER", "SHIPMENT"])
        log.writerows((time.isoformat(), who, parcel) for time, who, parcel in sorted(rows))
    with Path("tracuu.csv").open("w", newline="") as file:
        own = csv.writer(file, delimiter=";")
        own.writerow(["Thời gian", "Nhân viên", "Mã bưu gửi", "Thao tác"])
        own.writerows(
            (f"{time:%d/%m/%Y %H:%M:%S}", who, parcel, "In nhãn" if who == THIEF else "Xem")
            for time, who, parcel in sorted(rows)
        )
    with Path("staff.csv").open("w", newline="") as file:
        people = csv.writer(file)
        people.writerow(["carrier", "actor", "role", "site"])
        people.writerows(("mine", who, role, "HN-03") for who, role in staff.items())


if __name__ == "__main__":
    main()
