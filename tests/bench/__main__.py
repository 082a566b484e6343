"""Measures the job against a loop that starts one `kubectl create` of an ImageStreamImport per stream.

Prints Markdown on stdout and what is under way on stderr. Ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench import limits, pod
from tests.bench.measuring import Cost, Failed, middle
from tests.bench.pod import Installation
from tests.bench.registry import MadeUpRegistry, made_up_registry
from tests.bench.scenes import KUBECTL, Load, Scene
from tests.sandbox.client import Sandbox, start

LATENCY = 0.3
CONCURRENCY = 64


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    streams: int = 200
    streams_of_slow_loop: int = 40
    deep: int = 10
    deep_of_loop: int = 2
    tags: int = 20
    huge: int = 10_000
    rounds: int = 3
    # So many runs fill the journal.
    runs: int = 25
    # So many measurements find a moment at which the machine does nothing else.
    runs_in_pod: int = 25
    limited: tuple[int, ...] = limits.STREAMS


QUICK = Sizes(
    streams=40,
    streams_of_slow_loop=10,
    deep=4,
    deep_of_loop=1,
    huge=400,
    rounds=1,
    runs=2,
    runs_in_pod=2,
    limited=(2,),
)


@dataclass(slots=True)
class Row:
    """One line of the table: what the same work costs the loop and the job."""

    work: str
    loop: list[Cost] = field(default_factory=list)
    job: list[Cost] = field(default_factory=list)

    @property
    def faster(self) -> float:
        return middle(self.loop).wall / middle(self.job).wall

    @property
    def less_cpu(self) -> float:
        return middle(self.loop).cpu / middle(self.job).cpu

    def cells(self) -> list[str]:
        ratios = [f"{self.faster:.1f}", f"{self.less_cpu:.1f}"] if self.loop else ["", ""]
        return [self.work, *_figures(self.loop), *_figures(self.job), *ratios]


def _figures(costs: Sequence[Cost]) -> list[str]:
    if not costs:
        return ["", "", ""]
    cost = middle(costs)
    return [f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.peak:.0f}"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached, and what was."""

    label: str
    wanted: float
    measured: float
    at_least: bool

    @property
    def reached(self) -> bool:
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def cells(self) -> list[str]:
        bound = "at least" if self.at_least else "at most"
        return [self.label, f"{bound} {self.wanted:g}", f"{self.measured:.3g}", "pass" if self.reached else "MISS"]


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One line of the second table: what much work, some of it failing, costs the job and asks of the API."""

    work: str
    load: Load

    def cells(self) -> list[str]:
        load = self.load
        return [
            self.work,
            *_figures([load.cost]),
            *map(str, (load.requests, load.retries, load.most_imports, load.most)),
        ]


@dataclass(frozen=True, slots=True)
class PodRow:
    """One line of the table of the pod."""

    work: str
    asked: pod.Asked
    # What to multiply CPU seconds with for those of the machine on which the targets were set.
    scale: float

    @property
    def scaled(self) -> float:
        return self.asked.cost.cpu * self.scale

    def cells(self) -> list[str]:
        cost = self.asked.cost
        cells = [self.work, f"{cost.wall:.2f}", f"{cost.cpu:.3f}", f"{self.scaled:.3f}", f"{cost.peak:.0f}"]
        return [*cells, *map(str, (self.asked.requests, self.asked.connections))]


@dataclass(slots=True)
class Bench:
    """All measurements, one after another."""

    sizes: Sizes
    folder: Path
    rows: list[Row] = field(default_factory=list)
    loads: list[LoadRow] = field(default_factory=list)
    pods: list[PodRow] = field(default_factory=list)
    limits: list[limits.Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def run(self) -> None:
        self.pod()
        with self._scenery() as (sandbox, make):
            sizes = self.sizes
            wide = make("wide", sizes.streams)
            deep = make("deep", sizes.deep, sizes.tags)
            alone = make("alone", 1, sizes.tags)
            singles = make("singles", -(-sizes.tags // 3))
            # What the streams have before.
            for scene in (wide, deep, alone, singles):
                scene.job()
            self._wide(wide)
            self._deep(deep)
            self._one_stream(alone, singles)
            with sandbox.settings(registry_latency=LATENCY):
                self._wide(wide, slow=True)
                self._deep(deep, slow=True)
            self._often(wide)
        with self._scenery() as (_, make):
            self._huge(make("huge", sizes.huge))
        self.load()

    def load(self) -> None:
        """Many streams, a slow registry, and failures."""
        with self._scenery() as (sandbox, make), sandbox.settings(registry_latency=LATENCY):
            scene = make("load", self.sizes.huge)
            for label in ("never imported before", "all images new"):
                work = f"{scene.streams} streams of 1 tag, {LATENCY * 1000:.0f} ms, 5 % fail, {label}"
                self._say(work)
                self.loads.append(LoadRow(work, scene.load()))
        label = f"{scene.streams} streams of which 5 % fail"
        self._at_most(f"{label}: peak memory, MiB", 110, max(row.load.cost.peak for row in self.loads))
        self._at_most(
            f"{label}: imports under way at a time", CONCURRENCY, max(row.load.most_imports for row in self.loads)
        )
        # The lock is renewed beside the imports.
        self._at_most(
            f"{label}: requests under way at a time", CONCURRENCY + 1, max(row.load.most for row in self.loads)
        )

    @contextmanager
    def _scenery(self) -> Iterator[tuple[Sandbox, partial[Scene]]]:
        """A sandbox, and what makes streams in it."""
        with made_up_registry() as registry, start("--registry", registry.address) as sandbox:
            yield sandbox, partial(Scene, sandbox, registry, self.folder)

    def pod(self) -> None:
        """The first users' eight streams, as a pod runs the job on them."""
        installed = pod.install(self.folder / "installed")
        first = pod.install_first(self.folder / "first")
        with made_up_registry() as registry, start("--registry", registry.address) as sandbox:
            scene = pod.Pod(sandbox, registry, self.folder, installed)
            first_scene = pod.Pod(sandbox, registry, self.folder, first)
            # The journal is then as it always is.
            scene.measured("run")
            first_scene.measured("run")
            costs: dict[str, list[pod.Asked]] = defaultdict(list)
            for turn in range(self.sizes.runs_in_pod):
                # In turns, since the speed of a machine may change.
                self._say(f"in the pod: turn {turn + 1} of {self.sizes.runs_in_pod}")
                costs["0.1.0: `run`"].append(first_scene.measured("run"))
                costs[f"a bare Python: `{pod.BARE}`"].append(scene.bare())
                for command in pod.COMMANDS:
                    costs[f"`{command}`"].append(scene.measured(command))
            scale = pod.FIRST_CPU / pod.least(costs["0.1.0: `run`"]).cost.cpu
            self.pods += [PodRow(work, pod.least(asked), scale) for work, asked in costs.items()]
            for command in pod.COMMANDS:
                (row,) = (row for row in self.pods if row.work == f"`{command}`")
                label = f"in the pod, `{command}`: CPU s where a run of 0.1.0 takes {pod.FIRST_CPU}"
                self._at_most(label, pod.MOST_CPU[command], row.scaled)
            peak = max(row.asked.cost.peak for row in self.pods if "0.1.0" not in row.work)
            self._at_most(f"in the pod, {pod.STREAMS} streams: peak memory, MiB", pod.MOST_MEMORY, peak)
            self._limited(sandbox, registry, installed)

    def _limited(self, sandbox: Sandbox, registry: MadeUpRegistry, installed: Installation) -> None:
        """The smallest pod, of the component `small`, against the loop in the same control group."""
        for streams in self.sizes.limited:
            self._say(f"{streams} streams with 100m of CPU")
            label = f"in the pod with 100m, {streams} streams: times faster than the loop"
            scene = pod.Pod(sandbox, registry, self.folder, installed, streams)
            scene.measured("run")
            try:
                row = limits.within(scene, streams, limits.CPUS[0])
            except OSError as problem:
                self._say(f"not measured, since there is no control group (they need root): {problem}")
                self._at_least(label, 5, 0)
                continue
            self.limits.append(row)
            self._at_least(label, 5, row.faster)

    def _wide(self, scene: Scene, *, slow: bool = False) -> None:
        measured = self.sizes.streams_of_slow_loop if slow else scene.streams
        at = f"{LATENCY * 1000:.0f} ms" if slow else "0 ms"
        scaled = f" (loop: {measured}, scaled)" if measured < scene.streams else ""
        new = self._row(f"{scene.streams} streams of 1 tag, {at}, all images new{scaled}")
        old = self._row(f"the same, no image new, {at}")
        for turn in range(self.sizes.rounds):
            self._say(f"{new.work}: round {turn + 1} of {self.sizes.rounds}")
            # What the loop costs does not depend on what is new.
            new.loop.append(scene.loop(measured))
            old.loop.append(new.loop[-1])
            new.job.append(scene.job())
            old.job.append(scene.job("unchanged"))
        label = f"{scene.streams} streams at {at}: times faster than the loop"
        if slow:
            self._at_least(label, 30, new.faster)
        else:
            self._at_least(label, 5, min(new.faster, old.faster))
            self._at_least(f"{scene.streams} streams: times less CPU", 8, min(new.less_cpu, old.less_cpu))

    def _often(self, scene: Scene) -> None:
        """The journal grows to a bound, and the job's memory with it."""
        row = self._row(f"{scene.streams} streams of 1 tag, 0 ms, all images new, after {self.sizes.runs} runs")
        self._say(row.work)
        for _ in range(self.sizes.runs):
            scene.job()
        row.job += [scene.job() for _ in range(self.sizes.rounds)]
        self._at_most(f"{scene.streams} streams: peak memory, MiB", 64, max(each.peak for each in row.job))

    def _deep(self, scene: Scene, *, slow: bool = False) -> None:
        measured = self.sizes.deep_of_loop
        at = f"{LATENCY * 1000:.0f} ms" if slow else "0 ms"
        row = self._row(
            f"{scene.streams} streams of {scene.tags} tags, {at}, all images new (loop: {measured}, once, scaled)"
        )
        self._say(row.work)
        row.loop.append(scene.loop(measured))
        row.job += [scene.job() for _ in range(self.sizes.rounds)]

    def _one_stream(self, scene: Scene, singles: Scene) -> None:
        """A stream's tags go three a request, so they should take as long as a third as many requests of one tag."""
        count = singles.streams
        row = self._row(f"1 stream of {scene.tags} tags, 0 ms (loop: {count} requests of one image)")
        other = self._row(f"{count} streams of 1 tag, 0 ms, `CONCURRENCY=1`: {count} requests of one image")
        self._say(row.work)
        for _ in range(2 * self.sizes.rounds - 1):
            row.loop.append(singles.loop(count))
            row.job.append(scene.job())
            other.job.append(singles.job(CONCURRENCY="1"))
        label = f"{scene.tags} tags of one stream: times as long as {count} requests of one image, both by the job"
        self._at_most(label, 1.5, middle(row.job).wall / middle(other.job).wall)

    def _huge(self, scene: Scene) -> None:
        peaks = []
        for label in ("never imported before", "all images new"):
            row = self._row(f"{scene.streams} streams of 1 tag, 0 ms, {label}")
            self._say(row.work)
            row.job.append(scene.job())
            peaks.append(row.job[-1].peak)
        self._at_most(f"{scene.streams} streams: peak memory, MiB", 110, max(peaks))

    def _row(self, work: str) -> Row:
        self.rows.append(Row(work))
        return self.rows[-1]

    def _at_least(self, label: str, wanted: float, measured: float) -> None:
        self.targets.append(Target(label, wanted, measured, at_least=True))

    def _at_most(self, label: str, wanted: float, measured: float) -> None:
        self.targets.append(Target(label, wanted, measured, at_least=False))

    def _say(self, label: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {label}", file=sys.stderr, flush=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:" for _ in heads[1:]]]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rule, *rows))


