"""How far a run is: on one line of a terminal that is overwritten, elsewhere as a log line now and then."""

from __future__ import annotations

import logging
import threading
import time
from typing import TextIO

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 15.0


class Progress:
    """Shown by several threads at a time."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._on_terminal = file.isatty()
        self._lock = threading.Lock()
        self._ended = False
        self._next = time.monotonic() + LOG_EVERY_SECONDS

    def show(self, done: int, total: int, what: str) -> None:
        """Say how many have a result; `what` names them in the plural."""
        with self._lock:
            if self._ended:
                return
            if self._on_terminal:
                self._file.write(f"\r{done}/{total} {what}\x1b[K")
                self._file.flush()
            elif time.monotonic() >= self._next:
                self._next = time.monotonic() + LOG_EVERY_SECONDS
                log.info("%d of %d %s have a result", done, total, what)

    def end(self) -> None:
        """Take the line away."""
        with self._lock:
            if self._on_terminal and not self._ended:
                self._file.write("\r\x1b[K")
                self._file.flush()
            self._ended = True
