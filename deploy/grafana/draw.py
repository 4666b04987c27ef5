"""Draws the dashboards with matplotlib from a Prometheus' real data, where no Grafana is at hand.

`python -m deploy.grafana.draw --prometheus 127.0.0.1:9090 --minutes 15` writes docs/images/dashboard-*.webp. What is
asked and where panels lie is taken from the committed JSON; how lines look is matplotlib's, not Grafana's.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, date2num
from matplotlib.figure import Figure

from deploy.grafana.generate import DASHBOARDS, FOLDER

IMAGES = Path(__file__).parents[2] / "docs" / "images"
#: Points of a line, at the most.
POINTS = 240
#: Inches: width of a dashboard, height of a grid unit; resolution.
WIDTH, UNIT, DPI = 15.0, 0.36, 100
COLOURS = (
    "#5794f2",
    "#73bf69",
    "#ff9830",
    "#f2495c",
    "#b877d9",
    "#8ab8ff",
    "#fade2a",
    "#96d98d",
    "#ffb357",
    "#c0d8ff",
)
NAMED = {"green": "#37872d", "orange": "#e0752d", "red": "#c4162a"}


class Series(NamedTuple):
    """One series of an answer.

    Attributes:
        labels: as Prometheus gives them.
        points: (Unix time in seconds, value); one of an instant query.
    """

    labels: dict[str, str]
    points: list[tuple[float, float]]


class PrometheusError(Exception):
    """Prometheus does not answer, or refuses a query; says what it said."""


class Window(NamedTuple):
    """What is looked at.

    Attributes:
        begin, end: Unix times in seconds.
        rate_interval: what `$__rate_interval` stands for, s: four scrapes at the least, as Grafana has it.
    """

    begin: float
    end: float
    rate_interval: int = 60

    @property
    def step(self) -> int:
        """Seconds between two points of a line."""
        return max(1, math.ceil((self.end - self.begin) / POINTS))

    def fill(self, expr: str) -> str:
        """The expression with Grafana's variables filled in; every job and instance is chosen.

        >>> Window(0, 600).fill('rate(m{job=~"$job", instance=~"$instance"}[$__rate_interval])')
        'rate(m{job=~".+", instance=~".+"}[60s])'
        """
        values = {
            "$__rate_interval": f"{self.rate_interval}s",
            "$__range": f"{round(self.end - self.begin)}s",
        }
        for name, value in {**values, "$job": ".+", "$instance": ".+"}.items():
            expr = expr.replace(name, value)
        return expr


class Prometheus:
    """A Prometheus' HTTP API.

    Args:
        address: host:port.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **parameters: object) -> Any:
        """`data` of an answer of the API.

        Raises:
            PrometheusError: it does not answer, or refuses.
        """
        connection = HTTPConnection(self.address, timeout=30)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer = json.loads(connection.getresponse().read())
        except (OSError, ValueError) as exc:
            raise PrometheusError(f"no Prometheus answers at {self.address}: {exc}") from None
        finally:
            connection.close()
        if answer["status"] != "success":
            raise PrometheusError(f"{path} {parameters}: {answer['error']}")
        return answer["data"]

    def now(self, expr: str, at: float) -> list[Series]:
        """Answer of an instant query at a Unix time."""
        found = self.get("query", query=expr, time=at)["result"]
        return [_series(one["metric"], [one["value"]]) for one in found]

    def over(self, expr: str, window: Window) -> list[Series]:
        """Answer of a range query."""
        asked = {"query": expr, "start": window.begin, "end": window.end, "step": window.step}
        return [_series(one["metric"], one["values"]) for one in self.get("query_range", **asked)["result"]]


def _series(labels: dict[str, str], values: list[list[Any]]) -> Series:
    return Series(labels, [(float(at), float(value)) for at, value in values])


def named(legend: str, labels: dict[str, str]) -> str:
    """What a series is called.

    >>> named("{{receiver}} pending", {"receiver": "soc"})
    'soc pending'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def short(value: float, unit: str) -> str:
    """A value as the panels show it.

    >>> short(0.0123, "percentunit"), short(12345, "short"), short(0.25, "s"), short(3 << 20, "bytes")
    ('1.23 %', '12.3 k', '250 ms', '3 MiB')
    """
    if math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{value * 100:,.0f} %" if value >= 1 else f"{value * 100:.3g} %"
    if unit == "s" and value and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    scales = [(1 << 30, " GiB"), (1 << 20, " MiB")] if unit == "bytes" else [(10**6, " M"), (10**3, " k")]
    if unit == "s":
        scales = [(86_400, " d"), (3_600, " h"), (60, " min")]
    for size, name in scales:
        if abs(value) >= size:
            return f"{value / size:.3g}{name}"
    return f"{value:.3g}" + {"s": " s", "rps": " /s", "cps": " /s", "ops": " /s"}.get(unit, "")


def picture(board: dict[str, Any], prometheus: Prometheus, window: Window) -> Figure:
    """A dashboard as a figure: panels where Grafana would put them."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) + 1
    figure = Figure((WIDTH, rows * UNIT), facecolor="#f4f5f5")
    figure.text(0.006, 1 - 0.65 / rows, board["title"], fontsize=13, weight="bold", va="center")
    for panel in board["panels"]:
        at = panel["gridPos"]
        left, top = at["x"] / 24, 1 - (at["y"] + 1) / rows
        if panel["type"] == "row":
            figure.text(
                left + 0.006, top - 0.6 / rows, panel["title"], fontsize=10, weight="bold", va="center"
            )
            continue
        width, height = at["w"] / 24, at["h"] / rows
        axes = figure.add_axes((left + 0.003, top - height + 0.1 / rows, width - 0.006, height - 0.2 / rows))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_color("#d8d9da")
        figure.text(left + 0.009, top - 0.6 / rows, panel["title"], fontsize=8, weight="bold", va="center")
        if panel["type"] == "timeseries":
            space = (left + 0.042, top - height + 2.2 / rows, width - 0.052, height - 3.4 / rows)
            _lines(figure.add_axes(space), panel, prometheus, window)
        elif panel["type"] == "stat":
            _number(axes, panel, prometheus, window)
        else:
            space = (left + width * 0.3, top - height + 0.6 / rows, width * 0.6, height - 1.8 / rows)
            _bars(figure.add_axes(space), panel, prometheus, window)
    return figure


