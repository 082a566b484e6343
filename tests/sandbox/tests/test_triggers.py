"""Image triggers of the sandbox: what they are, what wakes them, and that nothing else holds against them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox import workload_manifests
from tests.sandbox.client import IMAGE, Sandbox, until
from tests.sandbox.status import Json
from tests.sandbox.workload_manifests import trigger
from tests.sandbox.workloads import triggers

pytest_plugins = ["tests.sandbox.fixtures"]
KUBECTL = Path(sys.executable).with_name("kubectl")

TEMPLATE = ("spec", "template", "spec")


# The annotation


def annotated(given: object, **spec: list[Json]) -> Json:
    text = given if isinstance(given, str) else json.dumps(given)
    pods = {"containers": [{"name": "app", "image": "old"}, {"name": "b", "image": "old"}], **spec}
    metadata = {"name": "x", "namespace": "here", "annotations": {triggers.ANNOTATION: text}}
    return {"metadata": metadata, "spec": {"template": {"spec": pods}}}


def images(item: Json) -> list[str]:
    """The images of all containers with those of any tag, each told by the namespace and tag it comes from."""
    after = triggers.with_newest_images(item, TEMPLATE, lambda namespace, name: f"{namespace}/{name}")
    spec = after["spec"]["template"]["spec"]
    return [each["image"] for each in [*spec.get("initContainers", []), *spec["containers"]]]


def at(path: str, **more: object) -> Json:
    return {"from": {"kind": "ImageStreamTag", "name": "a:1"}, "fieldPath": f"spec.template.spec.{path}", **more}


@pytest.mark.parametrize(
    "given",
    [
        [trigger("a:1")],
        [trigger("here/a:1")],
        [trigger("a:1", paused=False)],
        [trigger("a:1", paused=None)],
        # Older web consoles wrote this, and it means nothing.
        [trigger("a:1", pause="true")],
        [trigger("a:1", Paused=False)],
        [at("containers[0].image")],
        [at('initContainers[?(@.name=="app")].image')],
        # Not for a pod spec of this kind: passed over.
        [trigger("a:2", of="CronJob"), trigger("a:1")],
    ],
)
def test_a_trigger_sets_the_image(given: object) -> None:
    assert images(annotated(given)) == ["here/a:1", "old"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "{",
        "{}",
        [trigger("a:1", paused=True)],
        # One value of another type, and Go reads none of it.
        [trigger("a:1"), trigger("a:1", "b", paused="false")],
        [trigger("a:1"), trigger("a:1", "b", paused="true")],
        [trigger("a:1"), {**trigger("a:1", "b"), "from": {"kind": "ImageStreamTag", "name": 1}}],
        [trigger("a:1"), "text"],
        [trigger("a:1"), trigger("a:2")],
        [trigger("a:1"), trigger("a:2", paused=True)],
        # One wrong path, and none is set.
        [trigger("a:1"), trigger("a:1", "missing")],
        [trigger("a:1"), at("containers[2].image")],
        [trigger("a:1"), at("containers[?(@.name=='b')].image")],
        [trigger("a:1"), at('containers[?(@.name == "b")].image')],
        [trigger("a:1"), at('containers[?(@.name=="b")].name')],
        [trigger("a:1"), at("containers[-1].image")],
        [trigger("a:1"), at("containers[b].image")],
        [trigger("a:1"), at("volumes[0].image")],
    ],
)
def test_an_annotation_that_sets_nothing(given: object) -> None:
    assert images(annotated(given)) == ["old", "old"]


def test_by_name_the_containers_for_initialization_come_first() -> None:
    first = [{"name": "app", "image": "old"}]
    assert images(annotated([trigger("a:1")], initContainers=first)) == ["here/a:1", "old", "old"]


# The controller


def image_of(sandbox: Sandbox, namespace: str, kind: str, name: str) -> str:
    spec = sandbox.workload(namespace, kind, name)["spec"]
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    image: str = spec["template"]["spec"]["containers"][0]["image"]
    return image


def imported(sandbox: Sandbox, namespace: str, content: str = "one", stream: str = "app") -> str:
    """Push and import a newest image; gives its digest."""
    digest = sandbox.registry.push(f"{namespace}/{stream}", "prod", content)
    source = sandbox.source(f"{namespace}/{stream}:prod")
    if not [
        each
        for each in sandbox.items(f"{IMAGE}/namespaces/{namespace}/imagestreams")
        if each["metadata"]["name"] == stream
    ]:
        sandbox.create_stream(namespace, stream, {"prod": source})
    sandbox.import_tag(namespace, stream, "prod")
    return digest


def let_it_act(sandbox: Sandbox, namespace: str) -> None:
    """Wait until the controller has acted on all that has happened by now: what comes later gets its image later."""
    name = f"witness-{uuid.uuid4().hex[:8]}"
    sandbox.create_workload(namespace, "Deployment", name, tag="app:prod", image="first")
    until(lambda: image_of(sandbox, namespace, "Deployment", name) != "first")


@pytest.mark.parametrize("kind", workload_manifests.KINDS)
def test_every_kind_follows_its_tag(sandbox: Sandbox, namespace: str, kind: str) -> None:
    sandbox.create_workload(namespace, kind, "x", tag="app:prod", image="first")
    for content in ("one", "two"):
        digest = imported(sandbox, namespace, content)
        wanted = f"{sandbox.registry_address}/{namespace}/app@{digest}"
        until(lambda wanted=wanted: image_of(sandbox, namespace, kind, "x") == wanted)  # type: ignore[misc]
    made = sandbox.create_workload(namespace, kind, "y", tag="app:prod", image="first")
    until(lambda: image_of(sandbox, namespace, kind, "y") == wanted)
    assert sandbox.workload(namespace, kind, "y")["metadata"]["generation"] == made["metadata"]["generation"] + 1


def test_the_reference_policy_is_followed(sandbox: Sandbox, namespace: str) -> None:
    digest = sandbox.registry.push(f"{namespace}/app", "prod", "one")
    source = {"kind": "DockerImage", "name": sandbox.source(f"{namespace}/app:prod")}
    tag = {"from": source, "importPolicy": {"insecure": True}, "referencePolicy": {"type": "Local"}}
    sandbox.create_stream(namespace, "app", {"prod": tag})
    sandbox.create_workload(namespace, "Deployment", "x", tag="app:prod")
    sandbox.import_tag(namespace, "app", "prod")
    wanted = f"image-registry.openshift-image-registry.svc:5000/{namespace}/app@{digest}"
    until(lambda: image_of(sandbox, namespace, "Deployment", "x") == wanted)


def test_a_tag_of_another_namespace(sandbox: Sandbox, namespace: str) -> None:
    other = sandbox.create_namespace()
    sandbox.create_workload(namespace, "Deployment", "x", tag=f"{other}/app:prod")
    digest = imported(sandbox, other)
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(digest))
    sandbox.delete(f"/api/v1/namespaces/{other}")


def test_a_tag_without_an_image_is_passed_over(sandbox: Sandbox, namespace: str) -> None:
    containers = [{"name": "app", "image": "first"}, {"name": "b", "image": "first"}]
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
    given = [trigger("missing:prod"), trigger("app:prod", "b")]
    digest = imported(sandbox, namespace)
    sandbox.create_workload(namespace, "Deployment", "x", triggers=given, spec={"template": template})
    found = until(
        lambda: [
            each
            for each in sandbox.workload(namespace, "Deployment", "x")["spec"]["template"]["spec"]["containers"]
            if each["image"].endswith(digest)
        ]
    )
    assert [each["name"] for each in found] == ["b"]


@pytest.mark.parametrize("source", [{"kind": "ImageStream"}, {"apiVersion": "image.openshift.io/v1"}])
def test_a_source_told_otherwise_counts_only_when_the_object_changes(
    sandbox: Sandbox, namespace: str, source: Json
) -> None:
    given = trigger("app:prod")
    given["from"] |= source
    old = imported(sandbox, namespace)
    sandbox.create_workload(namespace, "Deployment", "x", triggers=[given])
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(old))
    # That was a change of the object too.
    let_it_act(sandbox, namespace)
    imported(sandbox, namespace, "two")
    let_it_act(sandbox, namespace)
    assert image_of(sandbox, namespace, "Deployment", "x").endswith(old)


def test_a_trigger_that_is_let_go(sandbox: Sandbox, namespace: str) -> None:
    digest = imported(sandbox, namespace)
    sandbox.create_workload(namespace, "Deployment", "x", triggers=[trigger("app:prod", paused=True)], image="first")
    place = f"{workload_manifests.path('Deployment', namespace)}/x"
    let_it_act(sandbox, namespace)
    assert image_of(sandbox, namespace, "Deployment", "x") == "first"
    sandbox.patch(place, {"metadata": {"annotations": {triggers.ANNOTATION: json.dumps([trigger("app:prod")])}}})
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(digest))


def test_a_paused_deployment_gets_its_image(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(namespace, "Deployment", "x", tag="app:prod", spec={"paused": True})
    digest = imported(sandbox, namespace)
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(digest))
    assert sandbox.pods(namespace) == []


def test_a_tag_moved_back(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(namespace, "Deployment", "x", tag="app:prod")
    old, new = imported(sandbox, namespace), imported(sandbox, namespace, "two")
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(new))
    tag = {"name": "prod", "from": {"kind": "ImageStreamImage", "name": f"app@{old}"}}
    place = f"{IMAGE}/namespaces/{namespace}/imagestreamtags/app:prod"
    sandbox.replace(place, {"metadata": {"name": "app:prod"}, "tag": tag})
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(old))


def test_the_controller_can_be_stopped(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(namespace, "Deployment", "x", tag="app:prod", image="first")
    with sandbox.settings(trigger_controller=False):
        digest = imported(sandbox, namespace)
        # A pod that is made now is ready later than the controller would have acted.
        assert (settings := sandbox.get("/sandbox/settings"))["trigger_delay"] <= settings["pod_ready_delay"]
        sandbox.create_workload(namespace, "Deployment", "witness", image="one")
        until(lambda: sandbox.workload(namespace, "Deployment", "witness")["status"].get("readyReplicas"))
        assert image_of(sandbox, namespace, "Deployment", "x") == "first"
    until(lambda: image_of(sandbox, namespace, "Deployment", "x").endswith(digest))


def test_a_deployment_config_waits_for_all_its_tags(sandbox: Sandbox, namespace: str) -> None:
    def params(tag: str, name: str) -> Json:
        return {"automatic": True, "containerNames": [name], "from": {"kind": "ImageStreamTag", "name": tag}}

    given = [
        {"type": "ImageChange", "imageChangeParams": params("app:prod", "app")},
        {"type": "ImageChange", "imageChangeParams": params("other:prod", "b")},
    ]
    digest = imported(sandbox, namespace)
    sandbox.create_workload(namespace, "DeploymentConfig", "x", triggers=given, image="first")
    let_it_act(sandbox, namespace)
    assert image_of(sandbox, namespace, "DeploymentConfig", "x") == "first"
    assert sandbox.workload(namespace, "DeploymentConfig", "x")["status"]["latestVersion"] == 0
    imported(sandbox, namespace, stream="other")
    until(lambda: image_of(sandbox, namespace, "DeploymentConfig", "x").endswith(digest))
    found = until(lambda: sandbox.pods(namespace, "x"))
    assert found[0]["metadata"]["labels"]["deploymentconfig"] == "x"
    [first, _] = sandbox.workload(namespace, "DeploymentConfig", "x")["spec"]["triggers"]
    assert first["imageChangeParams"]["lastTriggeredImage"].endswith(digest)


# What people try instead


@pytest.fixture
def kubectl(sandbox: Sandbox, namespace: str, tmp_path: Path) -> Callable[..., str]:
    kubeconfig = str(sandbox.kubeconfig(sandbox.token, namespace))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [KUBECTL, "--kubeconfig", kubeconfig, *arguments],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert not done.returncode, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_rollout_is_undone_and_the_trigger_undoes_that(
    sandbox: Sandbox, namespace: str, kubectl: Callable[..., str], kind: str
) -> None:
    what = f"{kind.lower()}/x"
    imported(sandbox, namespace)
    sandbox.create_workload(namespace, kind, "x", tag="app:prod", image="first")
    until(lambda: image_of(sandbox, namespace, kind, "x") != "first")
    kubectl("rollout", "status", what, "--timeout=20s")
    newest = imported(sandbox, namespace, "two")
    until(lambda: image_of(sandbox, namespace, kind, "x").endswith(newest))
    kubectl("rollout", "status", what, "--timeout=20s")
    before = sandbox.workload(namespace, kind, "x")["metadata"]["generation"]

    assert "rolled back" in kubectl("rollout", "undo", what)
    until(lambda: sandbox.workload(namespace, kind, "x")["metadata"]["generation"] >= before + 2)
    assert image_of(sandbox, namespace, kind, "x").endswith(newest)
    kubectl("rollout", "status", what, "--timeout=20s")

    kubectl("set", "image", what, "app=something:else")
    until(lambda: sandbox.workload(namespace, kind, "x")["metadata"]["generation"] >= before + 4)
    assert image_of(sandbox, namespace, kind, "x").endswith(newest)


def test_undoing_brings_a_deployments_old_trigger_back(
    sandbox: Sandbox, namespace: str, kubectl: Callable[..., str]
) -> None:
    """The annotations of the old ReplicaSet come along, and with them the trigger that was not paused yet."""
    sandbox.create_workload(namespace, "Deployment", "x", tag="app:prod")
    for content in ("one", "two"):
        newest = imported(sandbox, namespace, content)
        until(lambda newest=newest: image_of(sandbox, namespace, "Deployment", "x").endswith(newest))  # type: ignore[misc]
        kubectl("rollout", "status", "deployment/x", "--timeout=20s")
    place = f"{workload_manifests.path('Deployment', namespace)}/x"
    paused = json.dumps([trigger("app:prod", paused=True)])
    before = sandbox.patch(place, {"metadata": {"annotations": {triggers.ANNOTATION: paused}}})["metadata"]
    until(lambda: sandbox.get(place)["status"].get("observedGeneration") == before["generation"])
    kubectl("rollout", "undo", "deployment/x")
    after = until(
        lambda: [each for each in [sandbox.get(place)] if each["metadata"]["generation"] == 2 + before["generation"]]
    )
    assert json.loads(after[0]["metadata"]["annotations"][triggers.ANNOTATION]) == [trigger("app:prod")]
    assert image_of(sandbox, namespace, "Deployment", "x").endswith(newest)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_rollout_is_undone_without_a_trigger(
    sandbox: Sandbox, namespace: str, kubectl: Callable[..., str], kind: str
) -> None:
    what = f"{kind.lower()}/x"
    sandbox.create_workload(namespace, kind, "x", image="one")
    kubectl("rollout", "status", what, "--timeout=20s")
    kubectl("set", "image", what, "app=two")
    kubectl("rollout", "status", what, "--timeout=20s")
    kubectl("rollout", "undo", what)
    kubectl("rollout", "status", what, "--timeout=20s")
    assert image_of(sandbox, namespace, kind, "x") == "one"
    [pod] = until(lambda: [pod for pod in sandbox.pods(namespace) if pod["spec"]["containers"][0]["image"] == "one"])
    assert pod["status"]["phase"] == "Running"
    assert len(kubectl("rollout", "history", what).strip().splitlines()) == 4


def test_a_pod_that_is_deleted_comes_back(sandbox: Sandbox, namespace: str, kubectl: Callable[..., str]) -> None:
    sandbox.create_workload(namespace, "StatefulSet", "x", image="one")
    kubectl("rollout", "status", "statefulset/x", "--timeout=20s")
    [before] = sandbox.pods(namespace)
    assert kubectl("delete", "pod", "x-0") == 'pod "x-0" deleted\n'
    [after] = until(
        lambda: [pod for pod in sandbox.pods(namespace) if pod["metadata"]["uid"] != before["metadata"]["uid"]]
    )
    assert after["metadata"]["name"] == "x-0"


def test_the_image_is_set_a_moment_later(sandbox: Sandbox, namespace: str) -> None:
    sandbox.change_settings(trigger_delay=0.5)
    sandbox.create_workload(namespace, "Deployment", "x", tag="app:prod", image="first")
    imported(sandbox, namespace)
    assert image_of(sandbox, namespace, "Deployment", "x") == "first"
    until(lambda: image_of(sandbox, namespace, "Deployment", "x") != "first")
