"""One job for many namespaces."""

from __future__ import annotations

import uuid

import pytest

from tests.sandbox.client import Json, Sandbox
from tests.support.place import Ended, Place, metrics_of
from tests.support.pods import CRON_JOB, events, journal, make_cron_job, scheduled
from tests.support.rights import RUN


class Fleet:
    """A namespace with the job, and three that it works in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.home = Place(sandbox)
        self.sandbox = sandbox
        self.label = f"fleet-{uuid.uuid4().hex[:8]}"
        self._bind_cluster(self.home.namespace)
        self.names = [self.add() for _ in range(3)]
        self.cron_job = make_cron_job(self.home)

    def _bind_cluster(self, account: str) -> None:
        root = "/apis/rbac.authorization.k8s.io/v1"
        rules: list[Json] = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}]
        self.sandbox.create(f"{root}/clusterroles", {"metadata": {"name": self.label}, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": "import-images", "namespace": account}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.label}
        body = {"metadata": {"name": self.label}, "roleRef": role, "subjects": [subject]}
        self.sandbox.create(f"{root}/clusterrolebindings", body)

    def add(self, *, granted: bool = True) -> str:
        """One more namespace, with a stream."""
        name = self.sandbox.create_namespace(labels={"fleet": self.label})
        if granted:
            self.sandbox.grant(name, "import-images", RUN, of=self.home.namespace)
        self.home.push("worker", "one")
        self.sandbox.create_stream(name, "worker", {"prod": self.home.source("worker")})
        return name

    def run(self, job: str = "import-images-1", **environment: str) -> Ended:
        pod = scheduled(self.home, self.cron_job, job)
        return self.home.run(**pod, NAMESPACE=None, NAMESPACE_SELECTOR=f"fleet={self.label}", **environment)

    def metrics(self, name: str) -> dict[str, object]:
        return dict(metrics_of(self.sandbox.pushgateway, stream_namespace=name, deployment="prod"))


@pytest.fixture
def fleet(sandbox: Sandbox) -> Fleet:
    """A fleet of its own."""
    return Fleet(sandbox)


def test_every_namespace_with_the_label(fleet: Fleet) -> None:
    done = fleet.run()
    assert done.status == 0, done.stderr
    assert done.report["run"]["namespaces"] == sorted(fleet.names)
    assert {(tag["namespace"], tag["result"]) for tag in done.report["tags"]} == {(n, "updated") for n in fleet.names}
    for name in fleet.names:
        assert fleet.metrics(name)["tags"]
        assert [run.outcome for run in journal(fleet.home, name).runs] == ["success"]
        assert [each["reason"] for each in events(fleet.home, name)] == ["ImageImported"]


def test_no_more_at_once_than_was_said_over_all_namespaces(fleet: Fleet) -> None:
    """Each namespace has more streams than may be asked for at a time."""
    for name in fleet.names:
        for number in range(12):
            stream = f"app-{number}"
            fleet.sandbox.create_stream(name, stream, {"prod": fleet.home.source("worker")})
    number = fleet.sandbox.add_fault(path="imagestreamimports$", method="POST", latency=0.1)
    fleet.sandbox.clear_log()
    done = fleet.run(CONCURRENCY="5")
    fleet.sandbox.remove_faults(number)
    assert done.status == 0, done.stderr
    assert [tag["result"] for tag in done.report["tags"]] == ["updated"] * 3 * 13
    log = fleet.sandbox.log()
    assert log["most_imports_in_flight"] == 5
    # Beside them the locks are renewed, one after the other. In the end all are let go at once: here fewer.
    assert log["most_in_flight"] <= 6


def test_the_run_is_told_on_the_cron_job(fleet: Fleet) -> None:
    fleet.run()
    assert [each["involvedObject"]["name"] for each in events(fleet.home)] == [CRON_JOB]


def test_a_forbidden_namespace_does_not_stop_the_others(fleet: Fleet) -> None:
    forbidden = fleet.add(granted=False)
    done = fleet.run()
    assert done.status == 1, done.stderr
    assert done.report["run"]["outcome"] == "partial"
    assert [(error["namespace"], error["reason"]) for error in done.report["errors"]] == [(forbidden, "forbidden")]
    assert {tag["namespace"] for tag in done.report["tags"]} == set(fleet.names)
    assert {tag["result"] for tag in done.report["tags"]} == {"updated"}


def test_a_namespace_that_leaves_takes_its_metrics_along(fleet: Fleet) -> None:
    fleet.run()
    gone, *left = fleet.names
    fleet.sandbox.patch(f"/api/v1/namespaces/{gone}", {"metadata": {"labels": {"fleet": None}}})
    assert fleet.run("import-images-2").status == 0
    assert fleet.metrics(gone) == {}
    assert all(fleet.metrics(name) for name in left)
    assert {group["stream_namespace"] for group in journal(fleet.home).pushed[CRON_JOB]} == set(left)


def test_no_namespace_with_the_label_is_told(fleet: Fleet) -> None:
    done = fleet.home.run(NAMESPACE=None, NAMESPACE_SELECTOR="fleet=none")
    assert done.status == 2
    assert "NAMESPACE_SELECTOR" in done.stderr
