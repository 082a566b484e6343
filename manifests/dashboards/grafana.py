"""The dashboard for Grafana 11 and newer; no plugin but those that Grafana brings."""

from __future__ import annotations

import json
from collections.abc import Mapping

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from job.publish.metric_families import PREFIX
from manifests.dashboards.expressions import SELECTION
from manifests.dashboards.model import (
    Board,
    Colour,
    Event,
    Graph,
    Panel,
    Stat,
    Table,
    Text,
    Timeline,
    Unit,
    Value,
    Variable,
    Word,
)

SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
# `dtdurations` reads "3 days, 7 hours"; a negative one is "ago".
UNITS = {Unit.NUMBER: "none", Unit.SECONDS: "s", Unit.HOURS: "dtdurations", Unit.DAYS: "dtdurations"}
# Legends of tiles, one for each deployment.
NAMED = "{{stream_namespace}} {{deployment}}"
WIDTHS = {"What to do": 320, "Command": 420}
# The same dashboard, of the row's own namespace and deployment.
FILTER = (
    "/d/import-images?${datasource:queryparam}&var-stream_namespace=${__data.fields.Namespace}"
    "&var-deployment=${__data.fields.Deployment}"
)
# A group without a deployment has no such label, which .* takes as well.
SELECTED = 'stream_namespace=~"$stream_namespace",deployment=~"$deployment"'


def expression(text: str) -> str:
    """An expression with Grafana's variables for the selection."""
    return text.replace(SELECTION, SELECTED)


def render(board: Board) -> str:
    """The dashboard as the JSON that Grafana imports."""
    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["import-images"])
        .editable()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time("now-14d", "now")
        .refresh("1m")
        .with_variable(
            builders.DatasourceVariable("datasource").label("Data source").type("prometheus").current(_nothing())
        )
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    for row in board.rows:
        made = made.with_row(builders.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(_panel(panel))
    built = made.build()
    for number, placed in enumerate(built.panels or (), 1):
        placed.id_val = number
    found = json.loads(json.dumps(built, cls=JSONEncoder))
    found["annotations"] = {"list": [_event(event) for event in board.events]}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _event(event: Event) -> dict[str, object]:
    """A mark in every graph; the SDK does not know the fields of Prometheus' annotations."""
    return {
        "name": event.title,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "hide": False,
        "iconColor": str(event.colour),
        "expr": expression(event.expression),
        "step": "5m",
        "titleFormat": event.title,
        "textFormat": event.text,
        "useValueForTime": True,
    }


def _nothing() -> dashboard.VariableOption:
    return dashboard.VariableOption(text="", value="")


def _variable(variable: Variable) -> builders.QueryVariable:
    query = f"label_values({PREFIX}{variable.metric}, {variable.name})"
    return (
        builders.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(SOURCE)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(dashboard.VariableOption(text=["All"], value=["$__all"], selected=True))
    )


def _panel(panel: Panel) -> Builder[dashboard.Panel]:
    match panel:
        case Stat():
            return _stat(panel)
        case Graph():
            return _graph(panel)
        case Timeline():
            return _timeline(panel)
        case Table():
            return _table(panel)
        case Text():
            return (
                text.Panel()
                .title(panel.title)
                .mode(TextMode.MARKDOWN)
                .content(panel.content)
                .span(panel.width)
                .height(panel.height)
            )


def _query(expr: str, name: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression(expr)).ref_id(name).legend_format(legend).datasource(SOURCE)


def _now(expr: str, name: str) -> prometheus.Dataquery:
    return _query(expr, name).instant().format(PromQueryFormat.TABLE)


def name(index: int) -> str:
    """The name of a query: A, B, ..."""
    return chr(ord("A") + index)


def _thresholds(steps: tuple[tuple[float, Colour], ...]) -> builders.ThresholdsConfig:
    first, *more = steps
    found = [dashboard.Threshold(value=None, color=first[1])]
    found += [dashboard.Threshold(value=value, color=colour) for value, colour in more]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(found)


def _words(words: Mapping[int, Word]) -> list[dashboard.ValueMapping]:
    return _mapping({str(number): (word.text, word.colour) for number, word in words.items()})


def _mapping(texts: Mapping[str, tuple[str, Colour]]) -> list[dashboard.ValueMapping]:
    options = {
        value: dashboard.ValueMappingResult(text=text, color=colour, index=i)
        for i, (value, (text, colour)) in enumerate(texts.items())
    }
    return [dashboard.ValueMap(options=options)] if options else []


def _stat(panel: Stat) -> stat.Panel:
    return (
        stat.Panel()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .with_target(_query(panel.expression, "A", NAMED).instant())
        .unit(UNITS[panel.unit])
        .decimals(1 if panel.unit in (Unit.HOURS, Unit.DAYS) else 0)
        .no_value(panel.empty)
        .mappings(_words(panel.words))
        .thresholds(_thresholds(panel.steps))
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.BACKGROUND if panel.words else common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .span(panel.width)
        .height(panel.height)
    )


def _graph(panel: Graph) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .unit(UNITS[panel.unit])
        .min(0)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .show_points(common.VisibilityMode.NEVER)
        .fill_opacity(60 if panel.stacked else 5)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .span(panel.width)
        .height(panel.height)
    )
    for i, line in enumerate(panel.lines):
        made = made.with_target(_query(line.expression, name(i), line.legend).range())
    if panel.stacked:
        made = made.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    for series, colour in panel.colours.items():
        made = made.override_by_name(series, [_fixed(colour)])
    return made


