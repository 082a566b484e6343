"""Whole runs with `--client oc`, as a person would start them: a login in a kubeconfig, and kubectl on the path."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import Sandbox
from tests.support.place import PROGRAM, Ended, Place, ended
from tests.support.tiers import slow

WHOLE_RUN = "every request is a process of kubectl, so that a run takes many seconds; one run gates"


VOLATILE = {"id", "started_at", "finished_at", "seconds", "imported_at"}


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
