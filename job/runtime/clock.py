"""Time and chance, as one object that tests can replace."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from job.domain.records import dataclass

# How soon a wait notices that the program is to stop.
POLL_SECONDS = 0.2


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the program reads the time, waits, and takes its chances.

    Attributes:
        monotonic: seconds that only ever grow; for durations and deadlines.
        now: the time of day, in UTC; for what people read.
        sleep: waits that many seconds.
        chance: a random number in [0, 1), which spreads retries.
    """

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def pause(self, seconds: float, stopping: Callable[[], bool]) -> None:
        """Wait, but no longer than until `stopping` is true."""
        until = self.monotonic() + seconds
        while (remaining := until - self.monotonic()) > 0 and not stopping():
            self.sleep(min(POLL_SECONDS, remaining))


SYSTEM = Clock()
# What is older did not just start: its clock was changed, or it is not the program's own process.
_OLDEST_START = 3600.0


def process_age() -> float:
    """Seconds since the kernel started this process; 0 where that is not known.

    Source: `starttime` in /proc/self/stat, see proc_pid_stat(5), to a hundredth of a second.
    """
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib is slow to load
            # The second field is the program's name, which may hold anything.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return age if 0 <= age < _OLDEST_START else 0.0
