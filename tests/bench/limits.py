"""The job within the limits of its pod, 100m of CPU and 80Mi of memory: `python -m tests.bench.limits`, as root.

It runs in a control group of its own, of version 2 or 1, whichever the machine has, on 50 streams whose images are all
new. Ends with 1 when the job does, or when it takes longer than the grace that the manifests give it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.client import start
from tests.support.place import PROGRAM, Place

STREAMS = 50
MEMORY = 80 * 2**20
PERIOD, QUOTA = 100_000, 10_000
CGROUPS = Path("/sys/fs/cgroup")
# What a Job has before its deadline of 30 minutes; a run of 50 streams should never come near it.
PATIENCE = 600.0


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
def limited(*, cpu: bool = True) -> Iterator[Group]:
    """A control group with the limits of the pod, or with that of its memory alone.

    Raises:
        OSError: the machine does not let us make one.
    """
    name = f"import-images-{os.getpid()}"
    if (CGROUPS / "cgroup.controllers").exists():
        folder = CGROUPS / name
        folder.mkdir()
        if cpu:
            (folder / "cpu.max").write_text(f"{QUOTA} {PERIOD}")
        (folder / "memory.max").write_text(str(MEMORY))
        folders = [folder]
        found = Group((folder / "cgroup.procs",), folder / "memory.peak")
    else:
        memory, processor = (CGROUPS / controller / name for controller in ("memory", "cpu"))
        folders = [memory, *([processor] if cpu else ())]
        for folder in folders:
            folder.mkdir()
        if cpu:
            (processor / "cpu.cfs_period_us").write_text(str(PERIOD))
            (processor / "cpu.cfs_quota_us").write_text(str(QUOTA))
        (memory / "memory.limit_in_bytes").write_text(str(MEMORY))
        joins = tuple(folder / "cgroup.procs" for folder in folders)
        found = Group(joins, memory / "memory.max_usage_in_bytes")
    try:
        yield found
    finally:
        for folder in folders:
            folder.rmdir()


def main() -> int:
    """Measure, and print what was found."""
    with start() as sandbox, limited() as group:
        place = Place(sandbox)
        for turn in ("never imported before", "all images new"):
            for number in range(STREAMS):
                place.push(f"app-{number}", f"{number} {turn}")
                if turn == "never imported before":
                    place.stream(f"app-{number}")
            begun = time.monotonic()
            done = subprocess.run(
                [PROGRAM, "--output", "json"],
                env=place.environment(),
                preexec_fn=group.enter,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            seconds, peak = time.monotonic() - begun, int(group.peak.read_text()) / 2**20
            print(
                f"{STREAMS} streams, {turn}: status {done.returncode}, {seconds:.0f} s with 100m of CPU, "
                f"{peak:.0f} MiB at most of 80"
            )
            if done.returncode:
                print(done.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
