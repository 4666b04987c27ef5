"""Exit status 0 when the parcelwatch process of this container says on /healthz that it is well; needs no curl."""

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

# A container runs one of worker, tell and history, each with a port of its own.
PORTS = {
    "PARCELWATCH_HTTP_PORT": "9464",
    "PARCELWATCH_TELL_HTTP_PORT": "9465",
    "PARCELWATCH_HISTORY_HTTP_PORT": "9466",
}

for setting, default in PORTS.items():
    port = int(os.environ.get(setting, default))
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=3) as answer:
            sys.exit(answer.status != 200)
    except URLError as exc:
        # An answer of 503 counts; nobody listening means that it is another process's port.
        if hasattr(exc, "code"):
            sys.exit(1)
sys.exit(1)
