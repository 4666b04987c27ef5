"""A report as one HTML file that needs nothing else: tables, and plots as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streams.evaluation.words import CAPTIONS, number, share, titles

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem; text-align: right; }
th { border-bottom: 1px solid #999; } td:first-child, th:first-child { text-align: left; }
tr:nth-child(even) td { background: #f5f5f5; } figure { margin: 1.5rem 0; } svg { max-width: 100%; height: auto; }
figcaption, .note { color: #555; } code { background: #f0f0f0; padding: 0 .2rem; }
"""
_COLOURS = ("#1f5fa8", "#c4501b", "#3b8a3e", "#8a3b82", "#777777")


def render_page(data: dict[str, Any]) -> str:
    """The page of a report's data (`Report.data`). Whatever comes from files is escaped."""
    parameters, log = data["parameters"], data["log"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>parcelwatch evaluate</title>',
        f"<style>{_STYLE}</style></head><body><h1>What parcelwatch finds</h1>",
        f"<p>{escape(parameters['background'])}: {log['access_events']:,} access events of "
        f"{log['people']:,} people over {log['days']:,} days. The first {log['warm_up_days']:,} days are warm-up: "
        "nothing is injected there and no alert there counts. "
        f"{log['test_user_days']:,} user-days are left for the test. "
        f"Seeds: {', '.join(map(str, parameters['seeds']))}. Figures are medians over seeds, with least and most.</p>",
    ]
    for name, variant in data["variants"].items():
        parts += [f"<h2>{escape(titles(name))}</h2>", f"<p>{escape(_injected(variant))}</p>"]
        parts.append(_methods(variant["methods"]))
        parts.append(_shapes(variant["methods"]))
        if variant["calibrated"]:
            parts += [f"<p>{CAPTIONS['calibrated']}</p>", _table(*budget_rows(variant["calibrated"]))]
        parts += _plots(name, variant["methods"])
    if data["shapes_left_out"]:
        parts.append("<h2>Shapes left out</h2>")
        parts.append(_table(("shape", "why"), data["shapes_left_out"].items()))
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _injected(variant: dict[str, Any]) -> str:
    return (
        f"{number(variant['episodes'])} episodes on {number(variant['injected_user_days'])} of "
        f"{number(variant['user_days'])} user-days a seed; {number(variant['decoy_accesses'])} benign decoys."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _methods(methods: dict[str, Any]) -> str:
    return _table(*method_rows(methods))


def method_rows(methods: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of methods."""
    head = [
        "method", "recall", "false alerts / 1,000 user-days", "alerts / 1,000 user-days", "precision", "records gone",
        "minutes", "recall at 0.5", "at 1", "at 2", "at 5",
    ]  # fmt: skip
    rows = [
        [
            name,
            share(one["recall"]),
            number(one["false_alerts_per_1000_user_days"], 1),
            number(one["alerts_per_1000_user_days"], 1),
            share(one["precision"]),
            share(one["records_gone_before_first_alert"]),
            number(one["minutes_to_first_alert"], 1),
            *(share(at) for at in one["recall_at_false_alerts_per_1000_user_days"].values()),
        ]
        for name, one in methods.items()
    ]
    return head, rows


def shape_rows(methods: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of shapes: parcelwatch in full, the rivals' recall beside."""
    first, *others = methods
    head = ["shape", "episodes", "recall", "records gone", "minutes", "found by", *others]
    rows = [
        [
            shape,
            str(one["episodes"]),
            share(one["recall"]),
            share(one["records_gone_before_first_alert"]),
            number(one["minutes_to_first_alert"], 1),
            ", ".join(f"{name} {n}" for name, n in one["found_by"].items()) or "none",
            *(share(methods[other]["shapes"][shape]["recall"]) for other in others),
        ]
        for shape, one in methods[first]["shapes"].items()
    ]
    return head, rows


def budget_rows(calibrated: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of alert budgets."""
    head = ["budget", "strictness", "recall", "false alerts / 1,000 user-days", "records gone"]
    rows = [
        [
            budget,
            number(one["strictness"], 2),
            share(one["recall"]),
            number(one["false_alerts_per_1000_user_days"], 1),
            share(one["records_gone_before_first_alert"]),
        ]
        for budget, one in calibrated.items()
    ]
    return head, rows


def _shapes(methods: dict[str, Any]) -> str:
    return _table(*shape_rows(methods))


def _plots(name: str, methods: dict[str, Any]) -> list[str]:
    draw = {"recall": _recall, "curve": _curve, "gone": _gone}
    return [
        f"<figure>{_svg(f'{name}-{kind}', plot, methods)}<figcaption>{escape(CAPTIONS[kind])}</figcaption></figure>"
        for kind, plot in draw.items()
    ]


def _svg(salt: str, plot: Any, methods: dict[str, Any]) -> str:
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    plot(figure.subplots(), methods)
    out = io.StringIO()
    # The salt keeps ids apart between plots, and the same from run to run.
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _bars(axes: Axes, shapes: dict[str, Any], figure: str) -> None:
    known = [name for name in shapes if shapes[name][figure]["median"] is not None]
    middle = [shapes[name][figure]["median"] for name in known]
    low = [m - shapes[name][figure]["min"] for name, m in zip(known, middle, strict=True)]
    high = [shapes[name][figure]["max"] - m for name, m in zip(known, middle, strict=True)]
    axes.barh(known, middle, xerr=(low, high), color=_COLOURS[0], ecolor="#222", capsize=3)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _recall(axes: Axes, methods: dict[str, Any]) -> None:
    _bars(axes, next(iter(methods.values()))["shapes"], "recall")
    axes.set_xlabel("episodes found")


def _gone(axes: Axes, methods: dict[str, Any]) -> None:
    _bars(axes, next(iter(methods.values()))["shapes"], "records_gone_before_first_alert")
    axes.set_xlabel("share of the episode's records gone before the first alert")


def _curve(axes: Axes, methods: dict[str, Any]) -> None:
    # The z-score's curve holds every threshold, three among them.
    drawn = {name: one for name, one in methods.items() if name != "z > 3"}
    for colour, (name, one) in zip(_COLOURS, drawn.items(), strict=False):
        rates = [point["false"] for point in one["curve"]]
        spread = {key: [point["recall"][key] for point in one["curve"]] for key in ("median", "min", "max")}
        axes.step(rates, spread["median"], where="post", color=colour, label=name)
        axes.fill_between(rates, spread["min"], spread["max"], step="post", color=colour, alpha=0.15)
    axes.set_xscale("symlog", linthresh=0.5)
    axes.set_xticks([0, 0.5, 1, 2, 5, 10, 20, 50, 100], ["0", "0.5", "1", "2", "5", "10", "20", "50", "100"])
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("false alerts per 1,000 user-days")
    axes.set_ylabel("recall, shapes weighed equally")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="best", frameon=False)
