"""The README's way into the cluster, word for word, in a namespace that has no job yet."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from job import VERSION
from tests.e2e import documents
from tests.sandbox.client import start, until
from tests.support.paths import MANIFESTS, ROOT
from tests.support.place import PROGRAM

IMAGE = f"registry.example.com/team/import-images:{VERSION}"
NAMESPACE = "packit-prod"


def commands(heading: str) -> str:
    """The first block of commands below a heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, mark, section = text.partition(f"\n### {heading}\n")
    assert mark, heading
    block = re.search(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block, heading
    return block[1]


def test_the_job_is_installed_and_runs_once_by_hand(tmp_path: Path) -> None:
    programs, checkout = tmp_path / "programs", tmp_path / "checkout"
    programs.mkdir()
    (programs / "oc").symlink_to(PROGRAM.with_name("kubectl"))
    shutil.copytree(MANIFESTS, checkout / "manifests")
    with start("--no-pacing", "--no-pushgateway", "--set", f'job_image="{IMAGE}"') as sandbox:
        sandbox.create_namespace(NAMESPACE)
        digest = sandbox.registry.push("team/worker", "prod", "one")
        sandbox.create_stream(NAMESPACE, "worker", {"prod": sandbox.source("team/worker:prod")})
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "KUBECONFIG": str(sandbox.admin_kubeconfig),
        }
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", commands("The job")],
            cwd=checkout, env=environment, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        made = set(re.findall(r"^([a-z]+)\S*/import-images\S* created$", done.stdout, re.MULTILINE))
        assert made == {"serviceaccount", "role", "rolebinding", "cronjob", "networkpolicy", "job"}
        # The log that the last command follows is the run's.
        report = json.loads(documents.split(done.stdout)[0])
        assert report["kind"] == "Report"
        (tag,) = report["tags"]
        assert (tag["result"], tag["after"]["digest"]) == ("updated", digest)
        job = until(lambda: _ended(sandbox.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/import-images-1")))
        assert job["status"]["succeeded"] == 1


def _ended(job: dict[str, object]) -> dict[str, dict[str, object]] | None:
    status = job["status"]
    assert isinstance(status, dict)
    return {"status": status} if status.get("conditions") else None