def _lines(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, window: Window) -> None:
    custom, unit = (
        panel["fieldConfig"]["defaults"].get("custom", {}),
        panel["fieldConfig"]["defaults"]["unit"],
    )
    bars = custom.get("drawStyle") == "bars"
    lines = {
        named(target["legendFormat"], one.labels): {at: v for at, v in one.points if math.isfinite(v)}
        for target in panel["targets"]
        for one in prometheus.over(window.fill(target["expr"]), window)
    }
    base: dict[float, float] = {}
    for number, (name, points) in enumerate(sorted(lines.items())):
        colour = COLOURS[number % len(COLOURS)]
        when = [_day(at) for at in points]
        if bars or custom.get("stacking", {}).get("mode") == "normal":
            axes.bar(when, list(points.values()), window.step / 86_400, [base.get(at, 0) for at in points],
                     color=colour, label=name)  # fmt: skip
            base = {at: base.get(at, 0) + points.get(at, 0) for at in {**base, **points}}
        else:
            axes.plot(when, list(points.values()), color=colour, linewidth=1.1, label=name)
    top = max([v for points in lines.values() for v in points.values()] + list(base.values()) + [0])
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", []):
        if custom.get("thresholdsStyle") and step["value"] is not None and step["value"] <= 2 * top:
            axes.axhline(step["value"], color=NAMED[step["color"]], linewidth=0.9, linestyle="--")
    axes.set_xlim(_day(window.begin), _day(window.end))
    axes.set_ylim(0, axes.get_ylim()[1] if top else 1)
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]  # matplotlib's lack
    axes.yaxis.set_major_formatter(lambda value, _: short(value, unit))
    axes.tick_params(labelsize=6, length=2)
    axes.locator_params(axis="both", nbins=5)
    axes.grid(color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if lines:
        across = panel["gridPos"]["w"] / 24
        axes.legend(
            fontsize=5.5, ncols=4 if max(map(len, lines)) < 24 else 2, loc="upper left", frameon=False,
            bbox_to_anchor=(-0.034 / (across - 0.052), -0.13), handlelength=1, columnspacing=1, borderpad=0,
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", fontsize=9, color="#8e8e8e")


def _number(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, window: Window) -> None:
    found = prometheus.now(window.fill(panel["targets"][0]["expr"]), window.end)
    value = found[0].points[-1][1] if found else math.nan
    colour = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    text = short(value, panel["fieldConfig"]["defaults"]["unit"])
    axes.text(
        0.5, 0.4, text, transform=axes.transAxes, ha="center", va="center", fontsize=17, color=NAMED[colour]
    )


def _bars(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, window: Window) -> None:
    [target] = panel["targets"]
    found = prometheus.now(window.fill(target["expr"]), window.end)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    bars = sorted((one.points[-1][1], named(target["legendFormat"], one.labels)) for one in found)[-10:]
    axes.barh([name for _, name in bars], [value for value, _ in bars], color=NAMED["green"], height=0.6)
    for place, (value, _) in enumerate(bars):
        axes.text(value, place, f" {short(value, unit)}", va="center", fontsize=7)
    axes.tick_params(labelsize=7, length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def _day(at: float) -> float:
    """A Unix time as matplotlib counts it: in days."""
    return float(date2num(datetime.fromtimestamp(at, UTC)))  # type: ignore[no-untyped-call]  # matplotlib's lack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", default="127.0.0.1:9090", metavar="HOST:PORT")
    parser.add_argument("--minutes", type=float, default=15, help="how far back from now")
    parser.add_argument(
        "--rate-interval", type=int, default=60, help="seconds; Grafana takes four scrapes at the least"
    )
    parser.add_argument("--out", type=Path, default=IMAGES)
    asked = parser.parse_args()
    window = Window(time.time() - asked.minutes * 60, time.time(), asked.rate_interval)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        board = json.loads((FOLDER / f"{name}.json").read_text())
        figure = picture(board, Prometheus(asked.prometheus), window)
        figure.savefig(asked.out / f"dashboard-{name}.webp", dpi=DPI, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main()
