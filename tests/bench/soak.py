"""Many runs in a row leak nothing: `python -m tests.bench.soak`, as `make soak` does.

First every run is a process of its own, as in a cluster: what it leaves in the namespace, on the Pushgateway and on the
disk must stay bounded, and its memory the same. Then all runs are made in one process, where memory, open files and
threads that are not given back would add up.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from job.journal.encoding import MOST_BYTES
from tests.bench.measuring import measure
from tests.bench.registry import MadeUpRegistry, made_up_registry
from tests.bench.scenes import JOB
from tests.sandbox.client import Refused, Sandbox, start
from tests.support import rights

STREAMS = 21
RUNS = 500
NAMESPACE = "soak"
# MiB, from the second quarter of what is measured to the last: the journal fills up to its bound, and what Python gives
# back differs a little from run to run.
ALLOWANCE = 6.0
# Each run changes every image, so each has an Event for every tag and one of its own where there is a CronJob.
EVENTS_A_RUN = STREAMS + 1
# The same job, run so many times by one process; prints what it has after each run.
LOOP = """
import contextlib, gc, io, json, os, sys, threading
from pathlib import Path
from job.cli import main

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()):
        status = main(["--output", "json"])
    # A run ends with all that is left frozen, since its process ends.
    gc.unfreeze()
    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    found = {"status": status, "memory": resident(), "files": files, "threads": threading.active_count()}
    print(json.dumps(found), flush=True)
