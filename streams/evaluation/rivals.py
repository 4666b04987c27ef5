"""What others do, over the same log at the same alert budget: static thresholds, z-scores, IsolationForest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest

from detectors.base import ACTION_CODES, EXPORTS
from streams.admit.validate import DAY, MINUTE
from streams.evaluation.log import HOUR, AccessLog, Ints, person_days
from streams.evaluation.run import Message
from streams.evaluation.scene import Act

Floats = npt.NDArray[np.float64]
#: Days of history below which a z-score says nothing.
LEAST_DAYS = 5
STATIC, Z_SCORE, FOREST = "static thresholds", "z-score", "isolation forest"
Z_FIXED = "z > 3"


@dataclass
class Hours:
    """Person-hours of a log, in order of person and time; the day's figures are those so far.

    Attributes:
        person, day, last: whose, local day, event time (ms) of the hour's last access.
        start: event time of the first access of the day.
        parcels, records: distinct parcels of the hour, records of the hour.
        day_parcels, day_records, day_new: distinct parcels, records, and parcels new to the person.
        day_events, day_exports: accesses, and rows of exports.
        day_hours, day_night: hours with an access, and accesses between 22 and 6 h.
        ends: whether it is the last of its day.
    """

    person: Ints
    day: Ints
    last: Ints
    start: Ints
    parcels: Ints
    records: Ints
    day_parcels: Ints
    day_records: Ints
    day_new: Ints
    day_events: Ints
    day_exports: Ints
    day_hours: Ints
    day_night: Ints
    ends: npt.NDArray[np.bool_]


def person_hours(log: AccessLog, added: Sequence[Act]) -> Hours:
    """Count what everybody did in every hour of the merged log."""
    numbers = {parcel: number for number, parcel in enumerate(log.parcels)} if added else {}
    time, offset, person, action, records = (
        np.concatenate([column, np.array(more, np.int64)])
        for column, more in (
            (log.time, [act.time for act in added]),
            (log.offset, [act.offset for act in added]),
            (log.person, [act.person for act in added]),
            (log.action, [ACTION_CODES[act.action] for act in added]),
            (log.records, [act.records for act in added]),
        )
    )
    touched = [
        (len(log.time) + n, numbers[parcel])
        for n, act in enumerate(added)
        if act.found
        for parcel in act.parcels
    ]
    event = np.concatenate([log.touch_event, np.array([n for n, _ in touched], np.int64)])
    parcel = np.concatenate([log.touch_parcel, np.array([p for _, p in touched], np.int64)])
    hour = (time + offset * MINUTE) // HOUR
    keys, at = np.unique(person << 32 | hour, return_inverse=True)
    whose, when = keys >> 32, keys & 0xFFFF_FFFF
    day = when // 24
    size = len(keys)
    last = np.zeros(size, np.int64)
    np.maximum.at(last, at, time)
    first = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(first, at, time)
    starts = np.flatnonzero(np.append(True, (whose[1:] != whose[:-1]) | (day[1:] != day[:-1])))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, size)))
    # `event_hour` is rising in time for one person, so the first row of a (day, parcel) is where it is first met.
    event_hour = at[event]
    width = max(1, len(log.parcels))
    in_hour = np.unique(event_hour * width + parcel) // width
    _, new_in_day = _firsts(group[event_hour] * width + parcel, event_hour)
    _, new_ever = _firsts(whose[event_hour] * width + parcel, event_hour)
    exported = np.where(np.isin(action, list(EXPORTS)), records, 0)
    night = ((hour % 24) < 6) | ((hour % 24) >= 22)

    def so_far(values: Ints) -> Ints:
        total = np.cumsum(values)
        return total - np.repeat(total[starts] - values[starts], np.diff(np.append(starts, size)))

    def summed(weights: npt.ArrayLike) -> Ints:
        return np.bincount(at, np.asarray(weights), size).astype(np.int64)

    return Hours(
        person=whose,
        day=day,
        last=last,
        start=first[starts][group],
        parcels=np.bincount(in_hour, minlength=size),
        records=summed(records),
        day_parcels=so_far(np.bincount(new_in_day, minlength=size)),
        day_records=so_far(summed(records)),
        day_new=so_far(np.bincount(new_ever, minlength=size)),
        day_events=so_far(np.bincount(at, minlength=size)),
        day_exports=so_far(summed(exported)),
        day_hours=so_far(np.ones(size, np.int64)),
        day_night=so_far(summed(night)),
        ends=np.append(group[1:] != group[:-1], True),
    )


def _firsts(keys: Ints, hours: Ints) -> tuple[Ints, Ints]:
    """Distinct keys, and the first hour of each."""
    order = np.lexsort((hours, keys))
    found, first = np.unique(keys[order], return_index=True)
    return found, hours[order][first]


def static_scores(hours: Hours, warm_up: npt.NDArray[np.bool_]) -> Floats:
    """Thresholds on parcels and records an hour and a day, all equally rare in the warm-up: the rarest counts."""
    columns = (hours.parcels, hours.records, hours.day_parcels, hours.day_records)
    highest: Floats = np.max([_surprise(column.astype(float), warm_up) for column in columns], axis=0)
    return highest


def _surprise(values: Floats, warm_up: npt.NDArray[np.bool_]) -> Floats:
    """−log10 of the share of the warm-up that reaches the value; beyond its largest, growing with the ratio to it."""
    known = np.sort(values[warm_up])
    reach = len(known) - np.searchsorted(known, values)
    beyond = np.log10(np.maximum(1, values / max(1.0, known[-1] if len(known) else 1.0)))
    return -np.log10(np.maximum(reach, 0.5) / max(1, len(known))) + beyond


def z_scores(hours: Hours) -> Floats:
    """How many standard deviations a person's distinct parcels of the day so far lie above his days before."""
    scores = np.full(len(hours.person), -np.inf)
    ends = np.flatnonzero(hours.ends)
    values, people = hours.day_parcels[ends].astype(float), hours.person[ends]
    begin = 0
    mean, deviation = np.zeros(len(ends)), np.full(len(ends), np.inf)
    for end in (*(np.flatnonzero(people[1:] != people[:-1]) + 1), len(ends)):
        own = values[begin:end]
        count = np.arange(1, len(own) + 1)
        average = np.cumsum(own) / count
        spread = np.sqrt(np.maximum(0, np.cumsum(own**2) / count - average**2))
        later = slice(begin + LEAST_DAYS, end)
        mean[later], deviation[later] = average[LEAST_DAYS - 1 : -1], spread[LEAST_DAYS - 1 : -1]
        begin = end
    of_hour: Ints = np.cumsum(hours.ends) - hours.ends
    known = np.isfinite(deviation[of_hour])
    # One parcel more than always the same is no infinite surprise.
    scores[known] = (hours.day_parcels - mean[of_hour])[known] / np.maximum(1, deviation[of_hour])[known]
    return scores


