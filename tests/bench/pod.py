"""The job as its pod has it; alone: `python -m tests.bench --pod`.

Installed as in the image (nothing else in its virtual environment, bytecode that is not checked), started by a Job of
the shipped CronJob, and logged in by the files of its service account over TLS. Version 0.1.0 is measured beside it,
on which the targets were set: CPU seconds of one machine say little on another.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.measuring import Cost, Failed, measure
from tests.bench.registry import MadeUpRegistry
from tests.bench.scenes import READING_LOOP, Enter, Loop
from tests.sandbox.client import Sandbox, image
from tests.sandbox.status import Json
from tests.support import rights
from tests.support.kustomize import recorded_cron_jobs
from tests.support.paths import ROOT

COMMANDS = ("run", "plan", "status", "--help")
STREAMS = 8
# What any Python takes that talks to an API.
BARE = "import http.client, json, ssl"
# The most CPU seconds of each command, on the machine where a run of 0.1.0 took so many of them (0.34 to 0.38).
MOST_CPU = {"run": 0.20, "plan": 0.13, "status": 0.16, "--help": 0.05}
FIRST_CPU = 0.34
FIRST = "736b910"
# The most MiB of all of them.
MOST_MEMORY = 40
# A distribution's interpreter is built with all optimizations, as that of the image; one that was compiled on the
# machine often is not, which takes a third more. The packages are those of the own interpreter, hence the version.
_DISTRIBUTION = Path("/usr/bin/python3")
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_START = "#!{python}\nimport sys\n{more}from job.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
# 0.1.0 logged in by the kubernetes package, which it loaded anyway.
_FIRST_LOGIN = """\
from kubernetes.config import incluster_config as login
login.SERVICE_TOKEN_FILENAME = {account!r} + "/token"
login.SERVICE_CERT_FILENAME = {account!r} + "/ca.crt"
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A program of its own, which reads its service account from another folder than a pod's."""

    program: Path
    account: Path