"""


@dataclass(slots=True)
class Series:
    """One figure, after each run."""

    name: str
    most: float | None = None
    values: list[float] = field(default_factory=list)

    @property
    def grew(self) -> float:
        """How much more it is in the last quarter than in the second, by their largest."""
        quarter = max(1, len(self.values) // 4)
        return max(self.values[-quarter:]) - max(self.values[quarter : 2 * quarter] or self.values[:1])

    def problem(self, allowed: float) -> str | None:
        if self.most is not None and max(self.values) > self.most:
            return f"{self.name}: {max(self.values):g}, at most {self.most:g} wanted"
        if self.most is None and self.grew > allowed:
            return f"{self.name}: grew by {self.grew:.1f}, from {self.values[0]:.1f} to {self.values[-1]:.1f}"
        return None

    def cells(self) -> list[str]:
        bound = f"at most {self.most:g}" if self.most is not None else "as in the middle"
        values = (self.values[0], self.values[len(self.values) // 2], self.values[-1], max(self.values))
        return [self.name, *(f"{value:.1f}".removesuffix(".0") for value in values), bound]


class Soak:
    """A namespace in which the job runs again and again."""

    def __init__(self, sandbox: Sandbox, registry: MadeUpRegistry, folder: Path) -> None:
        self._sandbox = sandbox
        self._registry = registry
        self._folder = folder
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        sandbox.create_namespace(NAMESPACE)
        token = sandbox.create_account(NAMESPACE, "import-images", rights.RUN)
        for number in range(STREAMS):
            name = f"app-{number:02}"
            sandbox.create_stream(NAMESPACE, name, {"prod": f"{registry.address}/{NAMESPACE}/{name}:prod"})
        # One that fails in every run.
        self._registry.failing = True
        self.environment = {
            "HOST": sandbox.server,
            "TOKEN": token,
            "NAMESPACE": NAMESPACE,
            "DEPLOYMENT": "prod",
            "PUSHGATEWAY_ADDRESS": sandbox.pushgateway,
            "RETRIES": "0",
            "TMPDIR": str(self._temporary),
            "HOME": str(folder),
        }

    def processes(self, runs: int) -> list[Series]:
        """So many runs, each a process."""
        peak, journal = Series("peak of a run's memory, MiB"), Series("journal, bytes", MOST_BYTES)
        groups, leases = Series("Pushgateway groups", 1), Series("Leases", 1)
        maps, events = Series("ConfigMaps", 1), Series("Events of a run", EVENTS_A_RUN)
        series, files = Series("series of the group"), Series("temporary files", 0)
        for number in range(runs):
            self._registry.change()
            cost, output = measure([JOB, "--output", "json"], self.environment, self._folder, status=1)
            if len(json.loads(output)["tags"]) != STREAMS:
                raise RuntimeError(f"run {number + 1} has not every tag")
            peak.values.append(cost.peak)
            found = self._items("/api/v1", "configmaps")
            maps.values.append(len(found))
            journal.values.append(max(map(_size, found)))
            leases.values.append(len(self._items("/apis/coordination.k8s.io/v1", "leases")))
            events.values.append(self._events())
            held = self._groups()
            groups.values.append(len(held))
            families = [family for group in held for family in group.values() if isinstance(family, dict)]
            series.values.append(sum(len(family.get("metrics", ())) for family in families))
            files.values.append(sum(1 for _ in self._temporary.rglob("*")))
            _say(f"run {number + 1} of {runs}", number)
        return [peak, journal, maps, leases, events, groups, series, files]

    def one_process(self, runs: int) -> list[Series]:
        """So many runs in one process."""
        memory, files, threads = Series("memory between runs, MiB"), Series("open files"), Series("threads")
        # Else the allocator gives each run's new threads memory of their own, and that grows for hundreds of runs.
        kept = {"PATH": os.environ["PATH"], "MALLOC_ARENA_MAX": "1", **self.environment}
        process = subprocess.Popen(
            [sys.executable, "-c", LOOP],
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for number in range(runs):
                self._registry.change()
                process.stdin.write("\n")
                process.stdin.flush()
                told = json.loads(process.stdout.readline())
                if told["status"] != 1:
                    raise RuntimeError(f"run {number + 1} ended with {told['status']}")
                memory.values.append(told["memory"])
                files.values.append(told["files"])
                threads.values.append(told["threads"])
                _say(f"run {number + 1} of {runs} in one process", number)
        finally:
            process.kill()
            process.communicate()
        return [memory, files, threads]

    def _items(self, root: str, plural: str) -> list[Any]:
        try:
            return self._sandbox.items(f"{root}/namespaces/{NAMESPACE}/{plural}", limit="500")
        except Refused as refused:
            raise RuntimeError(str(refused)) from refused

    def _events(self) -> int:
        """How many Events there are; they go, as a cluster removes them in time."""
        found = self._items("/api/v1", "events")
        for each in found:
            self._sandbox.delete(f"/api/v1/namespaces/{NAMESPACE}/events/{each['metadata']['name']}")
        return len(found)

    def _groups(self) -> list[Any]:
        with urllib.request.urlopen(f"{self._sandbox.pushgateway}/api/v1/metrics", timeout=30) as answer:
            found = json.load(answer)["data"]
        assert isinstance(found, list)
        return found


def soak(runs: int) -> tuple[list[Series], list[str]]:
    """What was measured, and what leaked."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="import-images-soak-")))
        registry = stack.enter_context(made_up_registry())
        sandbox = stack.enter_context(start("--no-pacing", "--registry", registry.address))
        made = Soak(sandbox, registry, folder)
        found = [*made.processes(runs), *made.one_process(runs)]
    allowed = {"peak of a run's memory, MiB": ALLOWANCE, "memory between runs, MiB": ALLOWANCE}
    return found, [problem for each in found if (problem := each.problem(allowed.get(each.name, 0.0)))]


def _size(config_map: Any) -> int:
    texts = [len(text.encode()) for text in (config_map.get("data") or {}).values()]
    return sum(texts) + sum(len(base64.b64decode(text)) for text in (config_map.get("binaryData") or {}).values())


def _say(told: str, number: int) -> None:
    if number % 25 == 0:
        print(f"{time.strftime('%H:%M:%S')} {told}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Print what was measured; 1 if something leaked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many, of each kind (default {RUNS})")
    runs = parser.parse_args(arguments).runs
    found, problems = soak(runs)
    print(f"{runs} runs of {STREAMS} streams, each a process, and {runs} in one process\n")
    print("| after each run | first | middle | last | most | wanted |\n| --- | ---: | ---: | ---: | ---: | --- |")
    for each in found:
        print("| " + " | ".join(each.cells()) + " |")
    for problem in problems:
        print(f"LEAK: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
