"""kubectl on the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.client import IMAGE, Sandbox, rule
from tests.sandbox.status import Json

pytest_plugins = ["tests.sandbox.fixtures"]
KUBECTL = Path(sys.executable).with_name("kubectl")

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(sandbox: Sandbox, namespace: str, tmp_path: Path) -> Kubectl:
    return kubectl_with(sandbox.kubeconfig(sandbox.token, namespace), tmp_path)


def kubectl_with(kubeconfig: Path, home: Path) -> Kubectl:
    def run(*arguments: str, stdin: object = None) -> str:
        done = subprocess.run(
            [KUBECTL, "--kubeconfig", str(kubeconfig), *arguments],
            input=None if stdin is None else json.dumps(stdin),
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    return run


def stream(name: str = "app", source: str = "quay.io/team/app:prod", **tag: object) -> Json:
    tags = [{"name": "prod", "from": {"kind": "DockerImage", "name": source}, **tag}]
    head = {"apiVersion": "image.openshift.io/v1", "kind": "ImageStream"}
    return {**head, "metadata": {"name": name}, "spec": {"tags": tags}}


def test_create_get_and_delete(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("create", "-f", "-", stdin=stream()) == "imagestream.image.openshift.io/app created\n"
    lines = kubectl("get", "imagestreams", "-A").splitlines()
    assert lines[0].split() == ["NAMESPACE", "NAME", "AGE"]
    assert [namespace, "app"] in [line.split()[:2] for line in lines]
    found = json.loads(kubectl("get", "is", "app", "-o", "json"))
    assert (found["kind"], found["metadata"]["generation"]) == ("ImageStream", 1)
    listed = json.loads(kubectl("get", "is", "-o", "json", "-l", "nothing"))
    assert listed["items"] == []
    assert kubectl("delete", "is", "app") == 'imagestream.image.openshift.io "app" deleted\n'
    with pytest.raises(RuntimeError, match=r'\(NotFound\): imagestreams.image.openshift.io "app" not found'):
        kubectl("get", "is", "app")


def test_replace_with_and_without_the_right_version(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=stream())
    found = json.loads(kubectl("get", "is", "app", "-o", "json"))
    found["metadata"]["labels"] = {"a": "b"}
    assert "replaced" in kubectl("replace", "-f", "-", stdin=found)
    with pytest.raises(RuntimeError, match=r"\(Conflict\).*the object has been modified"):
        kubectl("replace", "-f", "-", stdin=found)


def test_apply_keeps_annotations_of_a_tag(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=stream())
    note = [{"op": "add", "path": "/spec/tags/0/annotations", "value": {"note": "x"}}]
    kubectl("patch", "is", "app", "--type=json", "-p", json.dumps(note))
    for arguments, source in (
        ([], "quay.io/team/app:b"),
        (["--server-side", "--force-conflicts"], "quay.io/team/app:c"),
    ):
        kubectl("apply", *arguments, "-f", "-", stdin=stream(source=source))
        [tag] = json.loads(kubectl("get", "is", "app", "-o", "json"))["spec"]["tags"]
        assert tag["from"]["name"] == source
        assert tag["annotations"] == {"note": "x"}


def test_applying_tells_who_applied(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=stream("client"))
    found = json.loads(kubectl("get", "is", "client", "-o", "json", "--show-managed-fields"))["metadata"]
    assert "kubectl.kubernetes.io/last-applied-configuration" in found["annotations"]
    assert "managedFields" not in found
    kubectl("apply", "--server-side", "-f", "-", stdin=stream("server"))
    found = json.loads(kubectl("get", "is", "server", "-o", "json", "--show-managed-fields"))["metadata"]
    [entry] = found["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("kubectl", "Apply")
    assert 'k:{"name":"prod"}' in entry["fieldsV1"]["f:spec"]["f:tags"]


def test_patch(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=stream())
    for kind in ("merge", "strategic"):
        kubectl("patch", "is", "app", f"--type={kind}", "-p", json.dumps({"metadata": {"labels": {kind: "yes"}}}))
    kubectl("label", "is", "app", "more=yes")
    labels = json.loads(kubectl("get", "is", "app", "-o", "json"))["metadata"]["labels"]
    assert labels == {"merge": "yes", "strategic": "yes", "more": "yes"}


def test_an_import_and_its_tag(kubectl: Kubectl, sandbox: Sandbox, namespace: str) -> None:
    digest = sandbox.registry.push(f"{namespace}/app", "prod", "one")
    source = {"kind": "DockerImage", "name": sandbox.source(f"{namespace}/app:prod")}
    body = {
        "apiVersion": "image.openshift.io/v1",
        "kind": "ImageStreamImport",
        "metadata": {"name": "app"},
        "spec": {"import": True, "images": [{"from": source, "importPolicy": {"insecure": True}}]},
    }
    answer = json.loads(kubectl("create", "-o", "json", "-f", "-", stdin=body))
    assert answer["status"]["images"][0]["image"]["metadata"]["name"] == digest
    assert kubectl("get", "istag", "-o", "name") == "imagestreamtag.image.openshift.io/app:prod\n"
    tag = json.loads(kubectl("get", "istag", "app:prod", "-o", "json"))
    tag["metadata"]["annotations"] = {"note": "x"}
    tag["tag"]["annotations"] = {"note": "x"}
    kubectl("replace", "-f", "-", stdin=tag)
    [spec] = sandbox.stream(namespace, "app")["spec"]["tags"]
    assert spec["annotations"] == {"note": "x"}


def test_a_watch(kubectl: Kubectl, sandbox: Sandbox, namespace: str, tmp_path: Path) -> None:
    kubeconfig = sandbox.kubeconfig(sandbox.token, namespace)
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "get", "is", "-w", "-o", "name"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HOME": str(tmp_path)}
    ) as watch:
        assert watch.stdout
        for name in ("a", "b"):
            sandbox.create_stream(namespace, name)
            assert watch.stdout.readline() == f"imagestream.image.openshift.io/{name}\n"
        watch.terminate()


def test_namespaces(kubectl: Kubectl, namespace: str) -> None:
    name = f"{namespace}-more"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    assert kubectl("delete", "namespace", name) == f'namespace "{name}" deleted\n'


def test_a_token_and_what_it_allows(kubectl: Kubectl, sandbox: Sandbox, namespace: str, tmp_path: Path) -> None:
    kubectl("create", "serviceaccount", "worker")
    sandbox.grant(namespace, "worker", [rule("image.openshift.io", ["imagestreams"], ["list"])])
    token = kubectl("create", "token", "worker", "--duration=10m").strip()
    worker = kubectl_with(sandbox.kubeconfig(token, namespace), tmp_path)
    assert "No resources found" not in worker("get", "is", "-o", "name")
    assert worker("auth", "can-i", "list", "imagestreams.image.openshift.io") == "yes\n"
    with pytest.raises(RuntimeError, match=r"\(Forbidden\)"):
        worker("get", "configmaps")
    account = f"system:serviceaccount:{namespace}:worker"
    assert account in worker("auth", "whoami")
    assert kubectl("auth", "can-i", "list", "imagestreams.image.openshift.io", "--as", account) == "yes\n"


def test_a_job_of_a_cron_job(kubectl: Kubectl, sandbox: Sandbox, namespace: str) -> None:
    kubectl("create", "cronjob", "nightly", "--image=busybox", "--schedule=0 2 * * 2", "--", "/bin/true", "now")
    kubectl("create", "job", "--from=cronjob/nightly", "by-hand")
    cron_job = sandbox.get(f"/apis/batch/v1/namespaces/{namespace}/cronjobs/nightly")
    job = sandbox.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/by-hand")
    assert job["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("CronJob", cron_job["metadata"]["uid"], True)
    # The server adds the labels by which the Job's pods are found.
    uid = job["metadata"]["uid"]
    assert job["spec"].pop("selector") == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert job["spec"]["template"]["metadata"].pop("labels")["batch.kubernetes.io/job-name"] == "by-hand"
    wanted = cron_job["spec"]["jobTemplate"]["spec"]
    wanted["template"].setdefault("metadata", {}).pop("labels", None)
    assert job["spec"] == wanted
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/bin/true", "now"]


def test_typed_objects_are_read_whole(kubectl: Kubectl, sandbox: Sandbox, namespace: str) -> None:
    """These come as protobuf."""
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=3", "--port=80")
    spec = sandbox.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")["spec"]
    assert spec["replicas"] == 3
    assert spec["selector"] == {"matchLabels": {"app": "web"}}
    [container] = spec["template"]["spec"]["containers"]
    assert (container["image"], container["ports"]) == ("nginx:1", [{"containerPort": 80}])

    kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    assert sandbox.get(f"/api/v1/namespaces/{namespace}/secrets/s")["data"] == {"a": "Yg=="}
    kubectl("create", "configmap", "c", "--from-literal=a=b")
    assert sandbox.get(f"/api/v1/namespaces/{namespace}/configmaps/c")["data"] == {"a": "b"}
    kubectl("create", "role", "r", "--verb=get,list", "--resource=pods", "--resource-name=x")
    role = sandbox.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/r")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"], "verbs": ["get", "list"]}
    ]


def test_dry_runs(kubectl: Kubectl, sandbox: Sandbox, namespace: str) -> None:
    kubectl("create", "--dry-run=server", "-f", "-", stdin=stream())
    assert sandbox.get(f"{IMAGE}/namespaces/{namespace}/imagestreams")["items"] == []
