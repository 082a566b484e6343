"""Where the suite runs: on the cluster that the environment names, else on a sandbox of its own.

The sandbox is a process of its own and is reached by its kubeconfig alone, as a cluster is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.place import Place
from tests.e2e.settings import Settings, read
from tests.sandbox import client
from tests.support.tiers import slow

LEFT_OUT = "left out: "
NAMED = "E2E_REGISTRY" in os.environ
MODES = ("named",) if NAMED else ("local", "pods")
# What `needs` may name, and the right that it takes: verb, group, resource.
RIGHTS = {"cluster roles": ("create", "rbac.authorization.k8s.io", "clusterroles")}

# What the sandbox runs as a process instead.
JOB_IMAGE = "registry.example.com/import-images:e2e"

ABSENT = {
    "pods": "needs the job in pods (E2E_PODS=false)",
    "workloads": "needs workloads whose pods run (E2E_PODS=false, E2E_WORKLOADS=false)",
    "Pushgateway": "needs a Pushgateway (E2E_PUSHGATEWAY, E2E_PUSHGATEWAY_LOCAL)",
}
MakePlace = Callable[..., Place]


def on_sandbox(mark: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """A mark that counts on the sandbox only: on a named cluster every scene runs."""
    return pytest.mark.filterwarnings() if NAMED else mark


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On the sandbox every scene runs with the job as a process of this machine, and once more in pods."""
    if "settings" in metafunc.fixturenames:
        why = slow("the same scene gates with the job as a process of this machine")
        modes = [pytest.param(mode, marks=why if mode == "pods" else ()) for mode in MODES]
        needs = [name for mark in metafunc.definition.iter_markers("needs") for name in mark.args]
        modes = modes[1:] if not NAMED and "pods" in needs else modes
        metafunc.parametrize("settings", modes, indirect=True, scope="session")


@pytest.fixture(scope="session")
def given(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """The settings of the environment, or of a sandbox."""
    if NAMED:
        settings, problems = read()
        assert settings, "\n".join(problems)
        yield settings
        return
    with client.start("--no-pacing", "--set", f'job_image="{JOB_IMAGE}"') as sandbox:
        yield Settings(
            registry=sandbox.registry_address,
            kubeconfig=str(sandbox.admin_kubeconfig),
            insecure=True,
            pushgateway=sandbox.pushgateway.removeprefix("http://"),
            pushgateway_local=sandbox.pushgateway,
            pods=False,
            stable="1s",
        )


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest, given: Settings) -> Settings:
    return replace(given, pods=True, image=JOB_IMAGE) if request.param == "pods" else given


@pytest.fixture(scope="session")
def cluster(given: Settings) -> Cluster:
    return Cluster(given.kubeconfig)


@pytest.fixture(autouse=True)
def _needed(request: pytest.FixtureRequest) -> None:
    """Leave out a scene whose needs this cluster or this login does not meet; the end says how many, and why."""
    settings: Settings = request.getfixturevalue("settings")
    there = {"pods": settings.pods, "workloads": settings.workloads, "Pushgateway": bool(settings.pushgateway_local)}
    for mark in request.node.iter_markers("needs"):
        for name in mark.args:
            if name in RIGHTS:
                verb, _, resource = RIGHTS[name]
                if not request.getfixturevalue("cluster").may(*RIGHTS[name]):
                    pytest.skip(f"{LEFT_OUT}needs the right to {verb} {resource}")
            elif not there[name]:
                pytest.skip(f"{LEFT_OUT}{ABSENT[name]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many scenes were left out, and why."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ())]
    absent = [text.partition(LEFT_OUT)[2] for text in reasons if LEFT_OUT in text]
    if NAMED:
        ran = sum(len(terminalreporter.stats.get(outcome, ())) for outcome in ("passed", "failed"))
        terminalreporter.write_line(f"scenes: {ran} ran, {len(absent)} left out")
        for reason in sorted(set(absent)):
            terminalreporter.write_line(f"  {absent.count(reason)} left out: {reason}")


@pytest.fixture
def make_place(cluster: Cluster, settings: Settings) -> Iterator[MakePlace]:
    """Make namespaces with the job and some components; all are removed at the end."""
    places: list[Place] = []

    def make(*components: str) -> Place:
        places.append(Place(cluster, settings, *components))
        return places[-1]

    yield make
    for place in places:
        place.close()
