"""What a person at the terminal is told by Ctrl-C, and what the second and third one do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BEGIN = """
import sys, time
from job.runtime.shutdown import Stop
stop = Stop()
stop.listen()
"""
WAIT = """
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def until(terminal: int, text: str) -> str:
    seen = ""
    while text not in seen:
        seen += os.read(terminal, 4096).decode()
    return seen


@contextmanager
def program(text: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program on a terminal of its own."""
    terminal, side = os.openpty()
    with subprocess.Popen([sys.executable, "-c", text], stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        try:
            until(terminal, "ready")
            yield process, terminal
        finally:
            process.kill()
            os.close(terminal)


def test_ctrl_c_says_what_it_does_and_the_second_ends_at_once() -> None:
    with program(BEGIN + WAIT) as (process, terminal):
        process.send_signal(signal.SIGINT)
        said = until(terminal, "at once")
        assert "stopping: press Ctrl-C again to stop at once" in said
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 6


RELEASE = """
def release():
    print("released", flush=True)
    time.sleep(HANGS)
scope = stop.leaving(release, "requests under way may take 30 s to end; ")
scope.__enter__()
"""


def test_the_second_releases_the_lock_and_ends() -> None:
    with program(BEGIN + RELEASE.replace("HANGS", "0") + WAIT) as (process, terminal):
        process.send_signal(signal.SIGINT)
        said = until(terminal, "at once")
        assert "requests under way may take 30 s to end; press Ctrl-C again to release the lock" in said
        process.send_signal(signal.SIGINT)
        until(terminal, "released")
        assert process.wait(10) == 6


def test_the_third_leaves_the_lock_behind() -> None:
    with program(BEGIN + RELEASE.replace("HANGS", "60") + WAIT) as (process, terminal):
        process.send_signal(signal.SIGINT)
        until(terminal, "at once")
        process.send_signal(signal.SIGINT)
        until(terminal, "released")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(3) == 6
