"""Time and chance, as one object that tests can replace."""

from __future__ import annotations

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
        while (left := until - self.monotonic()) > 0 and not stopping():
            self.sleep(min(POLL_SECONDS, left))


SYSTEM = Clock()
