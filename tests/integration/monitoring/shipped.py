"""What the dashboards that are shipped ask of Prometheus, read from their files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from manifests.dashboards.files import CONSOLE, GRAFANA

Flavour = Literal["grafana", "console"]
FLAVOURS: tuple[Flavour, ...] = ("grafana", "console")
ALL = "all"


@dataclass(frozen=True, slots=True)
class Ask:
    """One query of a panel.

    Attributes:
        flavour: whose dashboard it is.
        panel: the panel's title.
        ref: which of its queries.
        expression: with variables.
        legend: how its series are called.
        columns: the labels that are columns of a table.
        once: it is asked for now, not over time.
    """

    flavour: Flavour
    panel: str
    ref: str
    expression: str
    legend: str
    columns: tuple[str, ...]
    once: bool

    @property
    def key(self) -> str:
        return f"{self.panel} {self.ref}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable, and the query that gives what there is to choose from."""

    name: str
    metric: str
    label: str


def document(flavour: Flavour) -> dict[str, Any]:
    """A dashboard as its file holds it."""
    found = json.loads((GRAFANA if flavour == "grafana" else CONSOLE).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def panels(flavour: Flavour) -> list[dict[str, Any]]:
    """Its panels, without rows."""
    found = document(flavour)
    if flavour == "grafana":
        return [each for each in found["panels"] if each["type"] != "row"]
    return [each for row in found["rows"] for each in row["panels"]]


def asks(flavour: Flavour) -> list[Ask]:
    """All that it asks for in its panels."""
    return [
        Ask(
            flavour,
            panel["title"],
            target["refId"],
            target["expr"],
            target.get("legendFormat", ""),
            tuple(_columns(panel)),
            panel["type"] in ("table", "stat", "singlestat"),
        )
        for panel in panels(flavour)
        for target in panel.get("targets", ())
    ]


def _columns(panel: Mapping[str, Any]) -> Iterator[str]:
    """The labels that a table shows."""
    if panel["type"] != "table":
        return
    names = [each["pattern"] for each in panel.get("styles", ())]
    for each in panel.get("transformations", ()):
        names += each["options"].get("renameByName", ())
    yield from (name for name in names if not name.startswith("Value"))


def choices(flavour: Flavour) -> list[Choice]:
    """Its variables, but for the one of the data source."""
    found = []
    for each in document(flavour)["templating"]["list"]:
        if each["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", each["query"])
            assert asked, each["query"]
            found.append(Choice(each["name"], asked[1], asked[2]))
    return found


def chosen(flavour: Flavour, expression: str, values: Mapping[str, str]) -> str:
    """An expression with the values of its variables in place of them, as Grafana and the console put them there.

    Args:
        flavour: whose.
        expression: with variables.
        values: by variable; one that is not there stands at "All".
    """

    def put(found: re.Match[str]) -> str:
        value = values.get(found[1])
        if value is None:
            return ".*" if flavour == "grafana" else ".+"
        return re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\\\1", value)

    return re.sub(r"\$([a-z_]\w*)", put, expression)
