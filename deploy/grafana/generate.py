"""Writes the dashboards as Grafana reads them: `python -m deploy.grafana.generate`."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.detection import detection
from deploy.grafana.leaks import leaks
from deploy.grafana.pipeline import pipeline

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = {"leaks": leaks, "pipeline": pipeline, "detection": detection}


def rendered() -> dict[str, str]:
    """JSON of each dashboard by name, the same bytes every time; panels are numbered as they stand."""
    made = {}
    for name, build in DASHBOARDS.items():
        dashboard = build().build()
        for number, panel in enumerate(dashboard.panels or [], 1):
            panel.id_val = number
        made[name] = JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"
    return made


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / f"{name}.json").write_text(text)
