"""Starting other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Failed(Exception):  # noqa: N818 - a step failed
    """A program ended with an error; the text is for people."""


def run(*command: str | Path, folder: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """What a program prints.

    Raises:
        Failed: it ended with an error; the text has the end of what it printed.
    """
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr).strip()[-3000:]}")
    return done.stdout.strip()


def python(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """This Python with some arguments."""
    return run(sys.executable, *arguments, environment=environment)