def interpreter() -> str:
    """The Python that the job is measured with."""
    code = "import sys, venv; print(sys.version_info[:2] == tuple(map(int, sys.argv[1:])))"
    version = [str(number) for number in sys.version_info[:2]]
    if _DISTRIBUTION.exists():
        asked = subprocess.run([_DISTRIBUTION, "-c", code, *version], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == "True":
            return str(_DISTRIBUTION)
    return sys.executable


def source_of(commit: str, folder: Path) -> Path:
    """The sources of another version, out of the history of this one.

    Raises:
        Failed: the history has no such commit, as in a clone with `--depth`.
    """
    # In a container the checkout may be another user's.
    command = ["git", "-c", f"safe.directory={ROOT}", "archive", commit, "job"]
    packed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if packed.returncode != 0:
        raise Failed(f"commit {commit} is not in this clone (git fetch --unshallow): {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def install(folder: Path) -> Installation:
    """Install the job as the image does."""
    return _install(folder, ROOT, "cluster/login.py", "")


def install_first(folder: Path) -> Installation:
    """Install version 0.1.0 likewise."""
    source = source_of(FIRST, folder / "source")
    return _install(folder, source, "clusters/api.py", _FIRST_LOGIN.format(account=str(folder / "account")))


def _install(folder: Path, source: Path, login_module: str, more: str) -> Installation:
    python, account, program = (folder / name for name in ("bin/python", "account", "bin/import-images"))
    subprocess.run([interpreter(), "-m", "venv", "--without-pip", folder], check=True)
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    shutil.copytree(source / "job", site / "job", ignore=shutil.ignore_patterns("__pycache__"))
    login = site / "job" / login_module
    text = login.read_text(encoding="utf-8")
    if text.count(_ACCOUNT) != 1:
        raise Failed(f"{login.name} does not name {_ACCOUNT} once")
    account.mkdir()
    login.write_text(text.replace(_ACCOUNT, str(account)), encoding="utf-8")
    # Without the start-up files that the tools of development bring along.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    unchecked = ["--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, "-m", "compileall", "-q", *unchecked, site], check=True)
    program.write_text(_START.format(python=python, more=more), encoding="utf-8")
    program.chmod(0o755)
    return Installation(program, account)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command cost, how often it asked the API, and by how many connections."""

    cost: Cost
    requests: int
    connections: int


def least(asked: Sequence[Asked]) -> Asked:
    """The least of each figure but memory: other work on the machine only adds to CPU time."""
    costs = [each.cost for each in asked]
    cost = Cost(min(each.wall for each in costs), min(each.cpu for each in costs), max(each.peak for each in costs))
    # More connections are needed where more answers are waited for at a time.
    return Asked(cost, max(each.requests for each in asked), max(each.connections for each in asked))


class Pod:
    """A namespace with streams, in which the CronJob has just started a Job."""

    def __init__(
        self, sandbox: Sandbox, registry: MadeUpRegistry, folder: Path, installed: Installation, streams: int = STREAMS
    ) -> None:
        self._sandbox, self._registry, self._folder, self._installed = sandbox, registry, folder, installed
        self.namespace = sandbox.create_namespace()
        self._streams = streams
        names = [f"app-{number:05}" for number in range(streams)]
        sources = {name: f"{registry.address}/{self.namespace}/{name}:prod" for name in names}
        for name, source in sources.items():
            sandbox.create_stream(self.namespace, name, {"prod": source})
        token = self._log_in()
        images = {name: [image(source, "prod")] for name, source in sources.items()}
        self._loop = Loop(sandbox, folder, self.namespace, token, images)
        self._job = self._started_job()

    def bare(self) -> Asked:
        """What a Python takes that only loads the libraries of an API's client."""
        python = self._installed.program.with_name("python")
        return Asked(measure([python, "-I", "-c", BARE], self.environment(), self._folder)[0], 0, 0)

    def loop(self, enter: Enter = None) -> Cost:
        """What a bash job does: for one stream after another read it, and import it; every image is new."""
        self._registry.change()
        return self._loop.measured(READING_LOOP, enter=enter)

    def measured(self, command: str, enter: Enter = None) -> Asked:
        """Run a command; every image is new to it.

        Raises:
            Failed: it ended badly, or not every tag has the result that a new image has.
        """
        self._registry.change()
        self._sandbox.clear_log()
        cost, output = measure([self._installed.program, command], self.environment(), self._folder, enter=enter)
        if command in ("run", "plan"):
            results = Counter(tag["result"] for tag in json.loads(output)["tags"])
            if results != {"updated": self._streams}:
                raise Failed(f"the results of {command} are {dict(results)}")
        requests = self._sandbox.requests(user=f"^system:serviceaccount:{self.namespace}:")
        return Asked(cost, len(requests), len({request["connection"] for request in requests}))

    def _log_in(self) -> str:
        token = self._sandbox.create_account(self.namespace, "import-images", rights.RUN)
        authority = self._sandbox.ca_file.read_text(encoding="utf-8")
        for name, text in (("token", token), ("namespace", self.namespace), ("ca.crt", authority)):
            (self._installed.account / name).write_text(text, encoding="utf-8")
        return token

    def _started_job(self) -> str:
        """A Job as the controller of CronJobs makes it, whose pods the sandbox leaves to us."""
        batch = f"/apis/batch/v1/namespaces/{self.namespace}"
        cron_job = self._sandbox.create(f"{batch}/cronjobs", recorded_cron_jobs()["prod"])
        owner = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": cron_job["metadata"]["name"],
            "uid": cron_job["metadata"]["uid"],
            "controller": True,
        }
        metadata: Json = {
            "name": f"{owner['name']}-29395320",
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-11-24T02:00:00Z"},
            "ownerReferences": [owner],
        }
        spec = cron_job["spec"]["jobTemplate"]["spec"]
        return str(self._sandbox.create(f"{batch}/jobs", {"metadata": metadata, "spec": spec})["metadata"]["name"])

    def environment(self) -> dict[str, str]:
        """What the container is given."""
        address = urlsplit(self._sandbox.secure_server)
        return {
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            "POD_NAME": f"{self._job}-abcde",
            "POD_NAMESPACE": self.namespace,
            "JOB_NAME": self._job,
            "DEPLOYMENT": "prod",
            "PUSHGATEWAY_ADDRESS": self._sandbox.pushgateway,
            "PYTHONDONTWRITEBYTECODE": "1",
            # As in the image, whose PATH has few programs: croniter starts `file` where there is one.
            "PATH": str(self._installed.program.parent),
        }
