"""The container image: built for real, on a Debian base, without a network, and run as a pod would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from job import VERSION
from tests.integration.image import base, building, layouts, sizes
from tests.integration.image.pod import Pod
from tests.integration.image.store import Store, default_folder
from tests.sandbox.client import Sandbox, start
from tests.support.kustomize import Built, build
from tests.support.paths import ROOT

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]

SITE = "opt/import-images/lib/python3.*/site-packages"
# Every module of the program, as the image has it.
IMPORT_ALL = """
import importlib, pkgutil, job
for module in pkgutil.walk_packages(job.__path__, "job."):
    if module.name != "job.__main__":
        importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def store() -> Store:
    assert os.geteuid() == 0, "building the image's base and running it as a pod would need root"
    return Store(default_folder())


@pytest.fixture(scope="module")
def image(store: Store, tmp_path_factory: pytest.TempPathFactory) -> str:
    started = time.monotonic()
    base.provide(store)
    built_base = time.monotonic()
    name = building.build(store, tmp_path_factory.mktemp("context"))
    print(f"base: {built_base - started:.1f} s, image: {time.monotonic() - built_base:.1f} s")
    return name


@pytest.fixture(scope="module")
def root(store: Store, image: str) -> Iterator[Path]:
    with store.mounted(image) as folder:
        yield folder


@pytest.fixture(scope="module")
def pod(store: Store, image: str, root: Path) -> Pod:
    return Pod(root, store.config(image))


def test_the_image_says_what_it_is(store: Store, image: str) -> None:
    config = store.config(image)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    show = ["git", "show", "--no-patch", "--format=%H %ct", "HEAD"]
    commit, epoch = subprocess.run(show, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert labels["title"] == "import-images"
    assert labels["licenses"] == "MIT"
    assert labels["version"] == VERSION
    assert labels["revision"].removesuffix("-dirty") == commit
    assert datetime.fromisoformat(labels["created"]).timestamp() == int(epoch)
    assert "@" not in labels["source"]
    assert config["User"] == "1001"
    assert config["Entrypoint"] == ["import-images"]
    assert not config.get("Cmd")


def test_the_image_without_its_base(store: Store, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with store.mounted(base.IMAGE) as base_root:
        found = sizes.measure(root, base_root)
    with capsys.disabled():
        print(f"\n{found}")
    assert found.unpacked < 60e6
    assert not list(root.glob("opt/import-images/bin/pip*"))
    assert not list(root.glob(f"{SITE}/setuptools*"))
    assert not (root / "src").exists()
    assert not (root / "build").exists()


def test_a_new_version_is_a_small_layer_on_the_packages(store: Store, image: str) -> None:
    *_, packages, job = store.layers(image)
    layouts.check_split(packages, job)


def test_everything_is_compiled_and_never_checked_again(root: Path) -> None:
    sources = list(root.glob(f"{SITE}/job/**/*.py"))
    assert sources
    for source in sources:
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        # Magic number, then flags: 1 is "hash-based", 2 "to be checked".
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00"


def test_it_tells_its_version_and_its_help(pod: Pod) -> None:
    version = pod.run("--version")
    assert (version.returncode, version.stdout, version.stderr) == (0, f"import-images {VERSION}\n", "")
    overview = pod.run("--help")
    assert (overview.returncode, overview.stderr) == (0, "")
    assert "usage: import-images" in overview.stdout


def test_all_of_the_program_can_be_loaded(pod: Pod) -> None:
    loaded = pod.execute("/opt/import-images/bin/python", "-c", IMPORT_ALL)
    assert (loaded.returncode, loaded.stderr) == (0, "")


def test_nothing_can_be_written(pod: Pod) -> None:
    tried = pod.execute("/opt/import-images/bin/python", "-c", "open('/tmp/x', 'w')")
    assert "Read-only file system" in tried.stderr


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start() as found:
        yield found


def test_a_scheduled_run_with_the_shipped_manifests(pod: Pod, sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    for name in ("service", "worker"):
        sandbox.registry.push(f"team/{name}", "prod", name)
        sandbox.create_stream(namespace, name, {"prod": sandbox.source(f"team/{name}:prod")})
    built = build("prod")
    job = scheduled_job(sandbox, namespace, built)
    ran = pod.run(
        environment={
            **built.environment,
            # As the kubelet sets it in every pod; HOST beats it.
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
            "HOST": sandbox.server,
            "TOKEN": sandbox.create_token(namespace, "import-images"),
            "PUSHGATEWAY_ADDRESS": sandbox.pushgateway,
            "POD_NAME": f"{job}-abcde",
            "POD_NAMESPACE": namespace,
            "JOB_NAME": job,
            "NAMESPACE": namespace,
        }
    )
    assert ran.returncode == 0, ran.stderr
    assert not re.search("warning|error", ran.stderr, re.IGNORECASE), ran.stderr
    report = json.loads(ran.stdout)
    assert report["run"]["trigger"] == "scheduled"
    assert {tag["stream"]: tag["result"] for tag in report["tags"]} == {"service": "updated", "worker": "updated"}
    assert "2 updated" in pod.message
    core = f"/api/v1/namespaces/{namespace}"
    assert sandbox.get(f"{core}/configmaps/import-images-journal")
    assert len(sandbox.items(f"{core}/events")) == 3
    with urllib.request.urlopen(f"{sandbox.pushgateway}/metrics") as answer:
        assert f'stream_namespace="{namespace}"' in answer.read().decode()


def test_a_kubeconfig_needs_nothing_that_the_image_leaves_out(pod: Pod, root: Path, sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    sandbox.registry.push("team/service", "prod", "service")
    sandbox.create_stream(namespace, "service", {"prod": sandbox.source("team/service:prod")})
    file = root / "kubeconfig"
    # Certificates in the file itself would be written to a temporary one, for which this container has no folder.
    config = yaml.safe_load(sandbox.kubeconfig(sandbox.token, namespace).read_text())
    config["clusters"][0]["cluster"] = {"server": sandbox.server}
    file.write_text(yaml.safe_dump(config))
    file.chmod(0o644)
    ran = pod.run("plan", "--output", "json", environment={"KUBECONFIG": "/kubeconfig"})
    assert ran.returncode == 0, ran.stderr
    assert [tag["stream"] for tag in json.loads(ran.stdout)["tags"]] == ["service"]


def scheduled_job(sandbox: Sandbox, namespace: str, built: Built) -> str:
    """Apply what the sandbox knows of the manifests, and make a Job as the CronJob controller does; gives its name."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    batch = f"/apis/batch/v1/namespaces/{namespace}"
    sandbox.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", built.one("ServiceAccount"))
    sandbox.create(f"{rbac}/roles", built.one("Role"))
    sandbox.create(f"{rbac}/rolebindings", built.one("RoleBinding"))
    owner = sandbox.create(f"{batch}/cronjobs", built.one("CronJob"))
    metadata = {
        "name": f"{owner['metadata']['name']}-29395320",
        "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-11-24T02:00:00Z"},
        "ownerReferences": [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ],
    }
    return str(sandbox.create(f"{batch}/jobs", {"metadata": metadata, "spec": built.job})["metadata"]["name"])
