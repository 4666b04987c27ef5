"""Tokens stand for ids to the holder of the key, and to nobody else."""

import os
import pickle
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from streams.cli import main
from streams.privacy.keyfile import KeyringError
from streams.privacy.tokens import Keyring

RING = Keyring()
for _carrier in ("vnx", "ghn"):
    RING.add_carrier(_carrier)
VNX, GHN = RING.cipher("vnx"), RING.cipher("ghn")

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)
kinds = st.sampled_from(["staff", "parcel"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ring" / "keys.toml"


@given(ids, kinds)
def test_a_token_reveals_the_id_it_was_made_from(clear, kind):
    token = getattr(VNX, kind)(clear)
    assert re.fullmatch(r"[a-z0-9]{1,8}\.[A-Za-z0-9_-]+", token)
    assert RING.reveal("vnx", token) == (kind, clear)
    assert getattr(RING.cipher("vnx"), kind)(clear) == token, "the same id must always give the same token"


@given(ids, kinds)
def test_a_token_means_nothing_under_another_carriers_key(clear, kind):
    token = getattr(VNX, kind)(clear)
    assert token != getattr(GHN, kind)(clear)
    with pytest.raises(KeyringError, match="did not make this token"):
        RING.reveal("ghn", token)


@given(ids)
def test_the_same_id_as_staff_and_as_parcel_gives_unlike_tokens(clear):
    assert VNX.staff(clear) != VNX.parcel(clear)


def test_carrier_and_kind_are_bound_even_when_two_carriers_share_a_key(path):
    ring = Keyring()
    ring.add_carrier("a")
    ring.save(path)
    text = path.read_text()
    twin = text[text.index('[carriers."a"]') :].replace('"a"', '"b"')
    path.write_text(text + twin)
    shared = Keyring.load(path)
    with pytest.raises(KeyringError, match="did not make this token"):
        shared.reveal("b", shared.cipher("a").staff("nv0231"))


@given(st.data())
def test_a_changed_token_is_refused_without_a_word_of_the_clear_id(data):
    clear = "nv0231-secret"
    token = VNX.staff(clear)
    at = data.draw(st.integers(3, len(token) - 1))
    other = data.draw(st.sampled_from("ABCZabcz059_-").filter(lambda c: c != token[at]))
    forged = token[:at] + other + token[at + 1 :]
    with pytest.raises(KeyringError) as caught:
        RING.reveal("vnx", forged)
    assert clear not in str(caught.value)
    assert forged not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "nv0231", "k1.", "k1.short", "K1." + "A" * 22, "k1." + "=" * 22, "k1." + "A" * 25]
)
def test_what_is_no_token_is_called_so(text):
    with pytest.raises(KeyringError, match=r"no token|did not make"):
        RING.reveal("vnx", text)


def test_an_unknown_key_id_is_named_with_those_there_are():
    with pytest.raises(KeyringError, match=r"no key 'k9' \(it has k1\)"):
        RING.reveal("vnx", "k9" + VNX.staff("nv0231")[2:])


def test_after_a_rotation_old_tokens_are_read_and_new_ones_made_with_the_new_key(path):
    ring = Keyring()
    ring.add_carrier("vnx")
    old = ring.cipher("vnx").staff("nv0231")
    assert ring.rotate("vnx") == "k2"
    ring.save(path)
    ring = Keyring.load(path)
    new = ring.cipher("vnx").staff("nv0231")
    assert (old[:3], new[:3]) == ("k1.", "k2.")
    assert ring.reveal("vnx", old) == ring.reveal("vnx", new) == ("staff", "nv0231")


@given(st.binary(max_size=5000))
def test_sealed_bytes_come_back_and_never_look_the_same_twice(raw):
    sealed = RING.seal(raw)
    assert RING.unseal(sealed) == raw
    assert RING.seal(raw) != sealed


@given(st.integers(0, 59), st.integers(1, 255))
def test_sealed_bytes_that_were_changed_are_refused(at, flip):
    sealed = bytearray(RING.seal(b"x" * 32))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(KeyringError):
        RING.unseal(bytes(sealed))


def test_values_sealed_before_the_sealing_key_was_rotated_open_after_it(path):
    ring = Keyring()
    old = ring.seal(b"raw")
    assert ring.rotate_seal() == "s2"
    ring.save(path)
    ring = Keyring.load(path)
    assert ring.unseal(old) == b"raw"
    assert ring.seal(b"raw").startswith(b"s2.")


carrier_codes = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).filter(str.isprintable)


@given(carriers=st.sets(carrier_codes, max_size=5))
def test_any_printable_carrier_code_survives_the_file(tmp_path_factory, carriers):
    path = tmp_path_factory.mktemp("ring") / "keys.toml"
    ring = Keyring()
    for carrier in carriers:
        ring.add_carrier(carrier)
    ring.save(path)
    loaded = Keyring.load(path)
    assert set(loaded.carriers) == carriers
    assert all(loaded.reveal(c, ring.cipher(c).parcel("VN1")) == ("parcel", "VN1") for c in carriers)


