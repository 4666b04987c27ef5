"""Who follows docs/get-started.md to the letter gets what it shows, within five minutes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What differs from run to run: how long it took, and blanks at line ends.
VARIES = re.compile(r"[\d.]+ s, [\d,]+ records/s|[ \t]+$", re.M)


def transcript() -> list[tuple[str, str]]:
    """Commands of the page in order, each with what it is said to print."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", (ROOT / "docs" / "get-started.md").read_text(), re.M | re.S
    )
    steps = []
    for block in blocks:
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = step.splitlines()
            end = 1
            if "<<'END'" in lines[0]:
                end = lines.index("END") + 1
            while lines[end - 1].endswith("\\") or "\n".join(lines[:end]).count("'") % 2:
                end += 1
            steps.append(("\n".join(lines[:end]), "\n".join(lines[end:])))
    return steps


def test_the_page_followed_to_the_letter_prints_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PARCELWATCH_")}
    clean |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    steps, began = transcript(), time.monotonic()
    assert sum("parcelwatch" in command for command, _ in steps) >= 2
    for command, shown in steps:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said = (done.stdout + done.stderr).strip()
        assert VARIES.sub("", said) == VARIES.sub("", shown.strip()), command
    assert time.monotonic() - began < 300
