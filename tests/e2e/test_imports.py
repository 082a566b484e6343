"""What a run imports and reports, with exactly the rights that are shipped."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import MakePlace, on_sandbox
from tests.e2e.place import JOB, LEASE, Place
from tests.support.place import of
from tests.support.tiers import slow

WHOLE_RUN = on_sandbox(slow("integration/runs gates the same as whole runs"))

REVISION = "4d5e6f"
# A verb on each of these is more than a run needs.
FORBIDDEN = (
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("list", "", "pods"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("update", "image.openshift.io", "imagestreams"),
    ("update", "image.openshift.io", "imagestreamtags"),
    ("list", "apps", "deployments"),
    ("update", "apps", "deployments"),
    ("create", "batch", "jobs"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
)


@pytest.fixture
def three(make_place: MakePlace) -> Place:
    """A namespace with a stream that will be updated, one that is current, and one whose image is gone."""
    place = make_place()
    place.imported("worker", annotations={"note": "kept word for word"}, referencePolicy={"type": "Local"})
    place.imported("web")
    place.stream("gone")
    place.images.push("worker", "second", revision=REVISION)
    return place


@WHOLE_RUN
def test_a_plan_writes_nothing(three: Place) -> None:
    before = three.versions()
    done = three.run("plan")
    assert done.results == {"worker:prod": "updated", "web:prod": "unchanged", "gone:prod": "failed not_found"}
    assert three.versions() == before


def test_the_report_equals_the_streams_and_nothing_else_changes(three: Place) -> None:
    specs = {name: three.spec(name) for name in ("worker", "web", "gone")}
    done = three.run()
    assert done.status == 1, done.stderr
    assert done.results == {"worker:prod": "updated", "web:prod": "unchanged", "gone:prod": "failed not_found"}
    for name in ("worker", "web"):
        assert done.tags[f"{name}:prod"]["after"]["digest"] == three.current(name)
    assert three.current("gone") is None
    assert done.tags["worker:prod"]["after"]["revision"] == REVISION
    # Policies and references survive word for word.
    assert {name: three.spec(name) for name in specs} == specs
    assert specs["worker"]["annotations"] == {"note": "kept word for word"}
    # The shipped Role is enough: the API refused nothing.
    assert "cannot" not in done.stderr
    assert "forbidden" not in done.stderr
    assert [run.outcome for run in three.journal().runs] == [done.report["run"]["outcome"]]
    told = {(event["involvedObject"]["name"], event["reason"]) for event in three.events()}
    # A run in a pod also writes one on its CronJob.
    more = {(JOB, "ImportPartial")} if three.settings.pods else set()
    assert told == {("worker", "ImageImported"), ("gone", "ImportFailed")} | more
    lease = three.cluster.get("Lease", three.namespace, LEASE)
    assert not lease["spec"].get("holderIdentity")


def test_the_shipped_role_gives_no_more(make_place: MakePlace, cluster: Cluster) -> None:
    place = make_place()
    until(
        lambda: cluster.may("list", "image.openshift.io", "imagestreams", place.namespace, account=JOB),
        30.0,
        "the right to list streams",
    )
    allowed = [what for what in FORBIDDEN if cluster.may(*what, place.namespace, account=JOB)]
    assert allowed == []


@WHOLE_RUN
def test_without_a_right_it_says_which(make_place: MakePlace, cluster: Cluster) -> None:
    place = make_place()
    place.imported("web")
    rules = cluster.get("Role", place.namespace, JOB)["rules"]
    fewer = [rule for rule in rules if "imagestreamimports" not in rule["resources"]]
    cluster.patch("Role", place.namespace, JOB, {"rules": fewer})
    until(
        lambda: not cluster.may("create", "image.openshift.io", "imagestreamimports", place.namespace, account=JOB),
        30.0,
        "the right to import is gone",
    )
    done = place.run()
    assert done.status == 3, done.stderr
    assert "imagestreamimports" in done.stdout + done.stderr


@pytest.mark.needs("Pushgateway")
@WHOLE_RUN
def test_metrics_and_the_termination_message(three: Place) -> None:
    if three.settings.pods:
        pod = three.wait_for_pod(three.start_pod())
        done = three.pod_output(pod)
        message = pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    else:
        done = three.run()
        message = three.termination_log.read_text()
    assert done.status == 1, done.stderr
    assert "1 updated" in message
    held = three.metrics()
    assert held["tag_result"] == {
        of("worker", result="updated"): 1,
        of("web", result="unchanged"): 1,
        of("gone", result="failed"): 1,
    }
    assert held["tag_failure"] == {of("gone", reason="not_found"): 1}