@pytest.mark.parametrize("carrier", ["", "x" * 65, "a\nb", "a\x00"])
def test_a_code_no_carrier_can_have_is_refused(carrier):
    with pytest.raises(KeyringError, match="cannot be a carrier code"):
        Keyring().add_carrier(carrier)


def test_a_carrier_is_added_once_and_an_unknown_one_gets_the_remedy():
    with pytest.raises(KeyringError, match="keys rotate vnx"):
        RING.add_carrier("vnx")
    for use in (RING.cipher, RING.rotate, lambda c: RING.reveal(c, VNX.staff("a"))):
        with pytest.raises(KeyringError, match="keys add ghtk"):
            use("ghtk")
    assert "vnx" in RING
    assert "ghtk" not in RING


def test_neither_ring_nor_cipher_nor_key_shows_or_pickles_its_secret(path):
    secret = RING._file.carriers["vnx"].keys["k1"].secret
    for thing in (RING, VNX, RING._file, RING._file.seal.keys["s1"]):
        assert str(secret)[2:20] not in repr(thing) + str(thing)
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)


def test_the_file_is_its_owners_alone_and_one_that_is_not_is_refused(path):
    Keyring().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["keys.toml"], "no temporary file may stay"
    path.chmod(0o640)
    with pytest.raises(KeyringError, match=re.escape(f"mode 0640); run `chmod 600 {path}`")):
        Keyring.load(path)


def test_a_ring_never_overwrites_one_it_was_not_loaded_from(path):
    Keyring().save(path)
    before = path.read_bytes()
    with pytest.raises(KeyringError, match="never overwritten"):
        Keyring().save(path)
    mine, theirs = Keyring.load(path), Keyring.load(path)
    theirs.add_carrier("ghn")
    theirs.save(path)
    mine.add_carrier("vnx")
    with pytest.raises(KeyringError, match="changed by someone else"):
        mine.save(path)
    assert Keyring.load(path).carriers == ("ghn",)
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: "", "missing required field `version`"),
        (lambda text: text[: len(text) // 2], "cannot be used"),
        (lambda text: text.replace("version = 1", "version = 2"), "version 2 is not known"),
        (lambda text: text.replace('active = "k1"', 'active = "k7"'), "names key 'k7'"),
        (lambda text: re.sub(r'secret = ".{8}', 'secret = "', text, count=1), "has 26 bytes, not 32"),
        (lambda text: text.replace('secret = "', 'secret = "*', 1), r"base64.*\$\.seal\.keys"),
        (lambda text: text.replace('."k1"', '."K-1"').replace('"k1"', '"K-1"'), "1 to 8 of a-z"),
        (lambda text: text + "surprise = 1\n", "unknown field `surprise`"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place_and_without_the_key(path, change, complaint):
    ring = Keyring()
    ring.add_carrier("vnx")
    ring.save(path)
    text = path.read_text()
    secrets = re.findall(r'secret = "(.*)"', text)
    path.write_text(change(text))
    with pytest.raises(KeyringError, match=complaint) as caught:
        Keyring.load(path)
    assert str(path) in str(caught.value)
    assert not any(secret[8:24] in str(caught.value) for secret in secrets)


def test_a_missing_file_says_how_to_make_one(path):
    with pytest.raises(KeyringError, match="keys init"):
        Keyring.load(path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PARCELWATCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("PARCELWATCH_CONFIG", raising=False)
    return lambda *args: CliRunner().invoke(main, args)


def test_keys_are_made_added_rotated_and_listed_without_being_shown(run, tmp_path):
    assert run("keys", "add", "vnx").exit_code == 1
    for args in (("init",), ("add", "vnx"), ("rotate", "vnx", "--yes"), ("rotate", "--seal")):
        result = run("keys", *args)
        assert result.exit_code == 0, result.output
    listed = run("keys", "list").output
    assert re.search(r"vnx\s+k2\s+\d{4}-\d\d-\d\d \d\d:\d\d\S*\s+active", listed), listed
    assert re.search(r"vnx\s+k1\s+\d{4}-\d\d-\d\d \d\d:\d\d\S*\s+old", listed), listed
    assert "s2" in listed
    for secret in re.findall(r'secret = "(.*)"', (tmp_path / "data" / "keys.toml").read_text()):
        assert secret not in listed


def test_keys_init_leaves_an_existing_ring_alone(run, tmp_path):
    run("keys", "init")
    before = (tmp_path / "data" / "keys.toml").read_bytes()
    result = run("keys", "init")
    assert result.exit_code == 1
    assert "never overwritten" in result.output
    assert (tmp_path / "data" / "keys.toml").read_bytes() == before


def test_rotating_asks_first_since_people_get_new_tokens(run):
    run("keys", "init")
    run("keys", "add", "vnx")
    result = run("keys", "rotate", "vnx")
    assert result.exit_code == 1
    assert "start anew" in result.output
    assert "k2" not in run("keys", "list").output
