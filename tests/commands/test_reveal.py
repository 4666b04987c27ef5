"""Who turns a token back, and why, is written down before anything is shown."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from streams.privacy.audit import FILE_NAME, AuditError, os_user, write_audit
from streams.privacy.tokens import Keyring
from tests.console import Run, audit


def test_reveal_prints_the_ids_and_writes_down_who_asked_but_not_the_ids(
    run: Run, ring: Keyring, data: Path
) -> None:
    cipher = ring.cipher("vnx")
    tokens = [cipher.staff("nv0231"), cipher.parcel("VN1")]
    result = run("reveal", *tokens, "--carrier", "vnx", "--reason", " case 812 ")
    assert result.exit_code == 0, result.output
    assert result.output == "staff\tnv0231\nparcel\tVN1\n"
    (line,) = audit(data)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line.pop("time")))
    asked = {"action": "reveal", "carrier": "vnx", "tokens": tokens, "reason": "case 812", "user": os_user()}
    assert line == asked
    path = data / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "nv0231" not in path.read_text()
    run("reveal", tokens[0], "--carrier", "vnx", "--reason", "again")
    assert len(audit(data)) == 2


def test_reveal_shows_nothing_where_the_audit_cannot_be_written(run: Run, ring: Keyring, data: Path) -> None:
    (data / FILE_NAME).mkdir()
    result = run("reveal", ring.cipher("vnx").staff("nv0231"), "--carrier", "vnx", "--reason", "case 812")
    assert result.exit_code == 1
    assert "nothing was revealed: cannot write the audit file" in result.output
    assert "nv0231" not in result.output


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_reveal_wants_a_reason(run: Run, ring: Keyring, data: Path, reason: str) -> None:
    result = run("reveal", ring.cipher("vnx").staff("nv0231"), "--carrier", "vnx", "--reason", reason)
    assert result.exit_code == 1
    assert "say why with --reason" in result.output
    assert "nv0231" not in result.output
    assert audit(data) == []


def test_a_clear_id_pasted_as_a_token_gets_into_neither_audit_nor_output(run: Run, data: Path) -> None:
    result = run("reveal", "nv0231", "--carrier", "vnx", "--reason", "case 812")
    assert result.exit_code == 1
    assert "argument 1 is no token" in result.output
    assert "nv0231" not in result.output
    assert audit(data) == []


def test_one_forged_token_does_not_keep_the_others_from_being_revealed(run: Run, ring: Keyring) -> None:
    token = ring.cipher("vnx").staff("nv0231")
    result = run("reveal", "k1." + "A" * 30, token, "--carrier", "vnx", "--reason", "case 812")
    assert result.exit_code == 1
    assert "token 1: key 'k1' of carrier 'vnx' did not make this token" in result.output
    assert "staff\tnv0231\n" in result.output


def test_the_audit_takes_a_reason_that_is_no_text_and_does_not_follow_a_link(tmp_path: Path) -> None:
    write_audit(tmp_path, action="reveal", reason=os.fsdecode(b"case \xff"), tokens=["k1.x"])
    assert audit(tmp_path)[0]["reason"] == "case ?"
    (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditError, match="nothing was revealed"):
        write_audit(tmp_path, action="reveal", reason="case 812", tokens=["k1.x"])
