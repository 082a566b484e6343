"""The workflows of the forge: that each is one, runs targets that exist, and is given no more than it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
OF_A_WORKFLOW = {"name", "on", "permissions", "concurrency", "jobs", "env"}
OF_A_JOB = {
    *("name", "if", "needs", "runs-on", "container", "environment", "permissions", "timeout-minutes", "strategy"),
    *("steps", "env", "concurrency"),
}
OF_A_STEP = {"name", "if", "uses", "with", "run", "env", "id"}
CONTEXTS = {"github", "inputs", "matrix", "secrets", "vars", "steps", "runner"}
EVENTS = {"pull_request", "push", "schedule", "workflow_dispatch"}


def load(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    # YAML 1.1 takes `on` for true.
    return {"on" if key is True else key: value for key, value in found.items()}


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{path.name}: {name}", job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()]


def ids(value: object) -> str | None:
    return value if isinstance(value, str) else None


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_what_one_has(path: Path) -> None:
    found = load(path)
    assert found.keys() <= OF_A_WORKFLOW
    assert set(found["on"]) <= EVENTS
    assert found["permissions"] == {"contents": "read"}, "jobs ask for more where they need it"
    text = path.read_text(encoding="utf-8")
    for expression in re.findall(r"\$\{\{(.*?)\}\}", text):
        names = re.findall(r"(?<![.\w'])([a-z_]+)\.", expression)
        assert names, expression
        assert set(names) <= CONTEXTS, expression


@pytest.mark.parametrize(("name", "job"), jobs(), ids=ids)
def test_a_job_has_what_one_has_and_ends(name: str, job: dict[str, Any]) -> None:
    assert job.keys() <= OF_A_JOB
    assert job["timeout-minutes"] > 0
    for step in job["steps"]:
        assert step.keys() <= OF_A_STEP
        assert ("uses" in step) != ("run" in step), step
        assert "@" in step.get("uses", "@")
        if "uses" in step and step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # What others write, such as a title, must not become a part of a script.
        assert "${{" not in re.sub(r"\$\{\{ matrix\.\w+ \}\}", "", step.get("run", "")), step


@pytest.mark.parametrize(("name", "job"), jobs(), ids=ids)
def test_the_targets_that_a_job_makes_exist(name: str, job: dict[str, Any]) -> None:
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    values = [*matrix.get("target", ()), *(each["target"] for each in matrix.get("include", ()))]
    for step in job["steps"]:
        for target in re.findall(r"^\s*make ([a-z0-9-]+)", step.get("run", ""), re.MULTILINE):
            assert target in TARGETS, target
        if "make ${{ matrix.target }}" in step.get("run", ""):
            assert values
            assert set(values) <= TARGETS


def test_only_a_tag_publishes_and_only_a_maintainer_lets_the_cluster_be_used() -> None:
    release = load(ROOT / ".github/workflows/release.yml")
    assert release["on"]["push"] == {"tags": ["v*"]}
    publishing = {
        name
        for name, job in release["jobs"].items()
        if any("PUSH=true" in step.get("run", "") for step in job["steps"])
    }
    assert publishing == {"publish"}
    assert release["jobs"]["publish"]["if"] == "github.event_name == 'push'"
    for name, job in release["jobs"].items():
        assert ("permissions" in job) is (name == "publish")
    acceptance = load(ROOT / ".github/workflows/e2e.yml")
    assert acceptance["on"]["pull_request"] == {"types": ["labeled"]}
    assert "github.event.label.name == 'e2e'" in acceptance["jobs"]["e2e"]["if"]
