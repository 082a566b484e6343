"""A program on a terminal of its own: what it shows, and what a person types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.place import PATIENCE, started

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Conversation:
    """The terminal of a running program."""

    def __init__(self, process: subprocess.Popen[str], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.output = ""
        self._seen = 0

    def until(self, text: str) -> str:
        """Wait until a text is shown after what was waited for before; returns what was shown up to it."""
        end = time.monotonic() + PATIENCE
        while (found := self.output.find(text, self._seen)) < 0 and time.monotonic() < end and self._read():
            pass
        assert found >= 0 or text in self.output[self._seen :], f"{text!r} not in:\n{self.output[self._seen :]}"
        start, self._seen = self._seen, self.output.find(text, self._seen) + len(text)
        return self.output[start : self._seen]

    def type(self, text: str) -> None:
        """Type a text; the character ETX is Ctrl-C."""
        os.write(self._terminal, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end of the program; returns its exit status and what it showed since the last wait."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._read():
            pass
        return self.process.wait(PATIENCE), self.output[self._seen :]

    def _read(self) -> bool:
        """Read what is there, for at most a moment; False at the end of the program."""
        if not select.select([self._terminal], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._terminal, 65536)
        except OSError:
            # Linux reports the end of a terminal's programs as an error.
            return False
        self.output += _ESCAPES.sub("", data.decode(errors="replace"))
        return bool(data)


@contextmanager
def conversation(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, columns: int = 100
) -> Iterator[Conversation]:
    """Run a program on a terminal that is so many columns wide."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    files = {"stdin": secondary, "stdout": secondary, "stderr": secondary}
    options = {"start_new_session": True, "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)}
    try:
        with started(list(command), {"TERM": "xterm", **environment}, cwd=folder, **files, **options) as process:
            os.close(secondary)
            yield Conversation(process, primary)
    finally:
        os.close(primary)