def _machine() -> str:
    version = json.loads(subprocess.check_output([KUBECTL, "version", "--client", "-o", "json"]))
    kubectl = version["clientVersion"]["gitVersion"]
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return (
        f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, kubectl {kubectl}, load {load:.1f}"
    )


def _notes(sizes: Sizes) -> str:
    return f"""\
Whole processes from start to end: wall seconds, CPU seconds (user and system), MiB at the peak of the largest process;
medians of {sizes.rounds}, the job and the loop in turn. The loop starts one `kubectl create --validate=false` of an
ImageStreamImport that is ready in a file per stream, with a warm discovery cache; all tags of a stream are in its one
request, whose images OpenShift slows down after the third. The job reads the streams, locks, keeps its journal,
reports, and pushes to a Pushgateway, all of which the loop does not. Registry latency is added to each image that is
fetched. The sandbox, its registry and the Pushgateway share the cores with what is measured."""


_POD_NOTES = f"""\
{pod.STREAMS} streams of 1 tag, all images new, with a Pushgateway. The job is installed as in the image, started by a
Job of the CronJob, and logged in over TLS by the files of its service account. Its Python is the distribution's where
that has the version of the bench's, since many others are built without optimizations. Wall and CPU seconds are the
least of many runs, in turns, since other work on the machine only adds to them. Scaled are the CPU seconds of the
machine on which the targets were set, where a run of 0.1.0 took {pod.FIRST_CPU}. Memory, requests to the API, and the
connections they took are the most."""


