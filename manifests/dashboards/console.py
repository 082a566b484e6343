"""The dashboard for the OpenShift console, which renders a subset of an old Grafana format.

It knows rows, and in them `graph`, `singlestat` and `table` (no text); variables have one value or all of them, which
then are `.+`, and the data source is always the cluster's. A table needs `styles`; rows of several queries are merged
where all labels are the same, and labels come before values. Seconds are not scaled: long times are in hours or days.
"""

from __future__ import annotations

import json
from typing import Any

from job.publish.metric_families import PREFIX
from manifests.dashboards.expressions import SELECTION
from manifests.dashboards.grafana import name
from manifests.dashboards.model import Board, Colour, Graph, Panel, Stat, Table, Text, Timeline, Unit, Value, Variable

Json = dict[str, Any]
# "All" is .+, which does not take a group without a deployment: the empty alternative does. With a
# deployment selected, runs of all tags are shown as well, since they import its tags, too.
SELECTED = 'stream_namespace=~"$stream_namespace",deployment=~"|$deployment"'
FORMATS = {Unit.NUMBER: "short", Unit.SECONDS: "s", Unit.HOURS: "short", Unit.DAYS: "short"}
SCALES = {Unit.HOURS: 3600, Unit.DAYS: 86400}
SHORT = {Unit.HOURS: "h", Unit.DAYS: "d"}
# The console's names of colours; it does not show others.
COLOURS = {Colour.GOOD: "green", Colour.NOTICE: "blue", Colour.WARNING: "orange", Colour.BAD: "red", Colour.PLAIN: ""}


def expression(text: str, unit: Unit = Unit.NUMBER) -> str:
    """An expression with the console's variables for the selection, in the unit in which it is shown."""
    text = text.replace(SELECTION, SELECTED)
    return f"({text}) / {SCALES[unit]}" if unit in SCALES else text


def render(board: Board) -> str:
    """The dashboard as the JSON that the console reads."""
    rows: list[Json] = []
    for row in board.rows:
        panels = [drawn for panel in row.panels for drawn in _panel(panel)]
        rows.append({"title": row.title, "showTitle": True, "collapse": False, "panels": panels})
    for number, panel in enumerate((panel for row in rows for panel in row["panels"]), 1):
        panel["id"] = number
    found = {
        "title": board.title,
        "description": board.description,
        "tags": ["import-images"],
        "uid": board.uid,
        "templating": {"list": [_variable(variable) for variable in board.variables]},
        "rows": rows,
    }
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "label": variable.title,
        "type": "query",
        "query": f"label_values({PREFIX}{variable.metric}, {variable.name})",
        "includeAll": True,
        "multi": False,
        "hide": 0,
        "options": [],
    }


def _panel(panel: Panel) -> list[Json]:
    match panel:
        case Stat():
            return [_stat(panel)]
        case Graph():
            targets = [_target(line.expression, i, line.legend) for i, line in enumerate(panel.lines)]
            return [_graph(panel, targets, FORMATS[panel.unit], panel.stacked)]
        case Timeline():
            return [_graph(panel, [_target(panel.shares.expression, 0, panel.shares.legend)], "short", True)]
        case Table():
            return [_table(panel)]
        case Text():
            return []


def _target(expr: str, index: int, legend: str = "", unit: Unit = Unit.NUMBER) -> Json:
    found: Json = {"expr": expression(expr, unit), "refId": name(index)}
    return {**found, "legendFormat": legend} if legend else found


def _graph(panel: Graph | Timeline, targets: list[Json], form: str, stacked: bool) -> Json:
    return {
        "type": "graph",
        "title": panel.title,
        "description": panel.help,
        "span": panel.width // 2,
        "stack": stacked,
        "legend": {"show": True},
        "yaxes": [{"format": form}],
        "targets": targets,
    }


def _stat(panel: Stat) -> Json:
    thresholds = [{"value": value, "color": COLOURS[colour]} for value, colour in panel.steps]
    words = [{"op": "=", "value": str(number), "text": word.text} for number, word in panel.words.items()]
    return {
        "type": "singlestat",
        "title": panel.title,
        "description": panel.help,
        # There is no room for less.
        "span": 3,
        "format": FORMATS[panel.unit],
        "postfix": {Unit.HOURS: " hours", Unit.DAYS: " days"}.get(panel.unit, ""),
        "valueMaps": [*words, {"op": "=", "value": "null", "text": panel.empty}],
        "options": {"fieldOptions": {"thresholds": _coloured(panel) or thresholds}},
        # It draws the first series only.
        "targets": [_target(f"{panel.combine}({panel.expression})", 0, unit=panel.unit)],
    }


def _coloured(panel: Stat) -> list[Json]:
    """Colours of words: the console takes them from the value alone."""
    return [{"value": number, "color": COLOURS[word.colour]} for number, word in sorted(panel.words.items())]


def _table(panel: Table) -> Json:
    styles: list[Json] = [{"pattern": label, "alias": title, "type": "string"} for label, title in panel.labels]
    styles += [
        {"pattern": f"Value #{name(i)}", "alias": _titled(value), "type": "number", "unit": FORMATS[value.unit]}
        for i, value in enumerate(panel.values)
    ]
    return {
        "type": "table",
        "transform": "table",
        "title": panel.title,
        "description": panel.help,
        "span": panel.width // 2,
        "styles": styles,
        "targets": [_target(value.expression, i, unit=value.unit) for i, value in enumerate(panel.values)],
    }


def _titled(value: Value) -> str:
    words = ", ".join(f"{number}: {word.text}" for number, word in value.words.items())
    unit = SHORT.get(value.unit, words)
    return f"{value.title} ({unit})" if unit else value.title