def _fixed(colour: Colour) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": str(colour)})


def _timeline(panel: Timeline) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .with_target(_query(panel.states.expression, "A", panel.states.legend).range())
        .mappings(_words(panel.words))
        .color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds(((0, Colour.PLAIN),)))
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(False)
        )
        .span(panel.width)
        .height(panel.height)
    )


def _table(panel: Table) -> table.Panel:
    made = (
        table.Panel()
        .title(panel.title)
        .description(panel.help)
        .datasource(SOURCE)
        .cell_height(common.TableCellHeight.SM)
        .show_header(True)
        .span(panel.width)
        .height(panel.height)
    )
    columns = [label for label, _ in panel.labels]
    titles = dict(panel.labels)
    for i, value in enumerate(panel.values):
        made = made.with_target(_now(value.expression, name(i)))
        # A single query needs no letter.
        column = f"Value #{name(i)}" if len(panel.values) > 1 else "Value"
        columns.append(column)
        titles[column] = value.title
        made = made.override_by_name(value.title, _column(value))
    made = made.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {column: i for i, column in enumerate(columns)},
        "renameByName": titles,
    }
    made = made.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=organize))
    if panel.sort:
        made = made.sort_by([common_builders.TableSortByFieldState().display_name(panel.sort).desc(panel.descending)])
    if panel.colours:
        mappings = _mapping({word: (word, colour) for word, colour in panel.colours.items()})
        coloured = [
            dashboard.DynamicConfigValue(id_val="mappings", value=mappings),
            dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
        for title in ("Outcome", "Result", "Why"):
            if title in titles.values():
                made = made.override_by_name(title, coloured)
    for title, width in WIDTHS.items():
        if title in titles.values():
            made = made.override_by_name(title, [dashboard.DynamicConfigValue(id_val="custom.width", value=width)])
    if "Namespace" in titles.values():
        link = {"title": "Only ${__data.fields.Namespace}", "url": FILTER}
        made = made.override_by_name("Namespace", [dashboard.DynamicConfigValue(id_val="links", value=[link])])
    return made


def _column(value: Value) -> list[dashboard.DynamicConfigValue]:
    found = [dashboard.DynamicConfigValue(id_val="unit", value=UNITS[value.unit])]
    if value.words:
        found += [
            dashboard.DynamicConfigValue(id_val="mappings", value=_words(value.words)),
            dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
    if value.steps:
        first, *more = value.steps
        steps: list[dict[str, object]] = [{"value": None, "color": str(first[1])}]
        steps += [{"value": at, "color": str(colour)} for at, colour in more]
        found += [
            dashboard.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps}),
            dashboard.DynamicConfigValue(id_val="color", value={"mode": "thresholds"}),
            dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
    if value.unit in (Unit.HOURS, Unit.DAYS):
        # Its two largest units.
        found.append(dashboard.DynamicConfigValue(id_val="decimals", value=1))
    return found
