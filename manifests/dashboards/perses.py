"""The dashboard for Perses, from its own panels; it draws the pictures of the documentation."""

from __future__ import annotations

import json
from typing import Any

from job.publish.metric_families import PREFIX
from manifests.dashboards.console import SCALES, SHORT
from manifests.dashboards.expressions import SELECTION
from manifests.dashboards.model import (
    Board,
    Colour,
    Graph,
    Line,
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

Json = dict[str, Any]
SELECTED = 'stream_namespace=~"$stream_namespace",deployment=~"$deployment"'
COLOURS = {
    Colour.GOOD: "#3e8635",
    Colour.NOTICE: "#2b9af3",
    Colour.WARNING: "#ec7a08",
    Colour.BAD: "#c9190b",
    Colour.PLAIN: "#4f5255",
}
NAMED = "{{stream_namespace}} {{deployment}}"
WIDTHS = {"what_to_do": 300, "command": 400}
LEGEND: Json = {"position": "bottom", "mode": "list", "values": []}
FORMATS: dict[Unit, Json] = {
    Unit.NUMBER: {"unit": "decimal", "decimalPlaces": 0},
    Unit.SECONDS: {"unit": "seconds", "decimalPlaces": 1},
    Unit.HOURS: {"unit": "hours", "decimalPlaces": 1},
    Unit.DAYS: {"unit": "days", "decimalPlaces": 1},
}


def expression(text: str, unit: Unit = Unit.NUMBER) -> str:
    """An expression with Perses' variables for the selection, in the unit in which it is shown."""
    text = text.replace(SELECTION, SELECTED)
    return f"({text}) / {SCALES[unit]}" if unit in SCALES else text


def resource(board: Board, duration: str = "14d", datasource: str = "") -> Json:
    """The dashboard as a Perses resource.

    Args:
        board: the panels.
        duration: the time range shown at first.
        datasource: the address of a Prometheus to query directly; empty: the server's default.
    """
    panels: Json = {}
    layouts: list[Json] = []
    for row in board.rows:
        items: list[Json] = []
        x = y = 0
        for panel in row.panels:
            key = f"{len(panels)}"
            panels[key] = _panel(panel)
            if x + panel.width > 24:
                x, y = 0, y + items[-1]["height"]
            place = {"x": x, "y": y, "width": panel.width, "height": panel.height}
            items.append({**place, "content": {"$ref": f"#/spec/panels/{key}"}})
            x += panel.width
        display = {"title": row.title, "collapse": {"open": True}}
        layouts.append({"kind": "Grid", "spec": {"display": display, "items": items}})
    spec: Json = {
        "display": {"name": board.title, "description": board.description},
        "duration": duration,
        "variables": [_variable(variable) for variable in board.variables],
        "panels": panels,
        "layouts": layouts,
    }
    if datasource:
        plugin = {"kind": "PrometheusDatasource", "spec": {"directUrl": datasource, "scrapeInterval": "5m"}}
        spec["datasources"] = {"prometheus": {"default": True, "plugin": plugin}}
    return {"kind": "Dashboard", "metadata": {"name": board.uid, "project": board.uid}, "spec": spec}


def render(board: Board) -> str:
    """The dashboard as JSON."""
    return json.dumps(resource(board), indent=1, sort_keys=True) + "\n"


def _variable(variable: Variable) -> Json:
    plugin = {"labelName": variable.name, "matchers": [PREFIX + variable.metric]}
    return {
        "kind": "ListVariable",
        "spec": {
            "name": variable.name,
            "display": {"name": variable.title},
            "allowAllValue": True,
            "allowMultiple": True,
            "customAllValue": ".*",
            "defaultValue": ["$__all"],
            "sort": "alphabetical-asc",
            "plugin": {"kind": "PrometheusLabelValuesVariable", "spec": plugin},
        },
    }


def _panel(panel: Panel) -> Json:
    help_text = "" if isinstance(panel, Text) else panel.help
    kind, spec, queries = _drawn(panel)
    display = {"name": panel.title, "description": help_text}
    return {"kind": "Panel", "spec": {"display": display, "plugin": {"kind": kind, "spec": spec}, "queries": queries}}


def _drawn(panel: Panel) -> tuple[str, Json, list[Json]]:
    """The kind of a panel, its options and its queries."""
    match panel:
        case Stat():
            return "StatChart", _stat(panel), [_query(panel.expression, panel.unit, NAMED)]
        case Graph():
            return "TimeSeriesChart", _graph(panel), [_line(line) for line in _lines(panel)]
        case Timeline():
            return "StatusHistoryChart", {"legend": LEGEND, "mappings": _words(panel)}, [_line(panel.states)]
        case Table():
            return "Table", _table(panel), [_query(value.expression, value.unit, shown=True) for value in panel.values]
        case Text():
            return "Markdown", {"text": panel.content}, []


def _query(expr: str, unit: Unit = Unit.NUMBER, legend: str = "", *, shown: bool = False) -> Json:
    requested = expression(expr, unit)
    # A table shows all the digits that there are.
    spec: Json = {"query": f"round({requested}, 0.1)" if shown else requested}
    if legend:
        spec["seriesNameFormat"] = legend
    return {"kind": "TimeSeriesQuery", "spec": {"plugin": {"kind": "PrometheusTimeSeriesQuery", "spec": spec}}}


def _lines(panel: Graph) -> list[Line]:
    """The lines of a graph; a series with a colour of its own needs a query of its own."""
    if not panel.colours:
        return list(panel.lines)
    (line,) = panel.lines
    label = line.legend.strip("{}")
    return [
        Line(line.expression.replace(SELECTION, f'{SELECTION},{label}="{name}"'), line.legend) for name in panel.colours
    ]


def _line(line: Line) -> Json:
    return _query(line.expression, legend=line.legend)


def _mapping(number: int, word: Word) -> Json:
    return {
        "kind": "Value",
        "spec": {"value": str(number), "result": {"value": word.text, "color": COLOURS[word.colour]}},
    }


def _words(panel: Stat | Timeline) -> list[Json]:
    return [_mapping(number, word) for number, word in panel.words.items()]


def _stat(panel: Stat) -> Json:
    first, *more = panel.steps
    steps = [{"value": value, "color": COLOURS[colour]} for value, colour in more]
    nothing = {"kind": "Misc", "spec": {"value": "null", "result": {"value": panel.empty}}}
    return {
        "calculation": "last-number",
        "format": FORMATS[panel.unit],
        "mappings": [*_words(panel), nothing],
        "thresholds": {"defaultColor": COLOURS[first[1]], "steps": steps},
        "valueFontSize": 18,
    }


def _graph(panel: Graph) -> Json:
    return {
        "legend": LEGEND,
        "querySettings": [
            {"queryIndex": i, "colorMode": "fixed", "colorValue": COLOURS[colour]}
            for i, colour in enumerate(panel.colours.values())
        ],
        "yAxis": {"min": 0, "format": {"unit": FORMATS[panel.unit]["unit"]}},
        "visual": {
            "areaOpacity": 0.6 if panel.stacked else 0.05,
            "stack": "all" if panel.stacked else "none",
            "palette": {"mode": "categorical"},
        },
    }


def _table(panel: Table) -> Json:
    columns: list[Json] = [{"name": label, "header": title} for label, title in panel.labels]
    for column in columns:
        if column["name"] in WIDTHS:
            column["width"] = WIDTHS[column["name"]]
    many = len(panel.values) > 1
    for i, value in enumerate(panel.values, 1):
        column = {"name": f"value #{i}" if many else "value", "header": _titled(value), "align": "right"}
        if value.title == panel.sort:
            # The arrow takes room from the title.
            column |= {"enableSorting": True, "sort": "desc" if panel.descending else "asc", "width": 130}
        columns.append(column)
    columns.append({"name": "timestamp", "hide": True})
    cells = [
        {"condition": {"kind": "Value", "spec": {"value": word}}, "textColor": COLOURS[colour]}
        for word, colour in panel.colours.items()
    ]
    transforms = [{"kind": "MergeSeries", "spec": {}}] if many else []
    return {
        "density": "compact",
        "defaultColumnWidth": "auto",
        "columnSettings": columns,
        "cellSettings": cells,
        "transforms": transforms,
    }


def _titled(value: Value) -> str:
    unit = {Unit.SECONDS: "s", **SHORT}.get(value.unit)
    return f"{value.title} ({unit})" if unit else value.title
