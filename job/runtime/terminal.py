"""The person at the terminal: a line that is shown, and questions that are asked."""

from __future__ import annotations

import contextlib
import select
import shutil
import sys
from collections.abc import Callable
from typing import Protocol, TextIO

from job.domain.errors import StoppedError
from job.domain.text import clean


class Line:
    """One line of a terminal that is written once, in place of the last one; nothing elsewhere.

    Only for programs that may ask for a login at the same terminal, as git does: the progress of `job.runtime.progress`
    is drawn again and again, and would be drawn over their question.
    """

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
            # The terminal is gone; the work that it showed goes on.
            self.is_there = False


class Person(Protocol):
    """Who decides."""

    def ask(self, question: str) -> str:
        """The answer to a question: one line, without spaces around it."""


class Terminal:
    """The person at the terminal; Ctrl-C ends a question at once, and the end of the input means no.

    `stopped_message` is the message of a stop at a question.
    """

    def __init__(
        self, stopping: Callable[[], bool], stopped_message: str = "stopped at a question: nothing more was done"
    ) -> None:
        self._stopping = stopping
        self._stopped_message = stopped_message

    def ask(self, question: str) -> str:
        """The answer.

        Raises:
            StoppedError: the program was asked to stop first.
        """
        _discard_typed_ahead()
        sys.stderr.write(question)
        sys.stderr.flush()
        # A signal interrupts no read, so that none is begun before there is something to read.
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            if self._stopping():
                sys.stderr.write("\n")
                raise StoppedError(self._stopped_message)
        try:
            line = sys.stdin.readline()
        except OSError:
            # The terminal has gone.
            line = ""
        if not line:
            sys.stderr.write("\n")
            return "n"
        return line.strip()


def _discard_typed_ahead() -> None:
    """Drop what was typed before a question was shown: it was not meant as its answer."""
    import termios

    # Input that is not a terminal has no such queue.
    with contextlib.suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def is_there() -> bool:
    """Whether a person can be asked. There is no stdin at all where the caller closed it."""
    return sys.stdin is not None and sys.stdin.isatty()


def agreed(answer: str) -> bool:
    """Whether an answer is a yes."""
    return answer.lower() in ("y", "yes")
