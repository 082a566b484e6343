"""Calls in a thread of their own, so that the rest does not wait for them, or not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """A call that is made once: where `begin` is called, else where its result is asked for."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        """Take the call.

        Args:
            call: whatever it raises is raised by `result`.
            name: of its thread, for debuggers.
        """
        self._call = call
        self._results: list[T] = []
        self._problems: list[BaseException] = []
        self._begun = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def begin(self, patience: float) -> bool:
        """Begin the call unless it has begun; wait for its end up to `patience` seconds; returns whether it ended."""
        if self._begun.acquire(blocking=False):
            try:
                self._thread.start()
            except RuntimeError:
                # The machine has no thread to give.
                self._work()
        return self._ended.wait(patience)

    def result(self) -> T:
        """What the call returns, however long that takes."""
        if self._begun.acquire(blocking=False):
            self._work()
        self._ended.wait()
        if self._problems:
            raise self._problems[0]
        return self._results[0]

    def _work(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as problem:  # Raised again by `result`.
            self._problems.append(problem)
        finally:
            self._ended.set()


def call_within(seconds: float, call: Callable[[], object], name: str) -> bool:
    """Make a call, but wait no longer than `seconds` for its end; returns whether it ended.

    A socket's timeout starts anew with every byte, so a server that sends one at a time holds a request for ever. A
    call that did not end is left behind in its thread, which does not keep the program from ending.

    Args:
        seconds: how long to wait.
        call: whatever it raises is raised here.
        name: of its thread, for debuggers.
    """
    background = Background(call, name)
    if not background.begin(seconds):
        return False
    background.result()
    return True
