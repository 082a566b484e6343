"""Both ways to a cluster, on one sandbox. `oc` is kubectl here: the adapter asks nothing that only oc has."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes.config import kube_config

from job.cluster import Cluster
from job.cluster.connect import connect
from job.config.settings import Settings
from job.domain.model import Client
from tests.sandbox.client import Sandbox

KUBECTL = Path(sys.executable).with_name("kubectl")

Reach = Callable[..., Cluster]


@pytest.fixture
def sandbox(whole_sandbox: Sandbox) -> Iterator[Sandbox]:
    yield whole_sandbox
    whole_sandbox.remove_faults()


@pytest.fixture
def namespace(sandbox: Sandbox) -> str:
    return sandbox.create_namespace()


@pytest.fixture
def only_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with kubectl and nothing else, and a home of the test's own."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "kubectl").symlink_to(KUBECTL)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


@pytest.fixture(params=[client.value for client in Client])
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def counts() -> Counter[tuple[str, str]]:
    """The requests that adapters counted, by namespace and code."""
    return Counter()


@pytest.fixture
def reach(
    client: str, only_kubectl: Path, monkeypatch: pytest.MonkeyPatch, counts: Counter[tuple[str, str]]
) -> Iterator[Reach]:
    """Connects by a kubeconfig, or by settings alone."""
    made: list[Cluster] = []

    def by(kubeconfig: Path | None = None, **settings: object) -> Cluster:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig or "/none"))
        # The package reads the variable when it is loaded.
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig or "/none"))
        cluster = connect(
            Settings(client=Client(client), **settings),  # type: ignore[arg-type]
            lambda namespace, code: counts.update([(namespace, code)]),
        )
        made.append(cluster)
        return cluster

    yield by
    for cluster in made:
        cluster.close()


@pytest.fixture
def cluster(reach: Reach, sandbox: Sandbox, namespace: str) -> Cluster:
    """As the sandbox's administrator."""
    return reach(sandbox.kubeconfig(sandbox.token, namespace))
