"""Whole runs with `--client oc`, as a person would start them: a login in a kubeconfig, and kubectl on the path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.client import Sandbox
from tests.support.place import PROGRAM, Ended, Place, ended
from tests.support.rights import GATES
from tests.support.tiers import slow

WHOLE_RUN = "every request is a process of kubectl, so that a run takes many seconds; one run gates"


VOLATILE = {"id", "started_at", "finished_at", "startup_seconds", "seconds", "imported_at"}


@pytest.fixture
def place(sandbox: Sandbox, only_kubectl: Path) -> Place:
    return Place(sandbox)


def login(place: Place, tmp_path: Path, **more: str | None) -> dict[str, str | None]:
    """What stands in a person's environment who has logged in."""
    kubeconfig = place.sandbox.kubeconfig(place.token, place.namespace)
    found = {"HOST": None, "TOKEN": None, "NAMESPACE": None, "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
    return {**found, **more}


def six_streams(place: Place) -> None:
    for name in ("new", "unchanged", "pinned"):
        # Of one digest that several have, facts may be asked for more than once.
        digest = place.imported(name, f"old {name}")
    place.push("new", "two", labels={"vcs-ref": "4d5e6f"})
    place.push("first", "three")
    place.stream("first")
    place.stream("missing")
    place.stream("pinned-too", {"prod": place.source("pinned").replace(":prod", f"@{digest}")})


def without_what_varies(place: Place, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_what_varies(place, each) for key, each in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [without_what_varies(place, each) for each in value]
    return value.replace(place.namespace, "NAMESPACE") if isinstance(value, str) else value


@slow("the contract tests of both clients gate")
def test_a_run_tells_the_same_as_by_the_api(sandbox: Sandbox, place: Place, tmp_path: Path) -> None:
    told, results = [], []
    for client in ("api", "oc"):
        at = Place(sandbox)
        six_streams(at)
        plan = at.run("plan", "--client", client, **login(at, tmp_path))
        assert (plan.status, at.current("first")) == (1, None), plan.stderr
        run = at.run("run", "--client", client, **login(at, tmp_path))
        assert run.status == 1, run.stderr
        assert f"serviceaccount:{at.namespace}:" in str(at.requests("POST", "imagestreamimports"))
        told += [[without_what_varies(at, each.report) for each in (plan, run)]]
        results += [(run.results, at.metrics()["api_requests"], at.objects("configmaps"))]
    assert told[0] == told[1]
    assert results[0] == results[1]
    assert results[1][0] == {
        "first:prod": "updated",
        "missing:prod": "failed not_found",
        "new:prod": "updated",
        "pinned:prod": "unchanged",
        "pinned-too:prod": "skipped pinned",
        "unchanged:prod": "unchanged",
    }


@slow(WHOLE_RUN)
def test_no_more_than_four_at_once(place: Place, tmp_path: Path) -> None:
    for number in range(9):
        place.push(f"app-{number}", "one")
        place.stream(f"app-{number}")
    place.import_fault(latency=0.3)
    place.sandbox.clear_log()
    done = place.run(**login(place, tmp_path, CLIENT="oc", CONCURRENCY="32"))
    assert (done.status, set(done.results.values())) == (0, {"updated"})
    log = place.sandbox.log()
    assert log["most_imports_in_flight"] == 3
    assert log["most_in_flight"] <= 4


@slow(WHOLE_RUN)
def test_host_and_token(place: Place, sandbox: Sandbox, tmp_path: Path) -> None:
    place.imported("app")
    place.push("app", "two")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    told = {"HOST": sandbox.secure_server, "CLIENT": "oc", "TMPDIR": str(temporary), "RETRIES": "0"}
    done = place.run(**told, SSL_CERT_FILE=str(sandbox.ca_file))
    assert (done.status, done.results) == (0, {"app:prod": "updated"}), done.stderr
    done = place.run(**told)
    assert done.status == 3
    assert "certificate" in done.stderr
    done = place.run(**told, INSECURE_SKIP_TLS_VERIFY="true")
    assert (done.status, done.results) == (0, {"app:prod": "unchanged"})
    assert "TLS VERIFICATION IS OFF" in done.stderr
    assert place.token not in done.stdout + done.stderr
    assert list(temporary.iterdir()) == []


def test_neither_oc_nor_kubectl(place: Place, only_kubectl: Path, tmp_path: Path) -> None:
    (only_kubectl / "kubectl").unlink()
    done = place.run(**login(place, tmp_path, CLIENT="oc"))
    line = "import-images: error: CLIENT=oc: neither oc nor kubectl is on the PATH; install oc, or leave CLIENT unset"
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == line
    assert done.stderr.count("error: ") == 1


def test_no_login(place: Place, tmp_path: Path) -> None:
    done = place.run(**login(place, tmp_path, CLIENT="oc", KUBECONFIG="/none"))
    assert (done.status, done.stdout) == (2, "")
    assert "no cluster to talk to" in done.stderr and "oc login" in done.stderr


@pytest.mark.parametrize("client", ["api", "oc"])
def test_a_certificate_that_is_not_there_is_named_and_not_tried_again(
    place: Place, tmp_path: Path, client: str
) -> None:
    config = yaml.safe_load(place.sandbox.kubeconfig(place.token, place.namespace).read_text())
    config["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1", "certificate-authority": "/none/ca.crt"}
    (tmp_path / "config").write_text(json.dumps(config))
    done = place.run("plan", **login(place, tmp_path, CLIENT=client, KUBECONFIG=str(tmp_path / "config")))
    assert done.status == 2
    line = "import-images: error: the kubeconfig names a file that does not exist: /none/ca.crt"
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.parametrize("client", ["api", "oc"])
def test_a_namespace_that_is_not_there_is_one_line(place: Place, tmp_path: Path, client: str) -> None:
    done = place.run("plan", "-n", "nowhere", **login(place, tmp_path, CLIENT=client, RETRIES="0"))
    assert done.status == 3
    [line] = [line for line in done.stderr.splitlines() if "cannot list" in line]
    assert "cannot list image streams in nowhere: imagestreams.image.openshift.io is forbidden" in line
    assert line.endswith("(grant list on imagestreams, or correct the namespace)")


@slow("an oc that hangs is waited for")
def test_an_oc_that_hangs_is_one_line(place: Place, only_kubectl: Path, tmp_path: Path) -> None:
    program = only_kubectl / "oc"
    program.write_text("#!/bin/sh\nexec sleep 300\n")
    program.chmod(0o755)
    done = place.run("plan", **login(place, tmp_path, CLIENT="oc", PATH=f"{only_kubectl}:/usr/bin:/bin"))
    assert (done.status, done.stdout) == (2, "")
    line = "import-images: error: CLIENT=oc: oc config view gave no answer within 15 s; does oc work here?"
    assert done.stderr.splitlines()[-1] == line


@slow(WHOLE_RUN)
def test_a_login_that_has_ended(place: Place, sandbox: Sandbox, tmp_path: Path) -> None:
    kubeconfig = sandbox.kubeconfig("sha256~old", place.namespace)
    done = place.run(**login(place, tmp_path, CLIENT="oc", KUBECONFIG=str(kubeconfig)))
    assert done.status == 3
    assert "Unauthorized" in done.stderr


def interrupted(place: Place, tmp_path: Path, *, all_of_them: bool) -> Ended:
    """A run that is stopped while its import is under way: it alone, or by a terminal, with what it has started."""
    process = subprocess.Popen(
        [PROGRAM, "--output", "json"],
        env=place.environment(**login(place, tmp_path, CLIENT="oc", IMPORT_TIMEOUT="2m")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        place.wait_for_import("app")
        if all_of_them:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGTERM)
        return ended(process)
    finally:
        assert [each for each in Path("/proc").glob("[0-9]*/stat") if session_of(each) == process.pid] == []


def session_of(file: Path) -> int:
    try:
        state, _, _, session = file.read_text().rpartition(")")[2].split()[:4]
    except FileNotFoundError:
        return 0
    return 0 if state == "Z" else int(session)


@slow(WHOLE_RUN)
def test_control_c_in_the_middle(place: Place, tmp_path: Path) -> None:
    old = place.imported("app")
    place.push("app", "two")
    place.import_fault("app", hang=True)
    done = interrupted(place, tmp_path, all_of_them=True)
    assert done.status == 6, done.stderr
    tag = done.tags["app:prod"]
    assert (tag["result"], tag["reason"], tag["after"]["digest"]) == ("failed", "aborted", old)
    assert done.report["run"]["outcome"] == "aborted"
    assert place.metrics()["run_outcome"][(("outcome", "aborted"),)] == 1


@slow(WHOLE_RUN)
def test_a_hanging_process_does_not_outlive_the_run(place: Place, tmp_path: Path) -> None:
    place.imported("app")
    place.import_fault("app", hang=True)
    done = interrupted(place, tmp_path, all_of_them=False)
    assert (done.status, done.results) == (6, {"app:prod": "failed aborted"})


@slow(WHOLE_RUN)
def test_a_rehearsal(sandbox: Sandbox, only_kubectl: Path, tmp_path: Path) -> None:
    place = Place(sandbox, GATES)
    place.imported("web", "old")
    sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod")
    new = place.push("web", f"{place.namespace} new")
    sandbox.image_behaves(new, "unpullable")
    settings = {"REHEARSE": "true", "ROLLOUT_TIMEOUT": "20s"}
    done = place.run("run", "--client", "oc", **login(place, tmp_path, **settings))
    assert done.results == {"web:prod": "failed unusable"}, done.stderr
    sandbox.image_behaves(new, "ready")
    done = place.run("run", "--client", "oc", **login(place, tmp_path, **settings))
    assert done.results == {"web:prod": "updated"}, done.stderr
    assert not sandbox.items(
        f"/api/v1/namespaces/{place.namespace}/pods", labelSelector="app.kubernetes.io/component=rehearsal"
    )
