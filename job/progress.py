"""How far a run is: on one line of a terminal that is overwritten, elsewhere as a log line now and then."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from typing import TextIO

from job.domain.failures import clean

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 15.0


class Line:
    """One line of a terminal that is overwritten; nothing elsewhere."""

    def __init__(self, file: TextIO) -> None:
        self.is_there = file.isatty()
        self._file = file
        self._shown = False

    def show(self, text: str) -> None:
        """Show a text in place of the last one, as far as it fits; it may hold what others wrote."""
        if self.is_there:
            width = shutil.get_terminal_size().columns
            self._write(f"\r{clean(text)[: width - 1]}\x1b[K")
            self._shown = True

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except (OSError, ValueError):
            # The terminal has gone, which is no reason to end what it showed.
            self.is_there = False


class Progress:
    """Shown by several threads at a time."""

    def __init__(self, file: TextIO) -> None:
        self._line = Line(file)
        self._lock = threading.Lock()
        self._ended = False
        self._next = time.monotonic() + LOG_EVERY_SECONDS

    def show(self, done: int, total: int, what: str) -> None:
        """Say how many have a result; `what` names them in the plural."""
        with self._lock:
            if self._ended:
                return
            if self._line.is_there:
                self._line.show(f"{done}/{total} {what}")
            elif time.monotonic() >= self._next:
                self._next = time.monotonic() + LOG_EVERY_SECONDS
                log.info("%d of %d %s have a result", done, total, what)

    def end(self) -> None:
        """Take the line away."""
        with self._lock:
            self._line.clear()
            self._ended = True