_LIMIT_NOTES = """\
With the memory and the CPU of the component `small`, in one control group after the other. For each stream the loop
does what one `oc import-image` does: it reads it and sends the import, by two calls of kubectl with a warm discovery
cache. Wall seconds of the loop are of one round, those of the job the median of three."""


_LOAD_NOTES = """\
Of the images that fail, half are gone from the registry; for the other half it answers 500, and they are tried again
four times. Requests are all that the job asked of the API; those at a time are as the sandbox counted them."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small numbers, once, for trying; nothing is judged")
    parser.add_argument("--load", action="store_true", help="only the rows with failures")
    parser.add_argument("--pod", action="store_true", help="only the rows of the pod")
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else Sizes()
    # Whoever ends this process ends what it started, by the same way as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine = _machine()
    try:
        with tempfile.TemporaryDirectory(prefix="import-images-bench-") as folder:
            bench = Bench(sizes, Path(folder))
            if options.pod:
                bench.pod()
            elif options.load:
                bench.load()
            else:
                bench.run()
    except (Failed, RuntimeError, OSError, subprocess.SubprocessError) as problem:
        print(f"the benchmark failed: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    figures = ("s", "CPU s", "MiB")
    heads = [
        "work",
        *(f"loop: {each}" for each in figures),
        *(f"job: {each}" for each in figures),
        "times faster",
        "times less CPU",
    ]
    print(f"{machine}\n")
    if bench.rows:
        print(f"{_table(heads, [row.cells() for row in bench.rows])}\n\n{_notes(sizes)}\n")
    if bench.pods:
        heads = ["command", "s", "CPU s", "CPU s, scaled", "MiB", "requests", "connections"]
        print(f"{_table(heads, [row.cells() for row in bench.pods])}\n\n{_POD_NOTES}\n")
    if bench.limits:
        print(f"{_table(limits.HEADS, [row.cells() for row in bench.limits])}\n\n{_LIMIT_NOTES}\n")
    if bench.loads:
        heads = ["work", "s", "CPU s", "MiB", "requests", "retries", "imports at once", "requests at once"]
        print(f"{_table(heads, [row.cells() for row in bench.loads])}\n\n{_LOAD_NOTES}\n")
    if options.quick:
        print("Measured with --quick, which is too little to judge by.")
        return 0
    print(_table(["target", "wanted", "measured", ""], [target.cells() for target in bench.targets]))
    return 0 if all(target.reached for target in bench.targets) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
