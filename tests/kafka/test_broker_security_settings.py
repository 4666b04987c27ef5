"""Settings of the connection to the broker: what cannot be used stops the start, named, and no secret is shown."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from streams.broker_security import BrokerSecurity
from streams.kafka.broker_login import Login
from streams.settings import SettingsError, load_settings

HIDDEN = "hunter2-hunter2"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with ca.pem and broker.pem, a key with its certificate."""
    Login(tmp_path / "certificates").make_certificates()
    return tmp_path / "certificates"


def refused(monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, str]) -> str:
    for name, value in fields.items():
        monkeypatch.setenv(f"PARCELWATCH_BROKER_SECURITY__{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert HIDDEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"username": "u", "password": HIDDEN, "mechanism": "PLAIN"},
            "would send the password in clear; set tls",
        ),
        ({"username": "u"}, "needs either password or password_file"),
        (
            {"username": "u", "password": HIDDEN, "password_file": "f"},
            "needs either password or password_file",
        ),
        ({"username": "u", "password": ""}, "the password of username u is empty"),
        (
            {"username": "u", "password_file": "/nowhere"},
            "/nowhere cannot be read (No such file or directory)",
        ),
        ({"password": HIDDEN}, "a password without username"),
        ({"passwrod": HIDDEN}, "broker_security.passwrod = (not shown)"),
        ({"mechanism": "GSSAPI"}, "broker_security.mechanism = 'GSSAPI'"),
        ({"ca_file": "/nowhere"}, "ca_file without tls"),
        ({"check_hostname": "false"}, "check_hostname without tls"),
        (
            {"tls": "true", "ca_file": "/nowhere"},
            "ca_file /nowhere cannot be used (No such file or directory)",
        ),
        ({"tls": "true", "certificate_file": "c"}, "certificate_file and key_file go together"),
        (
            {"tls": "true", "certificate_file": "c", "key_file": "k"},
            "certificate_file c and key_file k cannot be",
        ),
    ],
)
def test_what_cannot_be_used_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], said: str
) -> None:
    assert said in refused(monkeypatch, fields)


def test_a_file_that_is_no_certificate_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(HIDDEN)
    fields = {"tls": "true", "ca_file": str(tmp_path / "ca.pem")}
    assert f"ca_file {tmp_path / 'ca.pem'} cannot be used" in refused(monkeypatch, fields)


def test_a_clients_own_certificate_is_loaded_and_an_encrypted_key_needs_its_password(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = certificates / "broker.pem"
    plain = BrokerSecurity(tls=True, ca_file=certificates / "ca.pem", certificate_file=pair, key_file=pair)
    assert plain.context().get_ca_certs()
    key = serialization.load_pem_private_key(pair.read_bytes(), None)
    locked = certificates / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(HIDDEN.encode()),
        )
    )
    fields = {"tls": "true", "certificate_file": str(pair), "key_file": str(locked)}
    assert "key_password when the key is encrypted" in refused(monkeypatch, fields)
    monkeypatch.setenv("PARCELWATCH_BROKER_SECURITY__KEY_PASSWORD", HIDDEN)
    assert load_settings().broker_security.key_password is not None


def test_with_a_ca_file_no_public_authority_is_trusted_and_names_are_checked(certificates: Path) -> None:
    context = BrokerSecurity(tls=True, ca_file=certificates / "ca.pem").context()
    assert len(context.get_ca_certs()) == 1
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    lax = BrokerSecurity(tls=True, ca_file=certificates / "ca.pem", check_hostname=False).context()
    assert (lax.check_hostname, lax.verify_mode) == (False, ssl.CERT_REQUIRED)


def test_a_password_from_a_file_reaches_the_client_and_no_text(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (certificates / "password").write_text(f"{HIDDEN}\n")
    monkeypatch.setenv("PARCELWATCH_BROKER_SECURITY__USERNAME", "u")
    monkeypatch.setenv("PARCELWATCH_BROKER_SECURITY__PASSWORD_FILE", str(certificates / "password"))
    settings = load_settings()
    assert settings.kafka_client == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": HIDDEN,
    }
    assert HIDDEN not in f"{settings!r} {settings.model_dump_json()}"
