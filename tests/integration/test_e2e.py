"""`python -m tests.e2e`, which `make e2e` starts, against a sandbox that is another process, by its kubeconfig."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sandbox.client import Sandbox, start
from tests.support.paths import ROOT
from tests.support.tiers import slow


def suite(sandbox: Sandbox | None, token: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("E2E_", "PYTEST_"))}
    if sandbox:
        given |= {
            "KUBECONFIG": str(sandbox.kubeconfig(token)),
            "E2E_REGISTRY": sandbox.registry_address,
            "E2E_REGISTRY_INSECURE": "true",
            "E2E_PODS": "false",
            "E2E_STABLE": "1s",
        }
    command = [sys.executable, "-m", "tests.e2e", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**given, **more}, capture_output=True, text=True, timeout=110, check=False
    )


def test_all_that_is_missing_is_said_at_once() -> None:
    done = suite(None, "", E2E_PUSHGATEWAY="gateway:9091")
    assert done.returncode == 2
    lines = [line.strip().partition(":")[0] for line in done.stderr.splitlines()]
    expected = ["make e2e cannot start", "E2E_REGISTRY", "E2E_IMAGE", "E2E_PUSHGATEWAY and E2E_PUSHGATEWAY_LOCAL"]
    assert lines == expected


@slow("tests/e2e itself gates on the sandbox; this one starts it as a user does, with fewer rights")
@pytest.mark.parametrize("administrator", [True, False])
def test_as_administrator_and_as_developer(administrator: bool) -> None:
    with start("--no-pacing", "--no-pushgateway") as sandbox:
        token = sandbox.token
        if not administrator:
            token = sandbox.create_account("default", "developer")
            subject = {"kind": "ServiceAccount", "name": "developer", "namespace": "default"}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "self-provisioner"}
            body = {"metadata": {"name": "developers"}, "roleRef": role, "subjects": [subject]}
            sandbox.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)
        before = {each["metadata"]["name"] for each in sandbox.items("/api/v1/namespaces")}
        done = suite(sandbox, token, "-q", "-k", "fleet or report or termination or evicted or waves")
        assert done.returncode == 0, done.stdout + done.stderr
        left_out = 3 if administrator else 4
        assert f"scenes: {5 - left_out} ran, {left_out} left out" in done.stdout
        assert "1 left out: needs the job in pods" in done.stdout
        assert "1 left out: needs workloads whose pods run" in done.stdout
        assert "1 left out: needs a Pushgateway" in done.stdout
        assert ("1 left out: needs the right to create clusterroles" in done.stdout) is not administrator
        assert {each["metadata"]["name"] for each in sandbox.items("/api/v1/namespaces")} == before
