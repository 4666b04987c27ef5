"""Ids of honeytokens look like the carrier's, and what was planted is written down for its owner alone."""

from __future__ import annotations

import re
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.honeytokens import (
    FILE_NAME,
    Honeytoken,
    HoneytokenError,
    check_digit,
    make_ids,
    pattern_of,
    read_honeytokens,
    write_honeytokens,
)

ONE = Honeytoken("2026-11-24T01:00:00.000Z", "vnx", "shop-7", "VN##########", "k1.token")


@pytest.mark.parametrize(
    ("like", "pattern"),
    [
        ("VN0000000001", "VN##########"),
        ("EE123456785VN", "EE########*VN"),
        ("EE123456784VN", "EE#########VN"),
        ("VN99######", "VN99######"),
        ("EE9900####*VN", "EE9900####*VN"),
        ("bưu-12345/2026", "bưu-#####/####"),
    ],
)
def test_letters_and_length_are_kept_and_s10_is_known_by_its_check_digit(like: str, pattern: str) -> None:
    assert pattern_of(like) == pattern


@given(st.text(alphabet="0123456789", min_size=8, max_size=8))
def test_a_check_digit_is_that_of_the_universal_postal_union(number: str) -> None:
    weighted = sum(int(d) * w for d, w in zip(number, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    rest = weighted % 11
    assert check_digit(number) == {0: "5", 1: "0"}.get(rest, str(11 - rest))


def test_made_ids_are_different_untaken_of_the_pattern_and_in_no_order() -> None:
    made = make_ids("RR########*VN", 500)
    assert len(set(made)) == 500
    assert all(re.fullmatch(r"RR[0-9]{9}VN", one) and check_digit(one[2:10]) == one[10] for one in made)
    assert any(a > b for a, b in pairwise(made))
    taken = {f"VN{n:05}" for n in range(0, 100_000, 2)}
    assert not taken & set(make_ids("VN#####", 50, taken))


@pytest.mark.parametrize(
    ("like", "count", "why"),
    [
        ("none", 1, "without a digit"),
        ("", 1, "without a digit"),
        ("VN 1", 1, "without spaces"),
        ("V" * 300 + "1", 1, "at most 256"),
        ("VN##*", 1, "check digit of an S10 id"),
        ("VN12", 1, "leaves 100 numbers for 1"),
        ("VN12345", 200, "leaves 100,000 numbers for 200"),
    ],
)
def test_what_no_good_id_could_look_like_is_refused_with_the_remedy(like: str, count: int, why: str) -> None:
    with pytest.raises(HoneytokenError, match="--like") as refused:
        make_ids(pattern_of(like), count)
    assert why in str(refused.value)


def test_a_pattern_that_is_used_up_is_said_to_be() -> None:
    with pytest.raises(HoneytokenError, match="planted already"):
        make_ids("VN####", 5, {f"VN{n:04}" for n in range(9_998)})


def test_what_was_planted_is_read_back_in_order_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / FILE_NAME
    assert read_honeytokens(path) == []
    write_honeytokens(path, [ONE, ONE])
    path.chmod(0o644)
    write_honeytokens(path, [ONE])
    assert read_honeytokens(path) == [ONE] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write_honeytokens(path, [ONE])
    path.write_bytes(path.read_bytes() + b'{"planted":')
    with pytest.raises(HoneytokenError, match=r"line 2 of .* restore the file"):
        read_honeytokens(path)


def test_a_file_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(HoneytokenError, match="cannot write"):
        write_honeytokens(tmp_path / FILE_NAME, [ONE])
    with pytest.raises(HoneytokenError, match="cannot read"):
        read_honeytokens(tmp_path / FILE_NAME)
