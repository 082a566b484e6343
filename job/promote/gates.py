"""Gates between repositories: a program decides whether a moved repository is ready for what comes after it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from job.domain.errors import ImportImagesError, StoppedError
from job.domain.text import clean
from job.promote.config import Gate

# The exit status for "not yet": EX_TEMPFAIL of sysexits.h.
NOT_YET = 75
_POLL_SECONDS = 0.2
_TAIL_BYTES = 16 * 1024


class NotReadyError(ImportImagesError):
    """A gate refused, or did not pass in time; the message has the program's last line."""


def wait_until_ready(
    gate: Gate,
    folder: Path,
    variables: Mapping[str, str],
    is_stopping: Callable[[], bool],
    progress: Callable[[str], object],
) -> None:
    """Run a gate's program until it passes.

    Args:
        gate: the program, and how often and how long it is tried.
        folder: where it is started.
        variables: added to its environment.
        is_stopping: whether the command was asked to stop.
        progress: gets the program's last line, a few times a second.

    Raises:
        NotReadyError: it refused, could not be started, or did not pass in time.
        StoppedError: the command was asked to stop.
    """
    started = time.monotonic()
    environment = {**os.environ, **variables}
    last = ""
    while True:
        remaining = started + gate.timeout - time.monotonic()
        status, last = _try(gate, folder, environment, remaining, is_stopping, progress)
        if status == 0:
            return
        if status is None or (status == NOT_YET and _since(started) + gate.interval >= gate.timeout):
            raise NotReadyError(f"not ready after {_since(started):.0f} s{_quoted(last)}")
        if status != NOT_YET:
            raise NotReadyError(f"{gate.command[0]} ended with status {status}{_quoted(last)}")
        next_try = time.monotonic() + gate.interval
        while time.monotonic() < next_try:
            if is_stopping():
                raise StoppedError("stopped while waiting until it is ready")
            progress(last)
            time.sleep(min(_POLL_SECONDS, gate.interval))


def _try(
    gate: Gate,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    is_stopping: Callable[[], bool],
    progress: Callable[[str], object],
) -> tuple[int | None, str]:
    """Run the program once; returns its status (None if it took too long) and its last line."""
    program = gate.command[0]
    # A path is relative to promote.toml, a name is searched for on PATH.
    command = [str(folder / program) if "/" in program else program, *gate.command[1:]]
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command that the user's promote.toml names
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise NotReadyError(f"cannot start {program}: {error.strerror}") from None
        try:
            while True:
                try:
                    return process.wait(_POLL_SECONDS), _last_line(output)
                except subprocess.TimeoutExpired:
                    if is_stopping():
                        raise StoppedError("stopped while waiting until it is ready") from None
                    if time.monotonic() >= deadline:
                        return None, _last_line(output)
                    progress(_last_line(output))
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(file: IO[bytes]) -> str:
    """The last line that is not empty. Read by position, since the program writes at the file's own."""
    size = os.fstat(file.fileno()).st_size
    text = os.pread(file.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    return clean(lines[-1], 200) if lines else ""


def _since(started: float) -> float:
    return time.monotonic() - started


def _quoted(line: str) -> str:
    return f": {line}" if line else ""
