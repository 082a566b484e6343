"""What a process costs from its start to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_SPAWN = Path(__file__).with_name("spawn.py")
_PATIENCE = 900


class Failed(Exception):  # noqa: N818 - says what did not work
    """A command that is measured did not do what it should."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds from start to end, CPU seconds, and MiB of the largest process at its largest."""

    wall: float
    cpu: float
    peak: float

    def times(self, factor: float) -> Cost:
        """The cost of so many times as much work."""
        return Cost(self.wall * factor, self.cpu * factor, self.peak)


def middle(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(median(getattr(each, name) for each in costs) for name in Cost.__slots__))


def measure(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path,
    *,
    status: int = 0,
    enter: Callable[[], None] | None = None,
) -> tuple[Cost, str]:
    """Run a command that must end with a status; gives its cost, and what it wrote to stdout.

    With `enter` it runs in the control group that this joins.

    Raises:
        Failed: it ended otherwise.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    output, errors = folder / "stdout", folder / "stderr"
    # A session of its own, so that all of it can be ended.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", _SPAWN, output, errors, *command],
        env={**kept, "HOME": str(folder), **environment},
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=enter,
    )
    try:
        told = json.loads(process.communicate(timeout=_PATIENCE)[0])
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if (found := told.pop("status")) != status:
        said = errors.read_text(errors="replace")[-2000:]
        raise Failed(f"{' '.join(map(str, command[:6]))} ... ended with {found}: {said}")
    return Cost(**told), output.read_text()
