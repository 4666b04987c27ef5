"""A receiver that cannot be used stops the start, and its secret is not shown."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from streams.receivers import SplunkReceiver, WebhookReceiver
from streams.receivers.base import signing_key
from streams.settings import SettingsError, load_settings
from tests.receivers import SECRET

URL = "https://soc.example.com/alerts"


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_the_standards_length_is_taken(size: int) -> None:
    assert signing_key("whsec_" + base64.b64encode(bytes(size)).decode()) == bytes(size)
    assert signing_key("whsec_" + base64.b64encode(bytes(size)).decode().rstrip("=")) == bytes(size)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("whsec_" + base64.b64encode(b"x").decode(), "holds 1 bytes"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "holds 23 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "holds 65 bytes"),
        ("whsec_", "holds 0 bytes"),
        ("whsec_" + "é" * 40, "not base64"),
        ("whsec_" + "not!base64" * 5, "not base64"),
        (base64.b64encode(bytes(32)).decode(), "must begin with whsec_"),
    ],
)
def test_a_bad_secret_stops_the_start_and_is_not_shown(secret: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings(receivers={"soc": {"url": URL, "secret": secret}})
    text = str(caught.value)
    assert "receivers.soc.secret" in text
    assert "make one with" in text
    assert secret.removeprefix("whsec_") not in text or secret == "whsec_"


@pytest.mark.parametrize(
    "url",
    ["", "siem.example.net/hook", "ftp://soc.example.com/", "http://", "file:///etc/passwd", "http://a:b/"],
)
def test_a_bad_url_stops_the_start_and_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"setting receivers\.soc\.url") as caught:
        load_settings(receivers={"soc": {"url": url, "secret": SECRET}})
    assert not url or url not in str(caught.value)


SPLUNK = {"kind": "splunk", "url": "https://splunk.example:8088", "token": "hunter2"}


@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        (
            {"kind": "slak"},
            "tag 'slak' found using 'kind' does not match any of the expected tags: 'webhook'",
        ),
        (SPLUNK | {"batch": 0}, r"receivers\.soc\.batch = 0: Input should be greater"),
        (SPLUNK | {"tokn": "hunter2"}, r"receivers\.soc\.tokn = \(not shown\): Extra inputs"),
        (SPLUNK | {"token": ""}, r"receivers\.soc\.token = \(not shown\): must be printable"),
        (SPLUNK | {"token": "hunter2\r\nx: y"}, "must be printable"),
        (SPLUNK | {"token_file": "/nowhere/hunter"}, "both token and token_file are given"),
        (SPLUNK | {"allow": ["10.0.0.0/99"]}, "'10.0.0.0/99' is no address, network or host"),
        (SPLUNK | {"url": "https://u:hunter2@splunk.example"}, "logs in twice"),
        (
            SPLUNK | {"minimum_severity": "severe"},
            "minimum_severity = 'severe': Input should be 'informational'",
        ),
        ({"kind": "elastic"}, r"receivers\.soc\.url"),
    ],
)
def test_settings_that_cannot_be_used_are_named_without_their_secrets(
    receiver: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings(receivers={"soc": receiver})
    assert "hunter2" not in str(caught.value)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    (tmp_path / "old").write_text(f"{SECRET}\n{SECRET}\n")
    given = {name: value for name, value in SPLUNK.items() if name != "token"}
    hook = {"url": URL, "secret": SECRET, "previous_secrets_file": str(tmp_path / "old")}
    settings = load_settings(receivers={"soc": given | {"token_file": str(tmp_path / "token")}, "hook": hook})
    splunk, webhook = settings.receivers["soc"], settings.receivers["hook"]
    assert isinstance(splunk, SplunkReceiver)
    assert isinstance(webhook, WebhookReceiver)
    assert splunk.token.get_secret_value() == "hunter2"
    assert len(webhook.previous_secrets) == 2
    assert "hunter2" not in repr(settings)
    with pytest.raises(SettingsError, match=r"token_file = .*missing.* cannot be read"):
        load_settings(receivers={"soc": given | {"token_file": str(tmp_path / "missing")}})


@pytest.mark.parametrize("text", ["10.0.0.0/8,soc.example", '["10.0.0.0/8", "soc.example"]'])
def test_lists_can_be_written_into_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    prefix = "PARCELWATCH_RECEIVERS__SOC__"
    for name, value in {"URL": URL, "SECRET": SECRET, "ALLOW": text, "PREVIOUS_SECRETS": SECRET}.items():
        monkeypatch.setenv(prefix + name, value)
    receiver = load_settings().receivers["soc"]
    assert receiver.allow == ("10.0.0.0/8", "soc.example")
    assert isinstance(receiver, WebhookReceiver)
    assert receiver.previous_secrets[0].get_secret_value() == SECRET


@pytest.mark.parametrize("name", ["receivers", "broker_security"])
def test_a_variable_that_is_no_json_stops_the_start_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"PARCELWATCH_{name.upper()}", '{"password": "hunter2"')
    with pytest.raises(SettingsError, match=f'{name}" from source.*write one variable a field') as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
