"""Several tags in waves, several pods of one run, several namespaces, and a run undone as a whole."""

from __future__ import annotations

import uuid
from contextlib import ExitStack

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import MakePlace, on_sandbox
from tests.e2e.images import Behaviour
from tests.e2e.place import JOB, Place
from tests.support.kustomize import build
from tests.support.place import Ended, ended
from tests.support.tiers import slow

WAVE = "import-images.dev/wave"

pytestmark = on_sandbox(slow("integration/runs gates the same as whole runs"))


@pytest.mark.needs("workloads")
def test_a_bad_rollout_stops_the_waves_after_it(make_place: MakePlace) -> None:
    place = make_place("rollback")
    place.follow("db", annotations={WAVE: "1"})
    first = place.follow("web", annotations={WAVE: "2"})
    place.push_bad("db", Behaviour.CRASHING)
    place.images.push("web", "second")
    done = place.run()
    assert (done.status, place.current("web")) == (5, first), done.stderr
    assert done.results["web:prod"].startswith("skipped")


@pytest.mark.needs("workloads")
def test_a_whole_run_is_rolled_back(make_place: MakePlace) -> None:
    place = make_place("rollback")
    before = {"db": place.follow("db", annotations={WAVE: "1"}), "web": place.imported("web")}
    after = {name: place.images.push(name, "second") for name in before}
    done = place.run()
    assert (done.status, {name: place.current(name) for name in before}) == (0, after), done.stderr
    back = place.person("rollback", "--run", "last", "--yes", "--reason", "slow since")
    assert back.status == 0, back.stderr
    assert {name: place.current(name) for name in before} == before
    place.wait_until_runs("db", before["db"])
    assert set(place.run().results.values()) == {"skipped held"}
    resumed = place.person("resume", "--run", "last", "--yes")
    assert (resumed.status, {name: place.current(name) for name in before}) == (0, after), resumed.stderr


def test_shards_share_the_streams(make_place: MakePlace) -> None:
    place = make_place("sharded")
    names = [f"stream-{number}" for number in range(12)]
    digest = {name: place.images.push(name, "first") for name in names}
    for name in names:
        place.stream(name)
    ended_shards = _shards(place)
    assert [done.status for done in ended_shards] == [0] * len(ended_shards), ended_shards[0].stderr
    imported = sorted(name for done in ended_shards for name in done.results)
    assert imported == sorted(f"{name}:prod" for name in names)
    assert {name: place.current(name) for name in names} == digest


def _shards(place: Place) -> list[Ended]:
    count = int(place.template["completions"])
    if place.settings.pods:
        job = place.start_pod()
        place.wait_for_job(job)
        return [place.pod_output(pod) for pod in place.pods_of(job)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(place.running(JOB_COMPLETION_INDEX=str(index), SHARDS=str(count)))
            for index in range(count)
        ]
        return [ended(process, place.settings.patience) for process in processes]


@pytest.mark.needs("cluster roles")
def test_a_fleet(make_place: MakePlace, cluster: Cluster) -> None:
    home, other = make_place("fleet"), make_place()
    name = f"{home.settings.prefix}-{uuid.uuid4().hex[:8]}"
    (role,) = (each for each in build("prod", "fleet").of_kind("ClusterRole") if each["metadata"]["name"] == JOB)
    cluster.create("ClusterRole", "", {"metadata": {"name": name}, "rules": role["rules"]})
    try:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        subject = {"kind": "ServiceAccount", "name": JOB, "namespace": home.namespace}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        cluster.create("RoleBinding", other.namespace, binding)
        digests = {}
        for place in (home, other):
            digests[place.namespace] = place.images.push("web", "first")
            place.stream("web")
        done = home.run(NAMESPACE=f"{home.namespace},{other.namespace}")
        assert done.status == 0, done.stderr
        assert {tag["namespace"]: tag["after"]["digest"] for tag in done.report["tags"]} == digests
        assert {place.namespace: place.current("web") for place in (home, other)} == digests
    finally:
        cluster.delete("ClusterRole", "", name)
