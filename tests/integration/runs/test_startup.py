"""Which packages a run loads, and when: start-up is most of what a run costs in a pod with 100m of CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.place import PROGRAM, Place
from tests.support.pods import make_cron_job, scheduled

# Modules of the standard library that take long, and that no run needs whose settings come from the environment.
DEAR = {
    "argparse",
    "dataclasses",
    "encodings.idna",
    "http.server",
    "inspect",
    "pathlib",
    "shutil",
    "subprocess",
    "urllib.request",
    "zoneinfo",
}

# Prints the packages from outside the standard library that are loaded at the first request and at the end.
WATCHED_RUN = """
import json, sys

def loaded():
    # CPython's own build data has a name of its own on each platform.
    names = {name.partition(".")[0] for name in list(sys.modules) if not name.startswith("_sysconfigdata")}
    return sorted(names - set(sys.stdlib_module_names) - {"__main__", "job"} - BEFORE)

def is_request(frame):
    module = frame.f_globals.get("__name__")
    return frame.f_code.co_name == "request" and module in ("job.runtime.http", "job.cluster.kubeconfig")

BEFORE = {name.partition(".")[0] for name in sys.modules}
seen = {}

def watch(frame, event, argument):
    # The first call of this function is the first request.
    if event == "call" and is_request(frame) and "first request" not in seen:
        seen["first request"] = loaded()
        sys.setprofile(None)
        import threading
        threading.setprofile(None)
    return None

import threading
threading.setprofile(watch)
sys.setprofile(watch)
from job.cli import main
try:
    seen["status"] = main(sys.argv[1:])
except SystemExit as ended:
    seen["status"] = ended.code
sys.setprofile(None)
seen["end"] = loaded()
print(json.dumps(seen), file=sys.stderr)
"""


def watched(place: Place, *arguments: str, **environment: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_RUN, *arguments],
        env={**place.environment(), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(done.stderr.splitlines()[-1])
    assert not found.pop("status"), done.stderr
    return found


def test_help_loads_no_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_RUN, "run", "--help"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stderr.splitlines()[-1])["end"] == []


@pytest.mark.parametrize("command", ["run", "plan"])
def test_until_the_first_request_only_what_it_needs_is_loaded(place: Place, command: str) -> None:
    place.push("worker", "one")
    place.stream("worker")
    found = watched(place, command, "--output", "json", PUSHGATEWAY_ADDRESS="")
    assert found["first request"] == []
    assert found["end"] == []


def test_a_gateway_brings_its_libraries_after_the_first_request(place: Place) -> None:
    place.push("worker", "one")
    place.stream("worker")
    found = watched(place, "run", "--output", "json")
    assert found["first request"] == []
    # A first push also reads the gateway, since the journal knows nothing yet.
    assert set(found["end"]) - {"ijson"} == {"prometheus_client"}


def test_a_schedule_brings_the_calendar_after_the_first_request(place: Place) -> None:
    place.imported("worker")
    found = watched(place, "run", "--output", "json", **scheduled(place, make_cron_job(place)))
    assert found["first request"] == []
    assert {"croniter", "dateutil", "prometheus_client"} <= set(found["end"])
    assert not {"kubernetes", "urllib3"} & set(found["end"])


def test_a_kubeconfig_brings_the_kubernetes_package(place: Place) -> None:
    place.push("worker", "one")
    place.stream("worker")
    config = place.sandbox.kubeconfig(place.sandbox.token, place.namespace)
    found = watched(place, "plan", "--output", "json", HOST="", TOKEN="", KUBECONFIG=str(config))
    assert "kubernetes" in found["first request"]


@pytest.mark.parametrize("command", ["run", "plan", "status"])
def test_a_command_without_flags_loads_no_dear_module(place: Place, command: str) -> None:
    place.imported("worker")
    # In a pod the result is JSON. The first push of a namespace reads the gateway, which takes more.
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "PUSHGATEWAY_ADDRESS": ""}
    environment = {**place.environment(**pod), "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([PROGRAM, command], env=environment, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "job.cluster.api" in loaded
    assert sorted(loaded & DEAR) == []
