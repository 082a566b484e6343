"""What a person at the terminal is told by Ctrl-C, and what the second one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

PROGRAM = """
import time
from job.runtime.shutdown import Stop
stop = Stop()
stop.listen()
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def until(terminal: int, text: str) -> str:
    seen = ""
    while text not in seen:
        seen += os.read(terminal, 4096).decode()
    return seen


def test_ctrl_c_says_what_still_ends_and_the_second_ends_at_once() -> None:
    terminal, side = os.openpty()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=side, stdout=side, stderr=side)
    os.close(side)
    try:
        until(terminal, "ready")
        process.send_signal(signal.SIGINT)
        said = until(terminal, "at once")
        assert "requests under way" in said and "press Ctrl-C again" in said
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 6
    finally:
        process.kill()
        os.close(terminal)
