"""Questions to the person at the terminal."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import Protocol

from job.domain.errors import StoppedError


class Person(Protocol):
    """Who decides."""

    def ask(self, question: str) -> str:
        """The answer to a question: one line, without spaces around it."""


class Terminal:
    """The person at the terminal; Ctrl-C ends a question at once, and the end of the input means no.

    `told` is what is said of a stop at a question.
    """

    def __init__(
        self, stopping: Callable[[], bool], told: str = "stopped at a question: nothing more was done"
    ) -> None:
        self._stopping = stopping
        self._told = told

    def ask(self, question: str) -> str:
        """The answer.

        Raises:
            StoppedError: the program was told to stop meanwhile.
        """
        sys.stderr.write(question)
        sys.stderr.flush()
        # A signal interrupts no read, so that none is begun before there is something to read.
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            if self._stopping():
                sys.stderr.write("\n")
                raise StoppedError(self._told)
        try:
            line = sys.stdin.readline()
        except OSError:
            # The terminal has gone.
            line = ""
        if not line:
            sys.stderr.write("\n")
            return "n"
        return line.strip()


def is_there() -> bool:
    """Whether there is somebody to ask. There is no stdin at all where whoever started us closed it."""
    return sys.stdin is not None and sys.stdin.isatty()


def agreed(answer: str) -> bool:
    """Whether an answer is a yes."""
    return answer.lower() in ("y", "yes")
