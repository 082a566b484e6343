"""What the acceptance suite makes of its environment and of a pod's log."""

from __future__ import annotations

import pytest

from tests.e2e import documents, settings

REPORT = '{\n  "kind": "Report",\n  "version": 1,\n  "tags": []\n}'


def test_all_settings_are_read() -> None:
    given = {
        "E2E_REGISTRY": "quay.io/team/sub",
        "E2E_IMAGE": "quay.io/team/import-images:1",
        "E2E_PUSHGATEWAY": "gateway:9091",
        "E2E_PUSHGATEWAY_LOCAL": "http://localhost:9091/",
        "E2E_RUN_AS_USER": "1000",
    }
    found, problems = settings.read(given)
    assert (problems, found is not None) == ([], True)
    assert found
    assert (found.registry, found.repository, found.insecure) == ("quay.io", "team/sub/", False)
    assert (found.pods, found.run_as_user, found.prefix) == (True, 1000, "import-images-e2e")
    assert found.pushgateway_local == "http://localhost:9091"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"E2E_REGISTRY": ""}, "E2E_REGISTRY"),
        ({"E2E_IMAGE": ""}, "E2E_IMAGE"),
        ({"E2E_PODS": "perhaps"}, "E2E_PODS"),
        ({"E2E_PUSHGATEWAY": "gateway:9091"}, "E2E_PUSHGATEWAY"),
        ({"E2E_RUN_AS_USER": "root"}, "E2E_RUN_AS_USER"),
        ({"E2E_PREFIX": "Mine_"}, "E2E_PREFIX"),
    ],
)
def test_each_mistake_is_one_line(given: dict[str, str], problem: str) -> None:
    _, problems = settings.read({"E2E_REGISTRY": "quay.io", "E2E_IMAGE": "x", **given})
    (line,) = problems
    assert line.startswith(problem)


def test_without_pods_no_image_is_needed() -> None:
    found, problems = settings.read({"E2E_REGISTRY": "localhost:5000", "E2E_PODS": "false"})
    assert (problems, found and (found.pods, found.workloads)) == ([], (False, False))
    found, _ = settings.read({"E2E_REGISTRY": "localhost:5000", "E2E_PODS": "false", "E2E_WORKLOADS": "true"})
    assert found
    assert found.workloads


@pytest.mark.parametrize("before", ["", '{"level": "info", "message": "starting"}\n', "not JSON\n{broken\n"])
@pytest.mark.parametrize("after", ["", '\n{"level": "info", "message": "pushed"}\n'])
def test_the_report_is_found_among_the_lines_of_the_log(before: str, after: str) -> None:
    report, rest = documents.split(f"{before}{REPORT}\n{after}")
    assert report == REPORT
    assert [line for line in rest.splitlines() if line] == (before + after.strip()).splitlines()


def test_a_log_without_a_report_has_none() -> None:
    assert documents.split("killed\n") == ("", "killed\n")
