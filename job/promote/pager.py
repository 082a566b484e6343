"""Shows a long text in the user's pager."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile

from job.promote.git import pager_command

# Everything but line breaks and tabs: a commit may contain anything.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_COLORS = {"+": "32", "-": "31", "@": "36", "*": "1"}
MAX_CHARACTERS = 8 * 1024 * 1024


def sanitized(text: str) -> str:
    """The text with a visible mark for each control character."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_CHARACTERS])


def page(text: str) -> None:
    """Show a text in the pager, and wait for its end."""
    colored = "\n".join(_colored(line) for line in sanitized(text).splitlines())
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    with tempfile.TemporaryFile() as file:
        file.write(colored.encode("utf-8", "replace") + b"\n")
        file.seek(0)
        # As git does: the pager may be a command with arguments. It is the user's, never a repository's.
        with contextlib.suppress(OSError):
            subprocess.run(["sh", "-c", pager_command()], stdin=file, env=environment, check=False)  # noqa: S603, S607


def _colored(line: str) -> str:
    color = _COLORS.get(line[:1])
    return f"\x1b[{color}m{line}\x1b[m" if color and "NO_COLOR" not in os.environ else line
