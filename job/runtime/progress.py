"""What is under way, and how long it will take: on a terminal a line with details below it, elsewhere log lines.

The line is rich's. It is loaded by the thread that draws, once something takes longer than a moment, so that a pod and
a quick command never load it. Log lines are printed above the line (`above`), never into it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from job.domain.records import dataclass, field
from job.domain.text import clean

if TYPE_CHECKING:
    from job.runtime.progress_line import ProgressLine
    from job.runtime.shutdown import Stop

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 15.0
# What is quicker than this is not worth a line.
MOMENT_SECONDS = 0.3
DRAW_SECONDS = 0.2
MOST_DETAILS = 8


@dataclass(slots=True)
class Work:
    """What is shown of the work under way.

    Attributes:
        title: what is done.
        begun: the monotonic time since when.
        limit: after how many seconds it ends at the latest; None where that is not known.
        done: how many have a result.
        total: of how many; None where nothing is counted.
        what: names what is counted, in the plural.
        details: more lines, by what each is about.
    """

    title: str
    begun: float = field(default_factory=time.monotonic)
    limit: float | None = None
    done: int = 0
    total: int | None = None
    what: str = ""
    details: dict[str, str] = field(default_factory=dict)


class Progress(Protocol):
    """Gets what is under way; called from several threads."""

    def begin(self, title: str, limit: float | None = None) -> None:
        """Something else is done from now on, for `limit` seconds at the most; counts and details start anew."""

    def show(self, done: int, total: int, what: str) -> None:
        """Say how many have a result; `what` names them in the plural."""

    def detail(self, subject: str, text: str | None) -> None:
        """Set the detail of one subject; None removes it."""

    def pause(self) -> None:
        """Show nothing until something else begins: the terminal is used for a question or a table."""


class Silent:
    """Shows nothing."""

    def begin(self, title: str, limit: float | None = None) -> None:
        """See `Progress`."""

    def show(self, done: int, total: int, what: str) -> None:
        """See `Progress`."""

    def detail(self, subject: str, text: str | None) -> None:
        """See `Progress`."""

    def pause(self) -> None:
        """See `Progress`."""


SILENT = Silent()


class TerminalProgress:
    """The progress of a command, on a file that is a terminal or not."""

    def __init__(self, file: TextIO, stop: Stop | None = None) -> None:
        # A terminal without cursor movement gets log lines, and one whose user wants quiet gets nothing.
        self._is_terminal = file.isatty() and os.environ.get("TERM") != "dumb" and log.isEnabledFor(logging.INFO)
        self._file = file
        self._lock = threading.RLock()
        self._work: Work | None = None
        self._line: ProgressLine | None = None
        self._ended = threading.Event()
        self._next_log = time.monotonic() + LOG_EVERY_SECONDS
        if self._is_terminal:
            # A stop is false until it is requested.
            if stop is not None:
                stop.print_above = above
            _displays.append(self)
            threading.Thread(target=self._draw_until_end, name="progress", daemon=True).start()

    @property
    def is_terminal(self) -> bool:
        """Whether it draws; elsewhere it logs."""
        return self._is_terminal

    @property
    def is_live(self) -> bool:
        """Whether a line is on the terminal now."""
        return self._line is not None

    def begin(self, title: str, limit: float | None = None, since: float | None = None) -> None:
        """See `Progress`; `since` is a monotonic time other than now."""
        with self._lock:
            self._work = Work(clean(title), time.monotonic() if since is None else since, limit)

    def show(self, done: int, total: int, what: str) -> None:
        """See `Progress`."""
        with self._lock:
            if self._work is None:
                self._work = Work("")
            self._work.done, self._work.total, self._work.what = done, total, what
            if not self._is_terminal and not self._ended.is_set() and time.monotonic() >= self._next_log:
                self._next_log = time.monotonic() + LOG_EVERY_SECONDS
                log.info("%d of %d %s have a result", done, total, what)

    def detail(self, subject: str, text: str | None) -> None:
        """See `Progress`."""
        with self._lock:
            if self._work is None:
                return
            if text is None:
                self._work.details.pop(subject, None)
            else:
                self._work.details[subject] = clean(text)

    def pause(self) -> None:
        """See `Progress`."""
        with self._lock:
            self._work = None
            self._take_away()

    def end(self) -> None:
        """Show nothing more."""
        with self._lock:
            self._ended.set()
            self._work = None
            self._take_away()
            if self in _displays:
                _displays.remove(self)

    def print_above(self, text: str) -> bool:
        """Print a text above the line; False where no line is shown, and the text not printed."""
        with self._lock:
            return self._line is not None and self._attempt(lambda line: line.print_above(text))

    def _draw_until_end(self) -> None:
        self._ended.wait(MOMENT_SECONDS)
        while not self._ended.is_set():
            with self._lock:
                self._draw()
            self._ended.wait(DRAW_SECONDS)

    def _draw(self) -> None:
        work = self._work
        if work is None or self._ended.is_set() or time.monotonic() - work.begun < MOMENT_SECONDS:
            return
        if self._line is None:
            from job.runtime.progress_line import ProgressLine

            self._line = ProgressLine(self._file)
        self._attempt(lambda line: line.draw(work))

    def _take_away(self) -> None:
        if self._line is not None:
            self._attempt(lambda line: line.close())
            self._line = None

    def _attempt(self, use: Callable[[ProgressLine], None]) -> bool:
        """Use the line; False where the terminal is gone; the work that it showed goes on."""
        try:
            if self._line is not None:
                use(self._line)
        except (OSError, ValueError):
            self._line = None
            self._ended.set()
            return False
        return True


# Those of this process that draw on a terminal; at most one, but in tests.
_displays: list[TerminalProgress] = []


def above(text: str) -> bool:
    """Print a line above the progress that is shown; False where none is, and the line not printed."""
    return any(display.print_above(text) for display in list(_displays))


def is_shown() -> bool:
    """Whether progress is on the terminal now."""
    return any(display.is_live for display in list(_displays))
