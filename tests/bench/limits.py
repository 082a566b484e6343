"""The job and the loop within the limits of a pod: `python -m tests.bench.limits`, as root.

They run in a control group of their own, of version 2 or 1, whichever the machine has, on streams whose images are all
new: with the CPU of the shipped manifests, with other limits, and with none. Ends with 1 when one of them fails.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import Cost, Failed, middle
from tests.bench.pod import Pod, install
from tests.bench.registry import made_up_registry
from tests.sandbox.client import start

STREAMS = (8, 50)
# In cores; None for no limit.
CPUS: tuple[float | None, ...] = (0.1, 0.5, None)
MEMORY = 80 * 2**20
PERIOD = 100_000
ROUNDS = 3
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    """A control group: the files to join it by, and the one that tells its peak of memory in bytes."""

    joins: tuple[Path, ...]
    peak: Path

    def enter(self) -> None:
        """Move this process into it."""
        for file in self.joins:
            file.write_text(str(os.getpid()))


@contextmanager
def limited(cpu: float | None = 0.1) -> Iterator[Group]:
    """A control group with the memory of the pod and so many cores, or as many as there are.

    Raises:
        OSError: the machine does not let us make one.
    """
    name = f"import-images-{os.getpid()}"
    quota = None if cpu is None else round(cpu * PERIOD)
    if (CGROUPS / "cgroup.controllers").exists():
        with suppress(OSError):
            # A container's own groups may not have them yet.
            (CGROUPS / "cgroup.subtree_control").write_text("+cpu +memory")
        folder = CGROUPS / name
        folder.mkdir()
        if quota:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
        (folder / "memory.max").write_text(str(MEMORY))
        folders = [folder]
        found = Group((folder / "cgroup.procs",), folder / "memory.peak")
    else:
        memory, processor = (CGROUPS / controller / name for controller in ("memory", "cpu"))
        folders = [memory, *([processor] if quota else ())]
        for folder in folders:
            folder.mkdir()
        if quota:
            (processor / "cpu.cfs_period_us").write_text(str(PERIOD))
            (processor / "cpu.cfs_quota_us").write_text(str(quota))
        (memory / "memory.limit_in_bytes").write_text(str(MEMORY))
        joins = tuple(folder / "cgroup.procs" for folder in folders)
        found = Group(joins, memory / "memory.max_usage_in_bytes")
    try:
        yield found
    finally:
        for folder in folders:
            folder.rmdir()


HEADS = ("streams", "CPU limit", "loop: s", "job: s", "loop: CPU s", "job: CPU s", "job: MiB", "times faster")


@dataclass(frozen=True, slots=True)
class Row:
    """What the loop and the job took within a limit of CPU; MiB are those of the job's control group."""

    streams: int
    cpu: float | None
    loop: Cost
    job: Cost
    peak: float

    @property
    def faster(self) -> float:
        return self.loop.wall / self.job.wall

    def cells(self) -> list[str]:
        cells = [str(self.streams), "none" if self.cpu is None else f"{self.cpu * 1000:.0f}m"]
        cells += [f"{self.loop.wall:.1f}", f"{self.job.wall:.2f}", f"{self.loop.cpu:.2f}", f"{self.job.cpu:.2f}"]
        return [*cells, f"{self.peak:.0f}", f"{self.faster:.1f}"]


def within(pod: Pod, streams: int, cpu: float | None) -> Row:
    """Measure both: the loop, of many equal steps, once, and the job in the middle of a few runs.

    Raises:
        Failed: one of them ended badly.
        OSError: the machine does not let us make a control group.
    """
    with limited(cpu) as group:
        loop = pod.loop(group.enter)
    with limited(cpu) as group:
        job = middle([pod.measured("run", group.enter).cost for _ in range(ROUNDS)])
        peak = int(group.peak.read_text()) / 2**20
    return Row(streams, cpu, loop, job, peak)


def main() -> int:
    """Measure, and print what was found."""
    print(f"| {' | '.join(HEADS)} |\n|{' ---: |' * len(HEADS)}")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="import-images-limits-") as name,
            made_up_registry() as registry,
            start("--registry", registry.address) as sandbox,
        ):
            folder = Path(name)
            installed = install(folder / "installed")
            for streams in STREAMS:
                pod = Pod(sandbox, registry, folder, installed, streams)
                # The journal is then as it always is.
                pod.measured("run")
                for cpu in CPUS:
                    print(f"| {' | '.join(within(pod, streams, cpu).cells())} |", flush=True)
    except (Failed, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
