"""The measuring stick: leak episodes injected into a benign log, and how many of them each method finds."""

import os
from pathlib import Path

# matplotlib would make a folder for its settings in the user's home; there are none, and its fonts' list is a cache.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
os.environ.setdefault("MPLCONFIGDIR", str(_CACHE / "matplotlib"))
