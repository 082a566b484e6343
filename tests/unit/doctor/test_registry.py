"""The registry of checks names what the checks report, and the page about it is bounded."""

from __future__ import annotations

import io
import re

import pytest

from job.doctor.checks import Finding
from job.doctor.registry import CHECKS, NOT_CHECKED
from job.doctor.rights import Component
from job.doctor.table import print_findings
from job.domain.states import Severity
from tests.support.paths import ROOT

NAME = re.compile(
    r'"((?:annotation|blocked|clock|cron-jobs?|gate|gateway|hold|horizon|image|not|rights|rule|skip|tag|trigger|wave|workload)-[a-z-]+)"'
)


def test_it_names_what_the_checks_report() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "job/doctor/checks").glob("*.py"))
    named = [problem for check in CHECKS for problem in check.problems]
    assert len(named) == len(set(named))
    # By component of the manifests.
    by_component = {f"rights-{component}" for component in Component}
    assert {*named, *NOT_CHECKED} == {*NAME.findall(sources), *by_component}


def findings(number: int, check: str = "tag-not-followed", message: str = "nothing follows it") -> list[Finding]:
    return [
        Finding(Severity.WARNING, check, "ns", f"stream-{i}:prod", message.format(i), (f"oc fix {i}",))
        for i in range(number)
    ]


def page(found: list[Finding]) -> list[str]:
    file = io.StringIO()
    print_findings(found, {"tags": len(found)}, None, file)
    return file.getvalue().splitlines()


class TestPage:
    @pytest.mark.parametrize("message", ["nothing follows it", "image {} is gone"])
    @pytest.mark.parametrize("number", [50, 1000])
    def test_it_is_bounded(self, number: int, message: str) -> None:
        lines = page(findings(number, message=message))
        assert len(lines) < 45
        assert lines[-1] == f"{number} warnings; checked {number} tags"
        assert any("more; all of them: --output json" in line for line in lines)

    def test_those_of_one_cause_are_together(self) -> None:
        found = [*findings(2), *findings(1, check="tag-scheduled", message="it is scheduled")]
        lines = page(found)
        assert lines[2:8] == [
            "2 findings  tag-not-followed",
            "  stream-0:prod, stream-1:prod",
            "  nothing follows it",
            "  To fix it:",
            "    oc fix 0",
            "    oc fix 1",
        ]
        assert "stream-0:prod  tag-scheduled" in lines

    def test_a_pipe_stays_one(self) -> None:
        found = Finding(
            Severity.NOTE, "rights-base", "ns", "the rights", "none", ('echo \'{"a": "b c"}\' | oc apply -f -',)
        )
        assert '    echo \'{"a": "b c"}\' | oc apply -f -' in page([found])
