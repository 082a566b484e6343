"""How a run is asked to stop.

Set up before anything heavy is loaded: as a container's first process the program would otherwise ignore SIGTERM
until then.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from job.domain.exit_status import ExitStatus

# After the second signal.
LEAVE_SECONDS = 5.0
# A terminal that takes longer to print a line does not hold up the end.
PRINT_SECONDS = 0.5


class Stop:
    """Whether, and by what, the run was asked to stop.

    After the second signal the process ends as soon as `before_exit` is done, after the third at once.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.since: float | None = None
        self.at_once = False
        # What a first Ctrl-C leaves to be done or cannot prevent any more; it is printed at the terminal.
        self.what_ends = ""
        # Prints a line above what is drawn on the terminal; False where nothing is drawn, and the line not printed.
        self.print_above: Callable[[str], bool] = lambda text: False
        # Whether a first Ctrl-C is the usual end, which needs no words.
        self.is_quiet = False
        self._before_exit: list[Callable[[], None]] = []
        self._announced: threading.Thread | None = None
        self._signals = 0

    def __bool__(self) -> bool:
        return self.reason is not None

    def request(self, reason: str, *, at_once: bool = False) -> None:
        """Ask the run to stop; the first reason counts. `at_once` leaves what is under way little time."""
        self.at_once |= at_once
        if self.reason is None:
            self.since = time.monotonic()
            self.reason = reason

    def listen(self) -> None:
        """Handle SIGTERM, SIGINT and SIGHUP (unless that is ignored, as under nohup) from now on."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._received)

    @contextmanager
    def leaving(self, action: Callable[[], None], what_ends: str) -> Iterator[None]:
        """While active, the first signal prints `what_ends`, and a second one runs `action` before the exit."""
        before, self.what_ends = self.what_ends, what_ends
        self._before_exit.append(action)
        try:
            yield
        finally:
            self._before_exit.remove(action)
            self.what_ends = before

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self.request(signal.Signals(number).name)
            second = "release the lock and stop at once" if self._before_exit else "stop at once"
            self._announce(number, f"stopping: {self.what_ends}press Ctrl-C again to {second}")
        elif self._signals == 2 and self._before_exit:
            self._announce(number, "stopping at once: releasing the lock; press Ctrl-C again to leave it behind")
            threading.Thread(target=self._leave, name="leave", daemon=True).start()
        else:
            self._exit()

    def _announce(self, number: int, text: str) -> None:
        if number != signal.SIGINT or self.is_quiet or not os.isatty(2):
            return
        # Not in the signal's handler, which may have come in the middle of another line.
        self._announced = threading.Thread(target=self._print, args=(f"import-images: {text}",), daemon=True)
        self._announced.start()

    def _print(self, line: str) -> None:
        if not self.print_above(line):
            os.write(2, f"\r\x1b[K{line}\n".encode())

    def _leave(self) -> None:
        for action in list(self._before_exit):
            # A daemon, so that a request that hangs does not hold up the end.
            thread = threading.Thread(target=action, name="before exit", daemon=True)
            thread.start()
            thread.join(LEAVE_SECONDS)
        if self._announced is not None:
            self._announced.join(PRINT_SECONDS)
        self._exit()

    def _exit(self) -> None:
        if self._announced is not None:
            # The shell's prompt follows, and progress that was drawn stays.
            with suppress(OSError):
                os.write(2, b"\n")
        os._exit(ExitStatus.ABORTED)
