"""Jobs whose pods really run, where the sandbox is told the image of the job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from job import VERSION
from tests.sandbox.client import Json, Sandbox, start, until

IMAGE = "registry.example.com/import-images:test"
POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "job", "operator": "NotIn", "values": [0]}},
    ]
}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with start("--no-registry", "--no-pushgateway", "--set", f'job_image="{IMAGE}"') as sandbox:
        yield sandbox


@pytest.fixture
def place(running: Sandbox) -> str:
    return running.create_namespace()


def spec(*arguments: str, image: str = IMAGE, **more: object) -> Json:
    container = {"name": "job", "image": image, "args": list(arguments)}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"backoffLimit": 1, "podFailurePolicy": POLICY, "template": template, **more}


def run(sandbox: Sandbox, namespace: str, wanted: Json) -> Json:
    """Make a Job and wait for its end."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    sandbox.create(path, {"metadata": {"name": "one"}, "spec": wanted})

    def over() -> Json | None:
        job = sandbox.get(f"{path}/one")
        return dict(job) if job["status"].get("conditions") else None

    return until(over)


def test_a_job_that_succeeds(running: Sandbox, place: str) -> None:
    job = run(running, place, spec("--version"))
    assert (job["status"]["succeeded"], job["status"]["conditions"][0]["type"]) == (1, "Complete")
    (pod,) = running.pods(place)
    assert pod["status"]["phase"] == "Succeeded"
    log = running.request("GET", f"/api/v1/namespaces/{place}/pods/{pod['metadata']['name']}/log").text
    assert VERSION in log


def test_one_that_fails_by_its_policy_at_once(running: Sandbox, place: str) -> None:
    job = run(running, place, spec("no-such-command:prod:prod"))
    assert (job["status"]["failed"], job["status"]["conditions"][0]["type"]) == (1, "Failed")
    (pod,) = running.pods(place)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 2
    # Without a termination message it is the end of the log.
    assert ended["message"]


def test_each_index_has_its_pod(running: Sandbox, place: str) -> None:
    job = run(running, place, spec("--version", completionMode="Indexed", completions=2, parallelism=2))
    assert (job["status"]["succeeded"], job["status"]["completedIndexes"]) == (2, "0,1")
    label = "batch.kubernetes.io/job-completion-index"
    assert sorted(pod["metadata"]["labels"][label] for pod in running.pods(place)) == ["0", "1"]


def test_an_eviction_marks_the_pod_and_lets_it_end(running: Sandbox, place: str) -> None:
    path = f"/apis/batch/v1/namespaces/{place}/jobs"
    # Of another image it runs nothing, and so waits to be evicted.
    running.create(path, {"metadata": {"name": "one"}, "spec": spec(image="other")})
    (pod,) = until(lambda: running.pods(place))
    name = pod["metadata"]["name"]
    running.create(f"/api/v1/namespaces/{place}/pods/{name}/eviction", {"metadata": {"name": name}})
    evicted = running.get(f"/api/v1/namespaces/{place}/pods/{name}")
    assert evicted["metadata"]["deletionTimestamp"]
    conditions = {condition["type"]: condition["status"] for condition in evicted["status"]["conditions"]}
    assert conditions["DisruptionTarget"] == "True"
