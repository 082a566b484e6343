"""Questions to the person at the terminal."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import Protocol

from job.errors import StoppedError


class Person(Protocol):
    """Who decides."""

    def ask(self, question: str) -> str:
        """The answer to a question: one line, without spaces around it."""


class Terminal:
    """The person at the terminal; Ctrl-C ends a question at once, and the end of the input means no."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping

    def ask(self, question: str) -> str:
        """The answer.

        Raises:
            StoppedError: the program was told to stop meanwhile.
        """
        sys.stderr.write(question)
        sys.stderr.flush()
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            if self._stopping():
                sys.stderr.write("\n")
                raise StoppedError("stopped at a question: nothing more was done")
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            return "n"
        return line.strip()


def is_there() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def agreed(answer: str) -> bool:
    """Whether an answer is a yes."""
    return answer.lower() in ("y", "yes")
