"""A receiver that cannot be used stops the start, and its secret is not shown."""

from __future__ import annotations

import base64

import pytest

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
