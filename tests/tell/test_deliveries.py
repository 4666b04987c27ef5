"""The outbox keeps every delivery, once, in order, through crashes and restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streams.sinks import Delivery
from streams.tell.deliveries import KEEP_DELIVERED, REMEMBER_IDS, Outbox, OutboxError

NOW = 1_800_000_000.0


def message(id_: str, uid: str = "u1") -> Delivery:
    return Delivery(
        id=id_, uid=uid, type="parcelwatch.alert.created", occurred=1, recorded=NOW - 1, body=b'{"a":1}'
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deliveries.sqlite"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with closing(Outbox(path)) as opened:
        yield opened


def due_ids(outbox: Outbox, receiver: str = "soc", now: float = NOW) -> list[str]:
    return [item.delivery.id for item in outbox.due(receiver, now, 100)]


def seq_of(outbox: Outbox, id_: str, now: float = NOW) -> int:
    return next(item.seq for item in outbox.due("soc", now, 100) if item.delivery.id == id_)


def test_a_message_is_taken_once_for_each_receiver(outbox: Outbox) -> None:
    """What the topic repeats after a crash upstream is delivered once."""
    assert outbox.admit([message("u1-1"), message("u1-1"), message("u2-1", "u2")], ["soc", "siem"], NOW) == 2
    assert outbox.admit([message("u1-1")], ["soc", "siem"], NOW) == 0
    assert due_ids(outbox, "soc") == due_ids(outbox, "siem") == ["u1-1", "u2-1"]


def test_a_delivery_comes_back_exactly_as_it_was_taken(outbox: Outbox) -> None:
    outbox.admit([message("u1-1")], ["soc"], NOW)
    assert outbox.due("soc", NOW, 1)[0].delivery == message("u1-1")


def test_a_receiver_added_later_starts_with_alerts_from_then_on(outbox: Outbox) -> None:
    """Also when the topic is read again from its beginning."""
    outbox.admit([message("u1-1")], ["soc"], NOW)
    outbox.admit([message("u1-1"), message("u2-1", "u2")], ["soc", "siem"], NOW + 1)
    assert due_ids(outbox, "siem", NOW + 1) == ["u2-1"]


def test_what_was_taken_survives_closing_without_ceremony(path: Path) -> None:
    first = Outbox(path)
    first.admit([message("u1-1")], ["soc"], NOW)
    with closing(Outbox(path)) as second:  # the first was never closed
        assert due_ids(second) == ["u1-1"]
    first.close()


def test_all_or_nothing_of_a_batch_is_taken(outbox: Outbox) -> None:
    """A batch that cannot be written wholly leaves nothing behind, so that it is read again."""
    broken = Delivery(id="u2-1", uid=None, type="t", occurred=1, recorded=NOW, body=b"{}")  # type: ignore[arg-type]  # the fault
    with pytest.raises(sqlite3.IntegrityError):
        outbox.admit([message("u1-1"), broken], ["soc"], NOW)
    assert due_ids(outbox) == []
    assert outbox.admit([message("u1-1")], ["soc"], NOW) == 1


def test_first_attempts_keep_the_order_of_an_episode(outbox: Outbox) -> None:
    outbox.admit([message("u1-1"), message("u1-2"), message("u2-1", "u2"), message("u1-3")], ["soc"], NOW)
    assert due_ids(outbox) == ["u1-1", "u2-1"]
    outbox.settle("soc", seq_of(outbox, "u1-1"), "pending", NOW, "HTTP 500", NOW + 60)
    assert due_ids(outbox) == ["u1-2", "u2-1"]  # a retry holds nothing up
    outbox.settle("soc", seq_of(outbox, "u1-2"), "delivered", NOW, "HTTP 200")
    assert due_ids(outbox) == ["u2-1", "u1-3"]
    assert due_ids(outbox, now=NOW + 60) == ["u2-1", "u1-3", "u1-1"]


def test_one_receivers_order_does_not_hold_up_another(outbox: Outbox) -> None:
    outbox.admit([message("u1-1"), message("u1-2")], ["soc", "siem"], NOW)
    outbox.settle("siem", outbox.due("siem", NOW, 1)[0].seq, "delivered", NOW, "HTTP 200")
    assert due_ids(outbox, "siem") == ["u1-2"]
    assert due_ids(outbox, "soc") == ["u1-1"]


def test_nothing_is_due_before_its_time(outbox: Outbox) -> None:
    outbox.admit([message("u1-1")], ["soc"], NOW)
    outbox.settle("soc", seq_of(outbox, "u1-1"), "pending", NOW, "HTTP 500", NOW + 5)
    assert due_ids(outbox, now=NOW + 4.9) == []
    item = outbox.due("soc", NOW + 5, 1)[0]
    assert (item.attempts, item.since) == (1, NOW)


def test_a_disabled_receiver_keeps_everything_with_the_reason(outbox: Outbox) -> None:
    outbox.admit([message("u1-1")], ["soc", "siem"], NOW)
    assert outbox.disable("soc", NOW, "HTTP 410") == 1
    outbox.admit([message("u2-1", "u2")], ["soc", "siem"], NOW)
    assert due_ids(outbox, "soc") == []
    assert due_ids(outbox, "siem") == ["u1-1", "u2-1"]
    kept = outbox.entries("soc", "undelivered")
    assert [(entry.id, entry.answer) for entry in kept] == [("u2-1", "HTTP 410"), ("u1-1", "HTTP 410")]
    assert outbox.standings()["soc"].disabled == "HTTP 410"


def test_resending_enables_a_receiver_and_starts_its_day_anew(outbox: Outbox) -> None:
    outbox.admit([message("u1-1")], ["soc"], NOW)
    outbox.disable("soc", NOW, "HTTP 410")
    assert outbox.resend(NOW + 90_000, ["soc"]) == 1
    item = outbox.due("soc", NOW + 90_000, 1)[0]
    assert (item.attempts, item.since) == (0, NOW + 90_000)
    outbox.admit([message("u2-1", "u2")], ["soc"], NOW + 90_000)
    assert due_ids(outbox, now=NOW + 90_000) == ["u1-1", "u2-1"]


def test_resending_by_receiver_leaves_the_others_and_the_delivered_alone(outbox: Outbox) -> None:
    outbox.admit([message("u1-1"), message("u2-1", "u2")], ["soc", "siem"], NOW)
    for receiver in ("soc", "siem"):
        first, second = outbox.due(receiver, NOW, 2)
        outbox.settle(receiver, first.seq, "undelivered", NOW, "given up")
        outbox.settle(receiver, second.seq, "delivered", NOW, "HTTP 200")
    assert outbox.resend(NOW, ["soc"]) == 1
    assert due_ids(outbox, "soc") == ["u1-1"]
    assert due_ids(outbox, "siem") == []


def test_one_message_is_resent_by_its_id_even_if_delivered(outbox: Outbox) -> None:
    outbox.admit([message("u1-1"), message("u2-1", "u2")], ["soc"], NOW)
    for item in outbox.due("soc", NOW, 2):
        outbox.settle("soc", item.seq, "delivered", NOW, "HTTP 200")
    assert outbox.resend(NOW, ["soc"], "u2-1") == 1
    assert due_ids(outbox) == ["u2-1"]
    assert outbox.resend(NOW, ["soc"], "nothing") == 0


def test_a_late_failure_does_not_revive_what_was_settled(outbox: Outbox) -> None:
    """An attempt under way while its receiver was disabled ends without effect, unless it succeeded."""
    outbox.admit([message("u1-1"), message("u2-1", "u2")], ["soc"], NOW)
    first, second = outbox.due("soc", NOW, 2)
    outbox.disable("soc", NOW, "HTTP 410")
    outbox.settle("soc", first.seq, "pending", NOW, "HTTP 500", NOW)
    outbox.settle("soc", second.seq, "delivered", NOW, "HTTP 200")
    assert {entry.id: entry.state for entry in outbox.entries()} == {
        "u1-1": "undelivered",
        "u2-1": "delivered",
    }


def test_standings_count_by_state_and_know_the_oldest(outbox: Outbox) -> None:
    outbox.admit([message("u1-1"), message("u2-1", "u2")], ["soc"], NOW)
    outbox.admit([message("u3-1", "u3")], ["soc"], NOW + 9)
    outbox.settle("soc", seq_of(outbox, "u1-1"), "delivered", NOW, "HTTP 200")
    outbox.settle("soc", seq_of(outbox, "u2-1"), "undelivered", NOW, "given up")
    standing = outbox.standings()["soc"]
    assert (standing.pending, standing.undelivered, standing.delivered) == (1, 1, 1)
    assert standing.oldest_pending == NOW + 9


def test_only_old_delivered_messages_are_dropped(outbox: Outbox) -> None:
    outbox.admit([message("u1-1"), message("u2-1", "u2"), message("u3-1", "u3")], ["soc"], NOW)
    outbox.settle("soc", seq_of(outbox, "u1-1"), "delivered", NOW, "HTTP 200")
    outbox.settle("soc", seq_of(outbox, "u2-1"), "undelivered", NOW, "given up")
    outbox.prune(NOW + KEEP_DELIVERED)
    assert len(outbox.entries()) == 3
    outbox.prune(NOW + KEEP_DELIVERED + 1)
    assert [entry.id for entry in outbox.entries()] == ["u3-1", "u2-1"]
    outbox.prune(NOW + REMEMBER_IDS + 1)
    assert [entry.id for entry in outbox.entries()] == ["u3-1", "u2-1"]


def test_an_id_is_remembered_longer_than_its_message(outbox: Outbox) -> None:
    """The topic keeps a year: read again from its beginning, it must not alarm anybody again."""
    outbox.admit([message("u1-1")], ["soc"], NOW)
    outbox.settle("soc", seq_of(outbox, "u1-1"), "delivered", NOW, "HTTP 200")
    a_year_on = NOW + 365 * 86_400
    outbox.prune(a_year_on)
    assert outbox.entries() == []
    assert outbox.admit([message("u1-1")], ["soc"], a_year_on) == 0


def test_two_processes_share_the_outbox(outbox: Outbox, path: Path) -> None:
    """`parcelwatch deliveries resend` works while `parcelwatch tell` runs."""
    outbox.admit([message("u1-1")], ["soc"], NOW)
    outbox.settle("soc", seq_of(outbox, "u1-1"), "undelivered", NOW, "given up")
    with closing(Outbox(path)) as other:
        assert other.resend(NOW, ["soc"]) == 1
    assert due_ids(outbox) == ["u1-1"]


def test_a_file_that_is_no_outbox_is_named_with_the_remedy(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(OutboxError, match=r"cannot open the outbox .*deliveries\.sqlite: .*; check the disk"):
        Outbox(path)


def test_an_outbox_of_a_newer_version_is_left_alone(path: Path) -> None:
    with closing(Outbox(path)), closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(OutboxError, match="newer parcelwatch"):
        Outbox(path)


def test_the_outbox_is_nobody_elses_to_read(outbox: Outbox, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
