"""Calls that another party could make last for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable


def call_within(seconds: float, call: Callable[[], object], name: str) -> bool:
    """Make a call, but wait no longer than `seconds` for its end; returns whether it ended.

    A socket's timeout starts anew with every byte, so a server that sends one at a time holds a request for ever. A
    call that did not end is left behind in its thread, which does not keep the program from ending.

    Args:
        seconds: how long to wait.
        call: whatever it raises is raised here.
        name: of its thread, for debuggers.
    """
    problems: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as problem:  # Raised again below, in the caller's thread.
            problems.append(problem)

    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The machine has no thread to give.
        call()
        return True
    thread.join(seconds)
    if problems:
        raise problems[0]
    return not thread.is_alive()
