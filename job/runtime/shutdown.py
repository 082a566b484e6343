"""How a run is told to stop.

Set up before anything heavy is loaded: as a container's first process the program would otherwise ignore SIGTERM
until then.
"""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from job.domain.exit_status import ExitStatus

_STOPPING = (
    b"\r\x1b[Kimport-images: stopping: requests under way may take 30 s to end, then the lock is released; "
    b"press Ctrl-C again to stop at once\n"
)


class Stop:
    """Whether, and by what, the run was told to stop. A second signal ends the process at once."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.since: float | None = None
        self.at_once = False
        self._signalled = False

    def __bool__(self) -> bool:
        return self.reason is not None

    def request(self, reason: str, *, at_once: bool = False) -> None:
        """Ask the run to stop; the first reason counts. `at_once` leaves what is under way little time."""
        self.at_once |= at_once
        if self.reason is None:
            self.since = time.monotonic()
            self.reason = reason

    def listen(self) -> None:
        """Handle SIGTERM, SIGINT and the end of the terminal (unless nohup had that ignored) from now on."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            os._exit(ExitStatus.ABORTED)
        self._signalled = True
        self.request(signal.Signals(number).name)
        if number == signal.SIGINT and os.isatty(2):
            # Unbuffered, since the signal may have come in the middle of another write.
            os.write(2, _STOPPING)
