"""What the dashboards are made of: selectors, queries and panels, alike in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import bargauge, common, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Tag of all dashboards, by which they link to each other.
TAG = "parcelwatch"
#: The processes that are looked at; every selector has it.
PROCESSES = 'job=~"$job", instance=~"$instance"'
#: Grid units: a dashboard is 24 wide.
HEIGHT, SMALL = 8, 4
GREEN, AMBER, RED = "green", "orange", "red"


class Query(NamedTuple):
    """A line of a panel.

    Attributes:
        expr: PromQL, with Grafana's variables in it.
        legend: name of a series; `{{label}}` stands for a label's value.
    """

    expr: str
    legend: str


def select(metric: str, **labels: str) -> str:
    """Selector of a metric of the chosen processes; a value that holds `|` is a regular expression.

    >>> select("parcelwatch_alerts_total", activity="create")
    'parcelwatch_alerts_total{job=~"$job", instance=~"$instance", activity="create"}'
    """
    more = "".join(f', {name}{"=~" if "|" in value else "="}"{value}"' for name, value in labels.items())
    return f"{metric}{{{PROCESSES}{more}}}"


def per_second(metric: str, by: str = "", **labels: str) -> str:
    """Sum of a counter's rates, one series for each value of `by`.

    >>> per_second("parcelwatch_findings_total", "detector")
    'sum by (detector) (rate(parcelwatch_findings_total{job=~"$job", instance=~"$instance"}[$__rate_interval]))'
    """
    return f"{_sum(by)}(rate({select(metric, **labels)}[$__rate_interval]))"


def grown(metric: str, by: str = "", over: str = "$__range", **labels: str) -> str:
    """By how much a counter has grown within the dashboard's time range, or `over`."""
    return f"{_sum(by)}(increase({select(metric, **labels)}[{over}]))"


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Quantile of a histogram in its own unit."""
    return f"histogram_quantile({share:g}, {per_second(histogram + '_bucket', f'le, {by}'.rstrip(', '))})"


def _targets(queries: Iterable[Query], *, instant: bool) -> list[Any]:
    made = []
    for number, query in enumerate(queries):
        target = Dataquery().ref_id(chr(65 + number)).expr(query.expr).legend_format(query.legend)
        made.append((target.instant() if instant else target.range()).datasource(DATASOURCE))
    return made


def _thresholds(limits: Sequence[tuple[float, str]]) -> ThresholdsConfig:
    """Green, and another colour from each limit on."""
    steps = [Threshold(value=None, color=GREEN), *(Threshold(value=v, color=c) for v, c in limits)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 8,
    limits: Sequence[tuple[float, str]] = (),
    stacked: bool = False,
    bars: bool = False,
) -> timeseries.Panel:
    """A panel of lines over time, or of stacked bars.

    Args:
        title, description: what is seen, and what it means.
        unit: Grafana's name of the unit.
        queries: one or more.
        width: of 24.
        limits: values at which a dashed line is drawn, with its colour.
        stacked, bars: how it is drawn.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(_targets(queries, instant=False))
        .unit(unit)
        .min(0)
        .span(width)
        .height(HEIGHT)
        .draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
        .fill_opacity(60 if bars else 10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if stacked or bars:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if limits:
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(limits)).thresholds_style(style)
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    width: int = 4,
    limits: Sequence[tuple[float, str]] = (),
) -> stat.Panel:
    """One number, as it stands at the end of the time range; arguments as of `lines`."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(_targets([Query(expr, title)], instant=True))
        .unit(unit)
        .span(width)
        .height(SMALL)
        .color_mode(BigValueColorMode.VALUE)
        .thresholds(_thresholds(limits))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def ranking(title: str, description: str, unit: str, query: Query, *, width: int = 8) -> bargauge.Panel:
    """Bars side by side, as they stand at the end of the time range; arguments as of `lines`."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .targets(_targets([query], instant=True))
        .unit(unit)
        .min(0)
        .span(width)
        .height(HEIGHT)
        .orientation(VizOrientation.HORIZONTAL)
        .thresholds(_thresholds(()))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def dashboard(
    uid: str, title: str, description: str, rows: dict[str, Sequence[Any]], since: str
) -> Dashboard:
    """A dashboard of named rows of panels, with the variables and links that all of them have.

    Args:
        uid: in its address.
        since: begin of the time range it opens with, as Grafana writes it: now-6h.
    """
    made = (
        Dashboard(f"Parcelwatch / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time(since, "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("Parcelwatch")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_chosen("job", "Job", "label_values(parcelwatch_build_info, job)"))
        .with_variable(
            _chosen("instance", "Instance", 'label_values(parcelwatch_build_info{job=~"$job"}, instance)')
        )
    )
    for name, panels in rows.items():
        made = made.with_row(Row(name))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _chosen(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
