"""The standard streams, whatever the program was started with."""

from __future__ import annotations

import io
import os
import sys


def set_up() -> None:
    """Let nothing that is written to stdout or stderr end the program.

    A stream that the caller closed is redirected to nowhere, so that no socket gets its descriptor. A character
    that the terminal's encoding does not have is written as a question mark.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)
    # Python has no object for a stream that was closed.
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
