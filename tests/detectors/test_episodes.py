"""One stretch of one person's doing is one episode: one identity, told when it opens, grows and closes."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from detectors.base import HIGH, LOW, MEDIUM, Finding, Touch
from detectors.bulk_read import BulkRead
from detectors.episodes import (
    CLOSE,
    CREATE,
    MOST_SAMPLES,
    UPDATE,
    Alert,
    Episode,
    close,
    episode_uid,
    take_case,
)
from detectors.testing import CLERK, TZ, at, touch

DETECTOR = BulkRead()


def finding(evidence: float, severity: int = MEDIUM, since: int | None = None, **measures: float) -> Finding:
    return Finding(
        severity=severity,
        score=3.0,
        confidence=3,
        evidence=evidence,
        window=300,
        since=at() if since is None else since,
        measures={"count": evidence, **measures},
        baseline={},
        parcels=(),
        en="Read much.",
        vi="Đọc nhiều.",
    )


def take(
    episode: Episode | None, evidence: float, row: Touch, report: Callable[[], Finding] | None = None
) -> tuple[Episode, Alert | None]:
    report = report or (lambda: finding(evidence))
    return take_case(episode, DETECTOR, CLERK, evidence, row.time, row.st, row, TZ, report)


def test_the_first_case_opens_an_episode_that_begins_where_the_finding_says() -> None:
    row = touch(at(hour=10), parcel="k1.p")
    episode, alert = take(None, 50, row, lambda: finding(50, since=at(hour=9.5), records=50))
    assert alert is not None
    assert (alert.activity, alert.sequence) == (CREATE, 1)
    assert (alert.first, alert.opened, alert.last, alert.at) == (at(hour=9.5), row.time, row.time, row.time)
    assert alert.records == episode.records == 50
    assert alert.uid == episode_uid(CLERK, "bulk_read", row.time, row.st)
    assert alert.version == DETECTOR.tag


def test_a_finding_from_the_future_does_not_make_an_episode_begin_after_its_touch() -> None:
    _, alert = take(None, 50, touch(at(), parcel="k1.p"), lambda: finding(50, since=at(3)))
    assert alert is not None
    assert alert.first == at()


def test_an_episode_is_told_again_when_it_has_doubled() -> None:
    episode, _ = take(None, 50, touch(at(), parcel="k1.p"))
    told = []
    for evidence in range(51, 401):
        episode, alert = take(episode, evidence, touch(at() + evidence, parcel=f"k1.p{evidence}"))
        if alert:
            told.append((alert.activity, alert.sequence, alert.finding.evidence))
    assert [sequence for _, sequence, _ in told] == list(range(2, 2 + len(told)))
    assert all(activity == UPDATE for activity, _, _ in told)
    assert 2 <= len(told) <= 3


def test_words_are_asked_for_only_when_they_may_be_needed() -> None:
    asked: list[int] = []
    episode, _ = take(None, 100, touch(at(), parcel="k1.p"))

    def report() -> Finding:
        asked.append(1)
        return finding(100)

    for n in range(1_000):
        episode, _ = take(episode, 100 + n / 50, touch(at() + n, parcel=f"k1.p{n}"), report)
    assert not asked


def test_an_episode_that_has_become_more_severe_is_told_before_it_doubles() -> None:
    episode, _ = take(None, 100, touch(at(), parcel="k1.p"), lambda: finding(100, LOW))
    episode, alert = take(episode, 130, touch(at() + 1, parcel="k1.q"), lambda: finding(130, HIGH))
    assert alert is not None
    assert alert.finding.severity == HIGH
    _, again = take(episode, 170, touch(at() + 2, parcel="k1.r"), lambda: finding(170, HIGH))
    assert again is None


def test_records_and_parcels_add_up_over_the_episode() -> None:
    episode, _ = take(None, 50, touch(at(), "export", records=40), lambda: finding(50, records=40))
    for n in range(30):
        episode, _ = take(episode, 51, touch(at() + n, parcel=f"k1.p{n}"))
    episode, _ = take(episode, 51, touch(at() + 99, parcel="k1.seen", seen=at(-1)))
    alert = close(episode, DETECTOR, CLERK, at(1))
    assert alert.records == 40 + 31
    assert len(alert.samples) == MOST_SAMPLES
    assert alert.samples[-1] == "k1.p29"
    assert "k1.seen" not in alert.samples


def test_a_closed_episode_says_so_with_its_last_finding_and_number() -> None:
    episode, opened = take(None, 50, touch(at(), parcel="k1.p"))
    alert = close(episode, DETECTOR, CLERK, at(hour=12))
    assert opened is not None
    assert (alert.activity, alert.sequence, alert.at) == (CLOSE, 2, at(hour=12))
    assert (alert.uid, alert.last, alert.finding) == (opened.uid, at(), opened.finding)


def test_a_late_touch_moves_no_end_back() -> None:
    episode, _ = take(None, 50, touch(at(hour=10), parcel="k1.p"))
    episode, _ = take(episode, 51, touch(at(hour=9), parcel="k1.q"))
    assert episode.last == at(hour=10)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40))
def test_the_same_evidence_gives_the_same_messages(sizes: list[float]) -> None:
    def run() -> list[Alert | None]:
        episode: Episode | None = None
        alerts = []
        for n, size in enumerate(sizes):
            row = Touch(at(), 0, n, 0, CLERK, at() + n, TZ, 1, f"k1.p{n}", 1, 0)
            episode, alert = take(episode, size, row)
            alerts.append(alert)
        return alerts

    first = run()
    assert first == run()
    assert first[0] is not None
    assert first[0].activity == CREATE


def test_people_detectors_and_moments_have_episodes_of_their_own() -> None:
    uids = {
        episode_uid(CLERK, "bulk_read", 1, 1),
        episode_uid(CLERK, "off_hours", 1, 1),
        episode_uid(CLERK, "bulk_read", 2, 1),
        episode_uid(CLERK, "bulk_read", 1, 2),
    }
    assert len(uids) == 4
