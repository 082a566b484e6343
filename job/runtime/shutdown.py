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
from contextlib import contextmanager
from types import FrameType

from job.domain.exit_status import ExitStatus

# After the second signal.
LEAVE_SECONDS = 5.0


class Stop:
    """Whether, and by what, the run was asked to stop.

    After the second signal the process ends as soon as `before_exit` is done, after the third at once.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.since: float | None = None
        self.at_once = False
        # What a first Ctrl-C leaves to be done; it is printed at the terminal.
        self.what_ends = ""
        # Whether something else on the terminal shows the notice.
        self.is_notice_shown_elsewhere: Callable[[], bool] = lambda: False
        # Whether a first Ctrl-C is the usual end, which needs no words.
        self.is_quiet = False
        self._before_exit: list[Callable[[], None]] = []
        self._notice: str | None = None
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
        """While active, the first signal prints what is pending, and a second one runs `action` before the exit."""
        before, self.what_ends = self.what_ends, what_ends
        self._before_exit.append(action)
        try:
            yield
        finally:
            self._before_exit.remove(action)
            self.what_ends = before

    def take_notice(self) -> str | None:
        """What is still to be shown at the terminal, once."""
        notice, self._notice = self._notice, None
        return notice

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
            os._exit(ExitStatus.ABORTED)

    def _announce(self, number: int, text: str) -> None:
        if number != signal.SIGINT or self.is_quiet or not os.isatty(2):
            return
        if self.is_notice_shown_elsewhere():
            self._notice = f"import-images: {text}"
        else:
            # Unbuffered, since the signal may have come in the middle of another write.
            os.write(2, f"\r\x1b[Kimport-images: {text}\n".encode())

    def _leave(self) -> None:
        for action in list(self._before_exit):
            # A daemon, so that a request that hangs does not hold up the end.
            thread = threading.Thread(target=action, name="before exit", daemon=True)
            thread.start()
            thread.join(LEAVE_SECONDS)
        os._exit(ExitStatus.ABORTED)