def forest_scores(hours: Hours, warm_up: npt.NDArray[np.bool_], seed: int) -> Floats:
    """IsolationForest on a person's day, fitted on the warm-up's days; it scores a day when it is over."""
    columns = (
        hours.day_parcels, hours.day_records, hours.day_new, hours.day_events, hours.day_exports, hours.day_hours,
        hours.day_night,
    )  # fmt: skip
    features = np.log1p(np.stack(columns, axis=1).astype(float))
    scores = np.full(len(hours.person), -np.inf)
    fit = warm_up & hours.ends
    if fit.any():
        forest = IsolationForest(random_state=seed).fit(features[fit])
        scores[hours.ends] = -forest.score_samples(features[hours.ends])
    return scores


def messages(name: str, hours: Hours, scores: Floats, threshold: float) -> list[Message]:
    """An alert for each person-day that reaches the threshold, told again at each further hour that does."""
    return [
        Message(
            int(hours.person[n]),
            f"{hours.person[n]}/{hours.day[n]}",
            name,
            int(hours.last[n]),
            int(hours.day[n]),
            int(hours.start[n]),
            int(hours.last[n]),
            float(scores[n]),
        )
        for n in np.flatnonzero(scores >= threshold)
    ]


def threshold_for(hours: Hours, scores: Floats, warm_up: npt.NDArray[np.bool_], rate: float) -> float:
    """The score that spends so many alerts per 1,000 user-days on the warm-up."""
    days = hours.person[warm_up] * (1 << 32) + hours.day[warm_up]
    keys, at = np.unique(days, return_inverse=True)
    highest = np.full(len(keys), -np.inf)
    np.maximum.at(highest, at, scores[warm_up])
    ranked = np.sort(highest)[::-1]
    count = round(rate * len(keys) / 1_000)
    if not len(ranked) or count == 0:
        return float(np.nextafter(ranked[0], np.inf)) if len(ranked) else np.inf
    return float(ranked[min(count, len(ranked)) - 1])


def rivals(
    log: AccessLog, added: Sequence[Act], rate: float, seed: int
) -> dict[str, tuple[list[Message], list[Message]]]:
    """By rival: what it says at the budget, and all it could say, for the curve.

    Args:
        log: the benign log.
        added: what was merged in.
        rate: alerts per 1,000 user-days to spend.
        seed: of IsolationForest.
    """
    hours = person_hours(log, added)
    warm_up = hours.day < log.test_day
    by_name = {
        STATIC: static_scores(hours, warm_up),
        Z_SCORE: z_scores(hours),
        FOREST: forest_scores(hours, warm_up, seed),
    }
    given = {}
    for name, scores in by_name.items():
        everything = messages(name, hours, scores, np.nextafter(-np.inf, 0))
        given[name] = messages(name, hours, scores, threshold_for(hours, scores, warm_up, rate)), everything
    given[Z_FIXED] = messages(Z_FIXED, hours, by_name[Z_SCORE], 3.0), given[Z_SCORE][1]
    return given


def user_days(log: AccessLog, added: Sequence[Act]) -> int:
    """Persons with at least one access on a local day, test part of the merged log."""
    person = np.concatenate([log.person, np.array([act.person for act in added], np.int64)])
    day = np.concatenate(
        [log.day, np.array([(act.time + act.offset * MINUTE) // DAY for act in added], np.int64)]
    )
    test = day >= log.test_day
    return len(person_days(person[test], day[test]))
