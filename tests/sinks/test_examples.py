"""Every receiver in the documentation can be set up as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from streams.settings import load_settings
from streams.sinks import KINDS, open_sinks

PAGE = Path(__file__).parents[2] / "docs" / "receivers.md"
EXAMPLES = re.findall(r"^```toml\n(\[receivers\..*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=[text.splitlines()[0] for text in EXAMPLES])
def test_every_example_of_a_receiver_opens(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "apprise" in example:
        pytest.importorskip("apprise", reason="needs the extra chat: pip install 'parcelwatch[chat]'")
    # The only file an example names is one the reader has to bring.
    path = tmp_path / "parcelwatch.toml"
    path.write_text(re.sub(r"^ca_file = .*$", "", example, flags=re.M))
    monkeypatch.setenv("PARCELWATCH_CONFIG", str(path))
    assert open_sinks(load_settings()).keys() == tomllib.loads(example)["receivers"].keys()


def test_every_kind_has_an_example() -> None:
    shown = {
        receiver.get("kind", "webhook")
        for example in EXAMPLES
        for receiver in tomllib.loads(example)["receivers"].values()
    }
    assert {"pagerduty", "slack", "teams", "thehive", "syslog", "apprise"} <= shown & KINDS.keys()
